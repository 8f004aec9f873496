"""What becomes of the set that stands in a job's place."""

from pathlib import Path

import pytest

from flows.standing_sets import copied_from_elsewhere, make_way, set_to_keep, set_to_keep_or_replace
from pipeline.annotation_set import AnnotationSet
from pipeline.annotation_set.writer import AnnotationSetWriter, new_manifest
from pipeline.errors import InputError, OutputError, SetOfAnotherJobError
from pipeline.records import FrameAnnotation
from tests.small_data import close_to_this_user


@pytest.fixture
def manifest(clip_info, labels):
    def made(sha256="1" * 64, path="/in/clip.mp4", **settings):
        made = new_manifest(clip_info, labels, settings=settings)
        video = made.video.model_copy(update={"sha256": sha256, "path": str(path)})
        return made.model_copy(update={"video": video})

    return made


def write(path, manifest):
    with AnnotationSetWriter(path, manifest):
        pass
    return AnnotationSet(path)


def write_half(path, manifest):
    with pytest.raises(InputError), AnnotationSetWriter(path, manifest):
        raise InputError("the video is cut off")
    return AnnotationSet(path)


def test_an_outdated_set_makes_way_and_a_finished_one_is_kept(tmp_path, manifest):
    path, new = tmp_path / "clip.annset", manifest("3" * 64)
    write_half(path, manifest())
    assert set_to_keep_or_replace(path, new) is None
    make_way(path, new)
    assert list(tmp_path.iterdir()) == []
    for _ in range(3):
        write(path, manifest("2" * 64))
        assert set_to_keep_or_replace(path, new) is None
        make_way(path, new)
    names = {f"clip.annset.old-22222222{number}" for number in ("", "-2", "-3")}
    assert {file.name for file in tmp_path.iterdir()} == names
    assert all(AnnotationSet(file).is_complete for file in tmp_path.iterdir())


def test_a_finished_set_of_the_same_content_is_copied_from_elsewhere(tmp_path, manifest):
    path, wanted = tmp_path / "new.annset", manifest(path="/in/new.mp4")
    (tmp_path / "broken.annset").mkdir()
    write(tmp_path / "a.annset", manifest("2" * 64))
    write(tmp_path / "b.annset", manifest(policy="sasvi"))
    write_half(tmp_path / "c.annset", manifest())
    places = [tmp_path / f"{name}.annset" for name in ("gone", "broken", "a", "b", "c")]
    assert copied_from_elsewhere(path, wanted, places) is None
    write(tmp_path / "d.annset", manifest())
    # Of a process that was killed while it copied.
    (tmp_path / ".new.annset.copied" / "frames").mkdir(parents=True)
    copied = copied_from_elsewhere(path, wanted, [*places, tmp_path / "d.annset"])
    assert (copied.path, copied.is_complete) == (path, True)
    assert copied.manifest.video == wanted.video
    assert not (tmp_path / ".new.annset.copied").exists()
    assert copied_from_elsewhere(path, wanted, [tmp_path / "d.annset"]) is None


