"""The benchmark: what it measures is what it says, on tiny sizes; never how many seconds."""

import json
import subprocess
import sys
import time
from contextlib import ExitStack

import av
import numpy as np
import pytest
import torch

from flows.annotation_loops import open_models
from flows.bench.benchmark import PARTS, Benchmark, run_benchmark
from flows.bench.clock import StageClock, in_turns, replace_attribute, replace_function
from flows.bench.official import OfficialTracker, follow_with_predictor, predictor_like
from flows.bench.processes import repeat_video
from flows.bench.runtimes import _ways, measure_runtimes
from flows.bench.stages import NETWORK_STAGES, make_again, time_stages
from flows.bench.trackers import follow_with_tracker, mask_agreement, object_prompts
from flows.models import open_overseer
from flows.settings import AnnotateSettings
from flows.video_job import VideoJob
from pipeline import masks
from pipeline.annotation_set import AnnotationSet
from pipeline.frames import open_video
from pipeline.masks import decode_mask
from samples.theatre.render import render
from tracking.mask_choice import surest_masks
from tracking.memory import MemoryRule
from tracking.tracker import Sam2Tracker


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scene")
    render(seed=7, frame_count=6, width=160, height=96, folder=folder)
    return folder


@pytest.fixture(scope="module")
def truth(scene):
    return AnnotationSet(scene / "truth.annset")


@pytest.fixture(scope="module")
def images(scene):
    return [image for batch in open_video(scene / "video.mp4").batches(4) for image in batch.images]


@pytest.fixture(scope="module")
def network():
    return open_models(AnnotateSettings())[1].network


def test_the_command_reports_every_part_as_json(scopeline):
    code, out, err = scopeline(
        "bench", "--size", "96x64", "--frames", "4", "--rounds", "1",
        "--memory-frames", "2,6", "--json",
    )  # fmt: skip
    assert code == 0, err
    report = json.loads(out)
    assert list(report) == ["machine", "clip", *PARTS]
    assert report["machine"]["torch_threads"] == torch.get_num_threads()
    assert report["machine"]["versions"]["torch"] == torch.__version__.split("+")[0]

    annotate = report["annotate"]
    assert annotate["frames"] == 4
    assert sum(stage["share"] for stage in annotate["stages"].values()) == pytest.approx(1)
    assert set(NETWORK_STAGES) <= annotate["stages"].keys()
    assert 0 < annotate["share_in_networks"] < 1
    assert annotate["bare_networks_share"] > 0
    assert "decoding" in annotate["on_other_threads_ms_per_frame"]

    assert list(report["objects"]["frames_per_second"]) == ["1", "4", "8", "16"]
    assert report["objects"]["times_the_cost_of_one"]["1"] == 1
    assert report["official"]["objects"] == 8
    assert set(report["sasvi"]["times_as_fast"]) == {
        "constellation", "sasvi", "sasvi_on_official_predictor"
    }  # fmt: skip
    assert report["memory"]["frames"] == [2, 6]
    assert report["memory"]["peak_mb"][1] >= report["memory"]["peak_mb"][0] > 0
    assert report["flow"]["frames"] == 6
    assert min(report["flow"]["seconds"].values()) > 0
    assert report["storage"]["mb_per_hour"] > 0
    assert report["startup"]["help_s"] > 0
    rates = [
        rate
        for part in ("objects", "official", "sasvi", "decoders")
        for rate in report[part]["frames_per_second"].values()
    ]
    assert min(rates) > 0


def test_the_command_line_starts_without_heavy_packages():
    code = "import sys, flows.cli; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True)
    heavy = {"torch", "cv2", "numpy", "scipy", "pyarrow", "supervision", "prefect", "pydantic"}
    assert not heavy & set(loaded.split())


def test_parts_can_be_chosen_and_are_shown_as_tables(scopeline):
    code, out, _ = scopeline(
        "bench", "--only", "decoders", "--size", "96x64", "--frames", "3", "--rounds", "1"
    )
    assert code == 0
    assert "PyAV" in out
    assert "objects" not in out


@pytest.mark.parametrize(
    "wrong",
    [("--only", "speed"), ("--size", "large"), ("--size", "97x64"), ("--memory-frames", "9,3")],
    ids=" ".join,
)
def test_wrong_use_is_said(scopeline, wrong):
    code, _, err = scopeline("bench", *wrong)
    assert code == 2
    assert wrong[0] in err


def test_stages_do_not_count_what_is_nested_in_them():
    clock = StageClock()
    with clock.stage("outer"):
        with clock.stage("inner"):
            time.sleep(0.05)
        with clock.stage("inner"):
            time.sleep(0.05)
    assert clock.seconds["inner"] >= 0.1
    assert clock.seconds["outer"] < clock.seconds["inner"]


def test_an_iterator_is_on_the_clock_only_while_it_is_asked():
    clock = StageClock()
    count = clock.timed_iterator("counting")(lambda: iter(range(3)))
    for _ in count():
        time.sleep(0.02)
    assert 0 < clock.seconds["counting"] < 0.02


def test_turns_go_round_and_give_medians():
    order = []
    values = {"a": iter([5, 1, 9]), "b": iter([2, 2, 2])}

    def take(name):
        order.append(name)
        return next(values[name])

    assert in_turns({"a": lambda: take("a"), "b": lambda: take("b")}, 3) == {"a": 5, "b": 2}
    assert "".join(order) == "ababab"


