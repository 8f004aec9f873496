"""Finding the videos of an archive, also in a real S3 server on loopback."""

import fsspec
import pytest
from moto.server import ThreadedMotoServer

from flows.archive.source import find_videos, folders_of_pictures, source_place
from pipeline.errors import InputError
from tests.small_data import close_to_this_user


def touch(path, content=b"video"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def names(source):
    return [video.name for video in find_videos(str(source))]


def test_a_folder_is_searched_with_its_subfolders(tmp_path):
    for name in ("op10.MTS", "op2.MP4", "2026/op1.mkv", "notes.txt", ".op3.mp4", ".part/op4.mp4"):
        touch(tmp_path / name)
    assert names(tmp_path) == ["2026/op1", "op2", "op10"]
    found = find_videos(str(tmp_path))[1]
    assert found.size == 5
    assert found.address == str(tmp_path / "op2.MP4")


def test_linked_subfolders_are_searched_once(tmp_path):
    archive, other = tmp_path / "archive", tmp_path / "other disk"
    touch(archive / "2026" / "op1.mp4")
    touch(other / "2025" / "op2.mp4")
    (archive / "old").symlink_to(other)
    (archive / "newest").symlink_to(archive / "2026")
    (other / "2025" / "around").symlink_to(other)
    (other / "back").symlink_to(archive)
    assert names(archive) == ["2026/op1", "old/2025/op2"]


def test_a_source_is_called_the_same_from_wherever_it_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert {source_place(name) for name in ("in", "./in/", "out/../in")} == {str(tmp_path / "in")}
    assert source_place("s3://theatre/../2026") == "s3://theatre/../2026"


def test_a_pattern_keeps_the_folders_below_its_fixed_part(tmp_path):
    for name in ("2025/op1.mp4", "2026/op1.mp4", "2026/op2.mp4", "2026/._op2.mp4", ".x/op2.mp4"):
        touch(tmp_path / name)
    assert names(tmp_path / "20*" / "op1.mp4") == ["2025/op1", "2026/op1"]
    assert names(tmp_path / "**" / "*2.mp4") == ["2026/op2"]


def test_a_manifest_lists_videos_of_its_folder_alone(tmp_path):
    touch(tmp_path / "a" / "op1.mp4")
    touch(tmp_path.parent / "outside.mp4")
    manifest = tmp_path / "list.csv"
    manifest.write_text("video,surgeon\na/op1.mp4,7\n")
    assert names(manifest) == ["a/op1"]
    manifest.write_text("video\n../outside.mp4\n")
    with pytest.raises(InputError, match=r"outside its folder"):
        find_videos(str(manifest))
    for address in ("file", "local", "simplecache::file"):
        manifest.write_text(f"video\n{address}://{tmp_path.parent}/outside.mp4\n")
        with pytest.raises(InputError, match=r"outside its folder"):
            find_videos(str(manifest))
    for content in (b"path\na/op1.mp4\n", b"video,video\na/op1.mp4,a/op1.mp4\n"):
        manifest.write_bytes(content)
        with pytest.raises(InputError, match="no column 'video', or several"):
            find_videos(str(manifest))
    for content in (b"video\n\xe4.mp4\n", b"video\na\0b.mp4\n"):
        manifest.write_bytes(content)
        with pytest.raises(InputError, match="no readable path in row 1"):
            find_videos(str(manifest))


def test_what_cannot_be_annotated_does_not_stop_the_others(tmp_path):
    touch(tmp_path / "op1.mp4")
    touch(tmp_path / "op2.mp4")
    manifest = tmp_path / "list.csv"
    manifest.write_text("video\nop1.mp4\ngone.mp4\nop2.mp4\nop1.mp4\n")
    assert {video.name: video.problem for video in find_videos(str(manifest))} == {
        "op1": None,
        "gone": f"{manifest} lists gone.mp4, which does not exist; remove that row",
        "op2": None,
    }


def test_what_this_user_must_not_look_at_does_not_stop_the_others(tmp_path, monkeypatch):
    archive, closed = tmp_path / "archive", tmp_path / "closed"
    touch(archive / "op1.mp4")
    touch(closed / "op2.mp4")
    (archive / "op2.mp4").symlink_to(closed / "op2.mp4")
    touch(tmp_path / "list.csv", b"video\narchive/op1.mp4\nclosed/op2.mp4\n")
    close_to_this_user(monkeypatch, closed)
    for source in (archive, archive / "*.mp4", tmp_path / "list.csv"):
        first, second = find_videos(str(source))
        assert first.problem is None
        assert second.name.endswith("op2")
        assert "op2.mp4 cannot be read (Permission denied); let this user read" in second.problem
    with pytest.raises(InputError, match=r"op2.mp4 cannot be read \(Permission denied\)"):
        find_videos(str(closed / "op2.mp4"))


def test_links_that_lead_around_in_a_circle_do_not_stop_the_others(tmp_path):
    touch(tmp_path / "op1.mp4")
    (tmp_path / "op2.mp4").symlink_to("op3.mp4")
    (tmp_path / "op3.mp4").symlink_to("op2.mp4")
    manifest = touch(tmp_path / "list.csv", b"video\nop1.mp4\nop2.mp4\n")
    assert names(tmp_path) == ["op1"]
    assert {video.name: video.problem for video in find_videos(str(manifest))} == {
        "op1": None,
        "op2": f"{manifest} lists op2.mp4, which does not exist; remove that row",
    }


def test_what_is_gone_takes_no_name_from_what_is_there(tmp_path):
    touch(tmp_path / "op1.mkv")
    manifest = tmp_path / "list.csv"
    manifest.write_text("video\nop1.mp4\nop1.mkv\n")
    found = {video.name: video.problem is None for video in find_videos(str(manifest))}
    assert found == {"op1": True, "op1.mp4": False}


def test_a_manifest_may_list_folders_of_frames(tmp_path):
    for number in range(3):
        touch(tmp_path / "op.2026" / f"{number}.png")
    (tmp_path / "empty").mkdir()
    manifest = tmp_path / "list.csv"
    manifest.write_text("video\nop.2026\n")
    (found,) = find_videos(str(manifest))
    assert (found.name, found.address) == ("op.2026", str(tmp_path / "op.2026"))
    assert found.size == 15
    touch(tmp_path / "op.2026" / "3.png")
    assert find_videos(str(manifest)) != [found]
    manifest.write_text("video\nempty\n")
    (found,) = find_videos(str(manifest))
    assert "lists empty, a folder without JPEG or PNG frames" in found.problem


@pytest.mark.parametrize("name", ["0017", "2026-11-26", "2026-11-26T10:30:00", "true", "1e5"])
def test_a_folder_that_is_called_by_a_date_or_a_number_is_one_all_the_same(tmp_path, name):
    touch(tmp_path / name / "1.png")
    (tmp_path / "list.csv").write_text(f"video\n{name}\n")
    assert names(tmp_path / "list.csv") == [name]


def test_a_linked_video_is_called_as_the_link(tmp_path):
    archive = tmp_path / "archive"
    archive.mkdir()
    for number in (1, 2):
        touch(tmp_path / "disk" / str(number) / "video.mp4")
        (archive / f"op{number}.mp4").symlink_to(tmp_path / "disk" / str(number) / "video.mp4")
    found = find_videos(str(archive))
    assert [(video.name, video.address) for video in found] == [
        ("op1", str(archive / "op1.mp4")),
        ("op2", str(archive / "op2.mp4")),
    ]


def test_two_videos_that_would_share_a_set_are_named(tmp_path):
    touch(tmp_path / "op1.mp4")
    touch(tmp_path / "op1.avi")
    touch(tmp_path / "op2.mp4")
    found = {video.name: video.problem for video in find_videos(str(tmp_path))}
    (other,) = found.keys() - {"op1", "op2"}
    assert other in ("op1.mp4", "op1.avi")
    assert (found["op1"], found["op2"]) == (None, None)
    assert f"{other} would have the same set as" in found[other]


def test_one_video_and_a_folder_of_any_name_are_archives(tmp_path):
    video = touch(tmp_path / "lists.csv" / "op1.mp4")
    assert names(video) == ["op1"]
    assert names(video.parent) == ["op1"]


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"\*\*\.mp4 is no pattern"):
        find_videos(str(tmp_path / "**.mp4"))
    with pytest.raises(InputError, match="nowhere does not exist"):
        find_videos(str(tmp_path / "nowhere"))
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match="notes.txt is neither a video nor a manifest; give"):
        find_videos(str(tmp_path / "notes.txt"))