def test_a_copy_that_finds_no_room_leaves_nothing(tmp_path, manifest, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with AnnotationSetWriter(tmp_path / "d.annset", manifest()) as writer:
        writer.add(FrameAnnotation(index=0, time_s=0.0, tracks=()))
    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(OutputError, match=r"new\.annset cannot be written \(No space left"):
        copied_from_elsewhere(tmp_path / "new.annset", manifest(), [tmp_path / "d.annset"])
    assert [file.name for file in tmp_path.iterdir()] == ["d.annset"]


def test_the_set_of_the_job_stays(tmp_path, manifest):
    path = tmp_path / "clip.annset"
    for write_set in (write_half, write):
        standing = write_set(path, manifest())
        assert set_to_keep_or_replace(path, manifest()).path == path
        make_way(path, manifest())
        assert AnnotationSet(path).manifest == standing.manifest


def test_models_and_masks_are_told_by_their_content_and_not_by_their_paths(tmp_path, manifest):
    def of(place, content="1", masks="2"):
        made = manifest(
            overseer=f"{place}overseer",
            overseer_weights=None,
            tracker=f"{place}tracker",
            prompts=f"{place}masks",
            prompts_sha256=masks,
        )
        hashes = {"sha256": content, "description_sha256": "4"}
        models = {role: {"name": f"{place}{role}", **hashes} for role in ("overseer", "tracker")}
        return made.model_copy(update={"models": models})

    path = tmp_path / "clip.annset"
    write(path, of("models/"))
    for place in ("models/", "./models/", "/data/models/"):
        assert set_to_keep(path, of(place), resume=True).path == path
    with pytest.raises(SetOfAnotherJobError, match="another overseer"):
        set_to_keep(path, of("models/", content="3"), resume=True)
    with pytest.raises(SetOfAnotherJobError, match="prompts_sha256 is 2 there, 3 here"):
        set_to_keep(path, of("models/", masks="3"), resume=True)


def test_a_published_overseer_is_told_by_its_name(tmp_path, manifest):
    def of(name, weights):
        made = manifest(overseer=name, overseer_weights=weights)
        return made.model_copy(update={"models": {"overseer": {"name": name, "sha256": "1"}}})

    path = tmp_path / "clip.annset"
    write(path, of("sasvi/cadis", "cadis.pth"))
    assert set_to_keep(path, of("sasvi/cadis", "/data/cadis.pth"), resume=True).path == path
    with pytest.raises(SetOfAnotherJobError, match="another overseer"):
        set_to_keep(path, of("sasvi/cataract1k", "cadis.pth"), resume=True)


def test_the_checkpoint_of_a_tracker_is_told_by_its_content(tmp_path, manifest):
    def of(name, content="1"):
        made = manifest(tracker=name)
        models = {"tracker": {"name": name, "sha256": content}}
        return made.model_copy(update={"models": models})

    path = tmp_path / "clip.annset"
    write(path, of("tuned.pt"))
    assert set_to_keep(path, of("/data/tuned.pt"), resume=True).path == path
    with pytest.raises(SetOfAnotherJobError, match="another tracker"):
        set_to_keep(path, of("tuned.pt", content="2"), resume=True)


def test_what_is_no_outdated_set_is_refused_with_what_an_archive_can_do(tmp_path, manifest):
    path = tmp_path / "clip.annset"
    (tmp_path / "elsewhere.mp4").write_bytes(b"")
    path.mkdir()
    (path / "notes.txt").write_text("mine")

    def refused():
        with pytest.raises(SetOfAnotherJobError) as caught:
            set_to_keep_or_replace(path, manifest(steady=0.5))
        assert "--no-resume" not in str(caught.value)
        return str(caught.value)

    assert "is no set that can be read; move it away" in refused()
    (path / "notes.txt").unlink()
    path.rmdir()
    write(path, manifest(steady=0.8))
    assert "(steady is 0.8 there, 0.5 here); choose another --out, or move it" in refused()
    for other in (tmp_path / "elsewhere.mp4", "s3://bucket/clip.mp4"):
        path.rename(tmp_path / Path(other).stem)
        write(path, manifest("2" * 64, other))
        assert f"is a finished set of another video, {other}; choose another --out" in refused()


def test_the_longest_name_of_a_set_has_room_beside_it(tmp_path, manifest):
    name = "n" * 230
    first, path = manifest(), tmp_path / f"{name}.annset"
    assert set_to_keep(path, first, resume=True) is None
    write(path, first)
    make_way(path, manifest("2" * 64))
    with pytest.raises(InputError, match="has a name of 231 bytes, of which a set takes 230"):
        set_to_keep(tmp_path / f"{name}n.annset", first, resume=False)


def test_a_place_that_this_user_must_not_look_at_is_named(tmp_path, manifest, monkeypatch):
    path = tmp_path / "closed" / "clip.annset"
    close_to_this_user(monkeypatch, path.parent)
    looks = (
        lambda: set_to_keep(path, manifest(), resume=True),
        lambda: set_to_keep(path, manifest(), resume=False),
        lambda: set_to_keep_or_replace(path, manifest()),
    )
    for look in looks:
        with pytest.raises(OutputError, match=r"clip.annset cannot be written \(Permission denied"):
            look()
