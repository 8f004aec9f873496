"""Videos in segments through the command line: real Prefect, real worker processes."""

import json
import threading
from concurrent.futures.process import BrokenProcessPool

import pytest

from flows import annotate_segments, stopping
from flows.annotate_segments import SegmentsJob, annotate_in_segments
from flows.settings import AnnotateSettings
from flows.video_job import VideoJob
from pipeline.annotation_set import AnnotationSet
from pipeline.errors import AnnotationAbandonedError, AnnotationStoppedError, UsageError
from samples.theatre.looks import PLAIN_SCENERY
from samples.theatre.render import render
from tests.flows.test_annotate_archive import environment, prefect_home, run

__all__ = ["environment", "prefect_home"]
FRAMES = 128


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scene")
    render(seed=22, frame_count=FRAMES, width=128, height=72, folder=folder, scenery=PLAIN_SCENERY)
    return folder / "video.mp4"


@pytest.mark.timeout(900)
def test_a_video_in_segments_is_one_set(video, tmp_path, environment, scopeline):
    out = tmp_path / "out"
    arguments = ("annotate", video, "--out", out, "--segments", 2, "--workers", 2, "--json")
    ended = run(environment, *arguments)
    assert ended.returncode == 0, ended.stderr
    (result,) = json.loads(ended.stdout)["videos"]
    assert (result["state"], result["frames"]) == ("complete", FRAMES)
    annotated = AnnotationSet(out / "video.annset")
    frames = list(annotated.frames())
    assert [frame.index for frame in frames] == list(range(FRAMES))
    known = {prompt.prompt_id: prompt.track_id for _, prompt in annotated.prompts()}
    assert all(
        known[track.prompt_id] == track.track_id for frame in frames for track in frame.tracks
    )
    spans = [
        [frame.index for frame in frames if track_id in {t.track_id for t in frame.tracks}]
        for track_id in {track.track_id for frame in frames for track in frame.tracks}
    ]
    # The organs are there from the first frame to the last, across the joint.
    assert any(len(span) > 0.9 * FRAMES for span in spans)
    assert [path.name for path in out.iterdir()] == ["video.annset"]

    again = run(environment, *arguments)
    assert json.loads(again.stdout)["videos"][0]["seconds"] < result["seconds"]
    code, _, error = scopeline(*arguments[:4])
    assert code == 1
    assert "is a finished set with other settings" in " ".join(error.split())


def test_what_needs_the_beginning_is_not_divided(tmp_path):
    for given in ({"policy": "first-frame"}, {"policy": "given", "prompts": tmp_path}):
        whole = VideoJob(video=tmp_path, out=tmp_path, settings=AnnotateSettings(**given))
        with pytest.raises(UsageError, match="it goes with --policy constellation, sasvi, frame"):
            SegmentsJob(whole=whole, count=2, workers=1)


class Ends:
    """What runs segments, as it ends by an error; `before` is what comes before that."""

    def __init__(self, error, before=lambda: None):
        self.error, self.before = error, before

    def with_options(self, **options):
        del options
        return self.run

    def run(self, parts, name):
        self.before()
        raise self.error


@pytest.fixture
def jobs(video, tmp_path, monkeypatch):
    monkeypatch.setattr(stopping, "_stop", threading.Event())
    settings = AnnotateSettings(policy="framewise", device="cpu")
    return [
        SegmentsJob(
            whole=VideoJob(video=video, out=tmp_path / name, settings=settings), count=2, workers=1
        )
        for name in ("first", "second")
    ]


def test_once_a_stop_was_asked_for_no_other_video_is_begun(jobs, monkeypatch):
    # A worker that is starting ends at once.
    ends = Ends(BrokenProcessPool("terminated abruptly"), stopping.ask_to_stop)
    monkeypatch.setattr(annotate_segments, "annotate_segments", ends)
    with pytest.raises(AnnotationStoppedError, match="video.mp4 was left unfinished; the same"):
        annotate_in_segments(jobs[0])
    with pytest.raises(AnnotationStoppedError, match="video.mp4 was not begun"):
        annotate_in_segments(jobs[1])
    assert not jobs[1].whole.out.exists()


def test_a_killed_worker_is_told_from_a_stop(jobs, monkeypatch):
    ends = Ends(BrokenProcessPool("terminated abruptly"))
    monkeypatch.setattr(annotate_segments, "annotate_segments", ends)
    with pytest.raises(AnnotationAbandonedError, match="a worker process was killed"):
        annotate_in_segments(jobs[0])
