"""An annotation that was stopped goes on as if nothing had happened."""

import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from flows.retrying import is_for_good
from flows.settings import AnnotateSettings
from flows.video_job import VideoJob, annotate_job
from pipeline.annotate import PromptedTracking
from pipeline.annotation_set import AnnotationSet
from pipeline.errors import AnnotationStoppedError, OutputError
from pipeline.labels import CHOLECSEG8K
from pipeline.loop_state import LoopState, first_needed, latest_state, save_state
from pipeline.policies.constellation.looks import Adaptive, EveryNth
from pipeline.policies.constellation.policy import Constellation
from pipeline.policies.first_frame import FirstFrame
from pipeline.policies.framewise import Framewise
from pipeline.policies.given import Given, WithGivenPrompts
from pipeline.policies.sasvi import Sasvi, SasviSettings
from pipeline.records import FrameBatch, Prompt, PromptReason
from samples.theatre import Theatre
from tests.pipeline.test_annotate import SeesTheTruth
from tests.small_data import draw_video
from tracking.baselines import FlowMasks
from tracking.mask_choice import likely_masks
from tracking.tracker import Sam2Tracker

SETTINGS = AnnotateSettings(overseer_every=10)
BATCH = 4
# Whole videos are annotated, which takes long on a busy machine.
pytestmark = pytest.mark.timeout(900)
FRAMES = 18


class Recorded:
    """Frames of the theatre, drawn once."""

    def __init__(self, theatre):
        self.frames = list(theatre)
        self.tracks = theatre.tracks
        self.images = np.stack([frame.image for frame in self.frames])

    def __iter__(self):
        return iter(self.frames)


@pytest.fixture(scope="module")
def theatre():
    return Recorded(Theatre(seed=3, width=128, height=80, frame_count=FRAMES))


def batches(theatre, start, end):
    for first in range(start, end, BATCH):
        indices = np.arange(first, min(first + BATCH, end))
        yield FrameBatch(indices=indices, times=indices / 25, images=theatre.images[indices])


def given(theatre):
    prompts = {}
    for index in (1, 14):
        mask = theatre.frames[index].track_map == 1
        prompt = Prompt(
            frame_index=index, track_id=9, class_id=5, reason=PromptReason.HUMAN, mask=mask
        )
        prompts[index] = (prompt,)
    return Given(prompts)


def prompted(policy):
    def make(theatre, tracker):
        overseer = SeesTheTruth(theatre)
        return PromptedTracking(overseer=overseer, tracker=tracker, policy=policy(theatre))

    return make


def sasvi(theatre, tracker):
    settings = SasviSettings(restart_every=7, look_ahead=5)
    return Sasvi(overseer=SeesTheTruth(theatre), tracker=tracker, settings=settings)


LOOPS = {
    "constellation": prompted(lambda _: Constellation(CHOLECSEG8K, schedule=EveryNth(3))),
    "adaptive": prompted(lambda _: Constellation(CHOLECSEG8K, schedule=Adaptive())),
    "first-frame": prompted(lambda _: FirstFrame()),
    "given": prompted(given),
    "with given": prompted(lambda theatre: WithGivenPrompts(FirstFrame(), given(theatre))),
    "framewise": lambda theatre, _: Framewise(SeesTheTruth(theatre)),
    "sasvi": sasvi,
}


@pytest.fixture
def two_threads():
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("name", ["sasvi", "constellation"])
def test_images_are_encoded_together_as_before(theatre, trained, tmp_path, name):
    # On several threads a picture's features depend on how many are encoded at once.
    test_a_loop_goes_on_from_its_saved_state(theatre, trained, tmp_path, name, 12)


@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.parametrize("stop", [4, 12, FRAMES])
def test_a_loop_goes_on_from_its_saved_state(theatre, trained, tmp_path, name, stop):
    def tracker():
        return Sam2Tracker(trained, torch.device("cpu"), look_back=6)

    loop = LOOPS[name](theatre, tracker())
    before = [frame for batch in batches(theatre, 0, stop) for frame in loop.step(batch)]
    save_state(loop.state(), tmp_path / "resume", 1)
    after = [frame for batch in batches(theatre, stop, FRAMES) for frame in loop.step(batch)]
    after += loop.finish()

    saved = latest_state(tmp_path / "resume", 1)
    again = LOOPS[name](theatre, tracker())
    first = first_needed(saved.state, again.past_frames) // BATCH * BATCH
    again.restore(saved.state, batches(theatre, first, stop))
    assert saved.state.next_frame == stop
    resumed = [frame for batch in batches(theatre, stop, FRAMES) for frame in again.step(batch)]
    resumed += again.finish()
    assert resumed == after
    assert [frame.index for frame in before + resumed] == list(range(FRAMES))
    assert any(frame.tracks for frame in before + resumed)


def test_a_loop_goes_on_from_within_many_frames_without_pictures(theatre, trained, tmp_path):
    def all_batches():
        for batch in batches(theatre, 0, FRAMES):
            lost = frozenset(batch.indices.tolist()) & set(range(3, 16))
            yield replace(batch, undecodable=lost)

    def loop():
        # Which of the offered masks it takes depends on the one before.
        tracker = Sam2Tracker(trained, torch.device("cpu"), look_back=2, mask_choice=likely_masks)
        return LOOPS["first-frame"](theatre, tracker)

    whole, again, stop = loop(), loop(), 3
    for batch in list(all_batches())[:stop]:
        whole.step(batch)
    save_state(whole.state(), tmp_path / "resume", 1)
    saved = latest_state(tmp_path / "resume", 1)
    first = first_needed(saved.state, again.past_frames) // BATCH
    again.restore(saved.state, list(all_batches())[first:stop])
    known, expected = again.state().arrays, whole.state().arrays
    assert known.keys() == expected.keys()
    assert all(np.array_equal(known[name], expected[name]) for name in expected)
    rest = list(all_batches())[stop:]
    expected = [frame for batch in rest for frame in whole.step(batch)] + whole.finish()
    assert [f for batch in rest for f in again.step(batch)] + again.finish() == expected
    assert expected[-1].tracks


