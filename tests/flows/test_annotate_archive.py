"""Archives through the command line: real Prefect, real processes, real faults."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import fsspec
import psutil
import pytest
from moto.server import ThreadedMotoServer
from s3fs import S3FileSystem

from flows.annotate_archive import _Deaths, _waited_for_new
from flows.archive.copies import _fetch
from flows.archive.entry import Entry, EntryState
from flows.archive.job import ArchiveJob
from flows.archive.ledger import Ledger
from flows.commands.archive import _announced
from flows.settings import AnnotateSettings
from flows.video_job import VideoJob, annotate_job
from pipeline.annotation_set import AnnotationSet
from pipeline.errors import OutputError
from tests.small_data import damage, draw_video, picture, save

SETTINGS = ("--policy", "first-frame")
# Each process loads its models anew, which takes long on a busy machine.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def prefect_home(tmp_path_factory):
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture
def environment(prefect_home):
    return {**os.environ, "PREFECT_HOME": str(prefect_home), "OMP_NUM_THREADS": "1"}


def command(*arguments):
    return [sys.executable, "-m", "flows.cli", *map(str, arguments)]


def run(environment, *arguments):
    return subprocess.run(
        command(*arguments), env=environment, capture_output=True, text=True, check=False
    )


def test_an_archive_with_broken_videos(tmp_path, environment):
    source, out = tmp_path / "in", tmp_path / "out"
    for number in range(3):
        draw_video(source / "2026" / f"op{number}.mp4", 12, seed=number)
    whole = (source / "2026" / "op0.mp4").read_bytes()
    (source / "empty.mp4").write_bytes(b"")
    (source / "text.mp4").write_text("no video")
    (source / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    ended = run(environment, "archive", source, "--out", out, "--workers", 2, "--json", *SETTINGS)
    assert ended.returncode == 1, ended.stderr
    summary = json.loads(ended.stdout)
    assert sorted(summary["done"]) == ["2026/op0", "2026/op1", "2026/op2"]
    assert set(summary["failed"]) == {"empty", "text", "cut"}
    assert all(f"{name}.mp4" in reason for name, reason in summary["failed"].items())
    assert "Traceback" not in ended.stderr
    for number in range(3):
        assert AnnotationSet(out / "2026" / f"op{number}.annset").is_complete

    events = [json.loads(line) for line in (out / ".scopeline/log.jsonl").read_text().splitlines()]
    told = {(event["event"], event["video"]) for event in events}
    assert {("began", "2026/op0"), ("done", "2026/op0"), ("failed", "empty")} <= told
    (done,) = [
        event for event in events if event["event"] == "done" and event["video"] == "2026/op1"
    ]
    assert done["frames"] == 12
    assert {stage["frames"] for stage in done["stages"].values()} == {12}

    for name in ("empty", "text", "cut"):
        (source / f"{name}.mp4").unlink()
    again = run(environment, "archive", source, "--out", out, "--json", *SETTINGS)
    assert again.returncode == 0, again.stderr
    assert sorted(json.loads(again.stdout)["skipped"]) == ["2026/op0", "2026/op1", "2026/op2"]
    assert json.loads(again.stdout)["done"] == []

    shown = run(environment, "status", out, "--json")
    told = json.loads(shown.stdout)
    videos = {video["name"]: video for video in told["videos"]}
    assert videos["2026/op1"]["state"] == "done"
    assert videos["2026/op1"]["frames_done"] == 12
    assert videos.keys() == {"2026/op0", "2026/op1", "2026/op2"}
    assert told["gone"] == ["cut", "empty", "text"]


def wait_for(condition, seconds=400):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_alive(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def running(out):
    if not Ledger.exists(out):
        return []
    return [entry for entry in Ledger(out).entries() if entry.is_held and entry.frames_done]


def test_a_killed_worker_and_a_killed_flow_lose_nothing(tmp_path, environment):
    source, out, undisturbed = tmp_path / "in", tmp_path / "out", tmp_path / "undisturbed"
    for number in range(2):
        draw_video(source / f"op{number}.mp4", 60, seed=number)
    archive = command("archive", source, "--out", out, "--workers", 2, *SETTINGS)
    flow = subprocess.Popen(archive, env=environment, stderr=subprocess.DEVNULL)
    wait_for(lambda: running(out))
    worker = int(running(out)[0].owner.split("/")[1])
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: [entry for entry in running(out) if f"/{worker}/" not in entry.owner])
    children = psutil.Process(flow.pid).children(recursive=True)
    flow.kill()
    flow.wait()
    ended = run(environment, *archive[3:])
    # Neither workers nor the server outlive the flow that started them.
    wait_for(lambda: not any(is_alive(child) for child in children))
    assert ended.returncode == 0, ended.stderr
    settings = AnnotateSettings(policy="first-frame")
    for number in range(2):
        video = source / f"op{number}.mp4"
        annotate_job(VideoJob(video=video, out=undisturbed, settings=settings))
        found = AnnotationSet(out / f"op{number}.annset")
        assert found.is_complete
        expected = AnnotationSet(undisturbed / f"op{number}.annset")
        assert list(found.frames()) == list(expected.frames())
    assert [path for path in out.rglob("*") if ".tmp" in path.name or path.name == "resume"] == []
    assert all(entry.owner is None for entry in Ledger(out).entries())


# Ctrl-C in a terminal goes to all of its processes.
@pytest.mark.parametrize(
    "stop",
    [lambda flow: flow.terminate(), lambda flow: os.killpg(flow.pid, signal.SIGINT)],
    ids=["sigterm", "ctrl-c"],
)
def test_asked_to_stop_it_commits_and_leaves(tmp_path, environment, stop):
    source, out = tmp_path / "in", tmp_path / "out"
    draw_video(source / "op.mp4", 400)
    archive = command("archive", source, "--out", out, "--json", *SETTINGS)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    flow = subprocess.Popen(archive, env=environment, text=True, start_new_session=True, **pipes)
    wait_for(lambda: running(out) and running(out)[0].frames_done > 60)
    stop(flow)
    printed, said = flow.communicate(timeout=400)
    summary = json.loads(printed)
    assert flow.returncode == 1
    assert "Traceback" not in said
    assert summary["waiting"] == ["op"]
    manifest = AnnotationSet(out / "op.annset").manifest
    assert manifest.state == "running"
    assert 0 < manifest.counts.frames < 400
    assert Ledger(out).entries()[0].owner is None


def test_what_only_looks_for_new_videos_loads_no_networks():
    code = (
        "import sys; from flows.archive.job import job_key; import flows.schedule; "
        "from flows.settings import AnnotateSettings; job_key(AnnotateSettings()); "
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert not {"torch", "torchvision", "sam2", "timm"} & set(loaded.split())


def test_wrong_words_are_one_sentence(tmp_path, scopeline):
    code, _, error = scopeline("archive", tmp_path / "nowhere", "--out", tmp_path / "out")
    assert code == 1
    assert "nowhere does not exist" in error
    assert error.count("\n") == 1
    code, _, error = scopeline("status", tmp_path)
    assert code == 1
    assert "is not the --out of an archive" in error
    code, _, error = scopeline("archive", tmp_path, "--out", tmp_path, "--policy", "none")
    assert code == 2
    assert "--policy: Input should be 'constellation'" in error
    options = ("--policy", "first-frame", "--steady", 0.5)
    code, _, error = scopeline("archive", tmp_path, "--out", tmp_path, *options)
    assert code == 2
    assert "--steady has no effect with --policy first-frame" in error


def test_a_second_command_with_other_settings_is_refused(tmp_path, scopeline):
    draw_video(tmp_path / "in" / "op.mp4", 2)
    job = ArchiveJob(source=str(tmp_path / "in"), out=tmp_path / "out", settings=AnnotateSettings())
    for command, *options in (("archive",), ("serve", "--every", "1d")):
        with _announced(job):
            code, _, error = scopeline(command, job.source, "--out", job.out, *options, *SETTINGS)
        assert code == 2
        assert f"another command annotates {job.source} into {job.out} with other" in error
        assert error.count("\n") == 1


def test_an_archive_without_a_video_says_what_a_video_is(tmp_path, environment):
    (tmp_path / "op1.mp5").write_bytes(b"")
    ended = run(environment, "archive", tmp_path / "*.mp*", "--out", tmp_path / "out")
    assert ended.returncode == 0, ended.stderr
    assert "*.mp* holds no video; what ends in .mp4, .mkv" in ended.stderr


def test_an_archive_takes_what_annotate_takes(tmp_path, environment):
    draw_video(tmp_path / "in" / "op.mp4", 12)
    damage(tmp_path / "in" / "op.mp4", [6])
    save(tmp_path / "in" / "frames.2026" / "0.png", picture())
    manifest = tmp_path / "in" / "videos.csv"
    manifest.write_text("video\nop.mp4\ngone.mp4\nframes.2026\n")
    options = ("--on-bad-frame", "skip", "--steady", 0, "--pictures", "full")
    out = tmp_path / "out"
    ended = run(environment, "archive", manifest, "--out", out, *options)
    assert ended.returncode == 1
    assert "failed: gone: " in ended.stderr
    assert "2 done, 0 were done before, 1 failed, 0 waiting" in ended.stderr
    log = (out / ".scopeline" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["video"] for line in log if '"failed"' in line] == ["gone"]
    assert AnnotationSet(out / "frames.2026.annset").manifest.counts.frames == 1
    found = AnnotationSet(out / "op.annset")
    assert any("undecodable" in frame.flags for frame in found.frames())
    settings = found.manifest.settings
    assert (settings["steady"], settings["pictures"]) == (0, "full")


def test_a_full_disk_is_no_fault_of_the_store():
    with fsspec.open("memory://full/op.mp4", "wb") as written:
        written.write(b"video")
    with pytest.raises(OutputError, match="cannot be written .No space left on device."):
        _fetch("memory://full/op.mp4", Path("/dev/full"))


def test_new_videos_are_waited_for_until_they_have_settled(tmp_path):
    new = replace(entry_of("new", 0), state=EntryState.WAITING, unchanged_since=time.time() - 9.5)
    old = replace(new, unchanged_since=0.0)

    def job(settle_s):
        settings = AnnotateSettings()
        return ArchiveJob(source="in", out=tmp_path, settings=settings, settle_s=settle_s)

    assert not _waited_for_new(job(0), [new])
    assert not _waited_for_new(job(10), [old])
    assert not _waited_for_new(job(3600), [new])
    assert _waited_for_new(job(10), [old, new])
    assert time.time() >= new.unchanged_since + 10


def entry_of(name, frames_done):
    return Entry(
        name=name,
        address=f"/in/{name}.mp4",
        size=5,
        modified="1",
        unchanged_since=0.0,
        job="job",
        state=EntryState.RUNNING,
        reason=None,
        tries=1,
        failures=0,
        frames_done=frames_done,
        frames_total=100,
        started_frames=0,
        started_at=0.0,
        updated_at=0.0,
        owner=None,
        lease_until=None,
    )


def test_only_a_video_whose_process_dies_at_one_place_is_given_up():
    deaths = _Deaths()
    rounds = [(0, 0), (0, 50), (0, 60), (0, 60), (0, 60)]
    hopeless = [
        [entry.name for entry in deaths.hopeless([entry_of("stuck", a), entry_of("slow", b)])]
        for a, b in rounds
    ]
    assert hopeless == [[], [], ["stuck"], ["stuck"], ["stuck", "slow"]]


def test_a_video_in_a_store_is_fetched_and_the_copy_removed(tmp_path, environment):
    draw_video(tmp_path / "op.mp4", 12)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    _, port = server.get_host_and_port()
    environment = {
        **environment,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }
    store = S3FileSystem(key="key", secret="secret", endpoint_url=environment["AWS_ENDPOINT_URL"])
    store.mkdir("recordings")
    long_name = "手術" * 38
    for name in ("op", long_name):
        store.put(str(tmp_path / "op.mp4"), f"recordings/2026/{name}.mp4")
    out = tmp_path / "out"
    ended = run(environment, "archive", "s3://recordings", "--out", out, *SETTINGS)
    server.stop()
    assert ended.returncode == 0, ended.stderr
    for name in ("op", long_name):
        manifest = AnnotationSet(out / "2026" / f"{name}.annset").manifest
        assert manifest.counts.frames == 12
        assert manifest.video.path == f"s3://recordings/2026/{name}.mp4"
    assert list((out / ".scopeline" / "fetched").iterdir()) == []