def test_wrapped_functions_are_put_back():
    import pipeline.drafts

    original, method = masks.encode_mask, StageClock.stage
    with ExitStack() as stack:
        replace_function(stack, masks.encode_mask, StageClock().timed("x"))
        replace_attribute(stack, StageClock, "stage", lambda function: None)
        assert pipeline.drafts.encode_mask is not original
        assert StageClock.stage is None
    assert pipeline.drafts.encode_mask is masks.encode_mask is original
    assert StageClock.stage is method


def test_forward_passes_are_recorded_and_made_again(scene, tmp_path):
    calls = []
    settings = AnnotateSettings(max_frames=3)
    job = VideoJob(video=scene / "video.mp4", out=tmp_path, settings=settings, resume=False)
    time_stages(job, calls)
    names = [function.__name__ for function, _, _ in calls]
    images = [args[0] for function, args, _ in calls if function.__name__ == "forward_image"]
    assert sum(len(batch) for batch in images) == 3
    assert names.count("attend_to_memories") >= 2
    make_again(calls, AnnotateSettings())


def test_the_official_predictor_agrees_on_the_same_prompts(network, truth, images):
    prompts = object_prompts(truth, 4)
    official = OfficialTracker(predictor_like(network))
    streamed = follow_with_tracker(official, images, prompts)
    ours = Sam2Tracker(
        network,
        torch.device("cpu"),
        memory_rule=MemoryRule(least_presence=0.0),
        views="one",
        mask_choice=surest_masks,
    )
    assert mask_agreement(follow_with_tracker(ours, images, prompts), streamed) > 0.99
    whole = follow_with_predictor(predictor_like(network), images, prompts)
    assert len(whole) == len(images)
    # Here objects may overlap; apart from that it is the same predictor.
    assert mask_agreement(streamed, [masks.numpy() for masks in whole]) > 0.95


def test_objects_are_halved_until_there_are_enough(truth):
    frame = next(iter(truth.frames()))
    known = np.stack([decode_mask(track.rle) for track in frame.tracks])
    prompts = object_prompts(truth, 16)
    assert [prompt.track_id for prompt in prompts] == list(range(1, 17))
    together = np.stack([prompt.mask for prompt in prompts])
    assert together.any((1, 2)).all()
    assert (together.sum(0) == known.any(0)).all()
    few = object_prompts(truth, 2)
    assert sorted(np.count_nonzero(p.mask) for p in few) == sorted(known.sum((1, 2)))[-2:]


def test_a_repeated_video_shows_the_clip_again(scene, tmp_path):
    path = tmp_path / "long.mp4"
    repeat_video(scene / "video.mp4", 15, path)

    def decode(video):
        with av.open(str(video)) as container:
            return [
                (frame.time, frame.to_ndarray(format="rgb24"))
                for frame in container.decode(video=0)
            ]

    once, again = decode(scene / "video.mp4"), decode(path)
    assert len(again) == 18
    assert np.allclose([moment for moment, _ in again], np.arange(18) / 25)
    for place, (_, image) in enumerate(again):
        assert np.array_equal(image, once[place % 6][1])


def test_the_longer_of_two_masks_agree_only_in_part():
    first = np.zeros((1, 4, 4), bool)
    first[0, :2] = True
    second = np.zeros((1, 4, 4), bool)
    second[0, 0] = True
    assert mask_agreement([first], [second]) == 0.5
    assert mask_agreement([first & ~first], [second & ~second]) == 0


def test_a_part_that_fails_loses_no_other(tmp_path, monkeypatch):
    def fails(*_):
        raise RuntimeError("out of memory")

    monkeypatch.setattr("flows.bench.benchmark.measure_storage", fails)
    benchmark = Benchmark(
        folder=tmp_path, settings=AnnotateSettings(), parts=("storage", "decoders"),
        width=96, height=64, frames=4, rounds=1,
    )  # fmt: skip
    report = run_benchmark(benchmark)
    assert report["storage"] == {"failed": "out of memory"}
    assert "frames_per_second" in report["decoders"]


def test_loading_the_models_is_no_part_of_what_a_runtime_takes(scene, tmp_path, monkeypatch):
    timed, loaded = [False], []

    def timing(action):
        timed[0] = True
        action()
        timed[0] = False
        return 1.0

    def loading(*of_model):
        loaded.append(timed[0])
        return open_overseer(*of_model)

    monkeypatch.setattr("flows.bench.runtimes.find_spec", lambda name: None)
    monkeypatch.setattr("flows.bench.runtimes.seconds_of", timing)
    monkeypatch.setattr("flows.annotation_loops.open_overseer", loading)
    settings = AnnotateSettings(max_frames=2)
    job = VideoJob(video=scene / "video.mp4", out=tmp_path, settings=settings, resume=False)
    measured = measure_runtimes(job, 1)
    assert measured["annotate"]["bfloat16_times_as_fast"] == 1.0
    assert loaded and not any(loaded)


def test_where_openvino_is_missing_it_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr("flows.bench.runtimes.find_spec", lambda name: None)
    job = VideoJob(video=tmp_path, out=tmp_path, settings=AnnotateSettings())
    assert set(_ways(job)) == {"torch", "bfloat16"}