def test_a_baseline_goes_on_too(theatre):
    def loop():
        return PromptedTracking(overseer=None, tracker=FlowMasks(), policy=given(theatre))

    whole, again = loop(), loop()
    for batch in batches(theatre, 0, 8):
        whole.step(batch)
    again.restore(whole.state(), batches(theatre, 4, 8))
    for batch in batches(theatre, 8, 16):
        assert again.step(batch) == whole.step(batch)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    path = tmp_path_factory.mktemp("scene") / "video.mp4"
    draw_video(path, 150)
    return path


@pytest.fixture(scope="module")
def undisturbed(scene, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed")
    return annotate_job(VideoJob(video=scene, out=out, settings=SETTINGS))


def assert_equal(found: AnnotationSet, expected: AnnotationSet) -> None:
    assert found.is_complete
    assert found.manifest.counts == expected.manifest.counts
    assert list(found.frames()) == list(expected.frames())
    assert not (found.path / "resume").exists()
    assert not [path for path in found.path.rglob("*") if ".tmp" in path.name]


def test_a_job_that_is_asked_to_stop_goes_on_where_it_was(scene, undisturbed, tmp_path):
    job = VideoJob(video=scene, out=tmp_path, settings=SETTINGS)
    stops = 0
    while True:
        asked = iter(range(1000))
        seen = []
        try:
            found = annotate_job(
                job,
                on_frame=lambda done, total, seen=seen: seen.append(done),
                should_stop=lambda asked=asked: next(asked) == 9,
            )
            break
        except AnnotationStoppedError:
            stops += 1
            assert seen[0] == 80 * (stops - 1) + 8
            assert AnnotationSet(job.set_path).manifest.state == "running"
    assert stops == 1
    assert_equal(found, undisturbed)


def test_a_killed_process_loses_nothing_that_was_committed(scene, undisturbed, tmp_path):
    set_path = tmp_path / "video.annset"
    annotate = ("annotate", str(scene), "--out", str(tmp_path), "--overseer-every", "10")
    command = [sys.executable, "-m", "flows.cli", *annotate]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    resume = set_path / "resume"
    while not (resume.exists() and any(resume.glob("state-*.json"))):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    committed = AnnotationSet(set_path).manifest.counts.frames
    # What a process that dies between two renames leaves behind.
    (set_path / "masks" / ".part-000007.parquet.tmp").write_bytes(b"half")
    (set_path / "masks" / "part-000003.parquet").write_bytes(b"never committed")
    seen = []
    job = VideoJob(video=scene, out=tmp_path, settings=SETTINGS)
    found = annotate_job(job, on_frame=lambda done, total: seen.append(done))
    assert seen[0] > committed >= 100 or committed == 0
    assert_equal(found, undisturbed)


def test_a_damaged_state_only_costs_time(scene, undisturbed, tmp_path):
    job = VideoJob(video=scene, out=tmp_path, settings=SETTINGS)
    asked = iter(range(1000))
    with pytest.raises(AnnotationStoppedError):
        annotate_job(job, should_stop=lambda: next(asked) == 11)
    for path in (job.set_path / "resume").iterdir():
        path.write_bytes(path.read_bytes()[:50])
    seen = []
    found = annotate_job(job, on_frame=lambda done, total: seen.append(done))
    assert seen[0] == 8
    assert_equal(found, undisturbed)


def test_an_unfinished_set_of_another_job_is_not_replaced(scene, tmp_path):
    job = VideoJob(video=scene, out=tmp_path, settings=SETTINGS)
    with pytest.raises(AnnotationStoppedError):
        annotate_job(job, should_stop=lambda: True)
    other = VideoJob(video=scene, out=tmp_path, settings=AnnotateSettings(max_frames=10))
    with pytest.raises(OutputError, match=r"unfinished set with other settings") as refused:
        annotate_job(other)
    assert is_for_good(refused.value)


def test_a_state_whose_arrays_are_damaged_is_no_state(tmp_path):
    state = LoopState(next_frame=8, values={"a": 1}, arrays={"b": np.arange(50.0)})
    save_state(state, tmp_path / "resume", 1)
    saved = latest_state(tmp_path / "resume", 1)
    assert np.array_equal(saved.state.arrays["b"], np.arange(50.0))
    arrays = tmp_path / "resume" / "state-000001.safetensors"
    content = bytearray(arrays.read_bytes())
    content[-3] ^= 1
    arrays.write_bytes(content)
    assert latest_state(tmp_path / "resume", 1) is None


@pytest.mark.parametrize("text", ["[]", "{}", "null", "[" * 5000])
def test_a_state_that_says_something_else_is_no_state(tmp_path, text):
    save_state(LoopState(next_frame=8), tmp_path / "resume", 1)
    (tmp_path / "resume" / "state-000001.json").write_text(text)
    assert latest_state(tmp_path / "resume", 1) is None