@pytest.fixture
def bucket(monkeypatch):
    """A bucket of an S3 server on loopback; gives the address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    _, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    store = fsspec.filesystem("s3", skip_instance_cache=True)
    store.mkdir("theatre")
    yield store, "s3://theatre"
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    server.stop()


def test_an_object_store_is_an_archive(bucket):
    store, address = bucket
    store.pipe("theatre/2026/op1.mp4", b"video")
    store.pipe("theatre/2026/notes.txt", b"text")
    store.pipe("theatre/2026/._op1.mp4", b"of a file system")
    (found,) = find_videos(f"{address}/2026")
    assert (found.name, found.address, found.size) == ("op1", "s3://theatre/2026/op1.mp4", 5)
    before = found.modified
    store.pipe("theatre/2026/op1.mp4", b"other")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    assert find_videos(f"{address}/2026")[0].modified != before
    assert names(f"{address}/2026/op1.mp4") == ["op1"]
    with pytest.raises(InputError, match="s3://theatre/none does not exist"):
        find_videos(f"{address}/none")


def test_a_store_that_cannot_be_reached_is_one_sentence(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    with pytest.raises(InputError, match="cannot be read .*check the address, the network"):
        find_videos("s3://theatre")


def test_a_name_in_a_store_never_leads_out_of_the_archive():
    store = fsspec.filesystem("memory")
    store.pipe("/theatre/../../op1.mp4", b"video")
    with pytest.raises(InputError, match=r"op1\.mp4 has a name that leads out of the archive"):
        find_videos("memory://theatre")
    store.rm("/theatre", recursive=True)


def test_folders_that_hold_pictures_alone_are_told(tmp_path):
    for name in ("frames/0.png", "frames/1.JPG", "op/op1.mp4", "op/thumb.png", ".hidden/0.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert folders_of_pictures(str(tmp_path)) == [tmp_path / "frames"]
    assert names(str(tmp_path)) == ["op/op1"]
