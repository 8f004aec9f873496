"""Policies side by side, through the command line."""

import json
import weakref
from dataclasses import replace

import numpy as np
import pytest

from flows import compare
from pipeline.annotation_set import AnnotationSet, reader
from pipeline.exports import Selection, export
from pipeline.records import FrameAnnotation
from samples.theatre.render import render
from tests.conftest import annotated_frame, rectangle, write_set
from tests.small_data import save

FIGURES = {
    "j", "f", "j_and_f", "miou", "dice", "temporal_iou", "contour_distance",
    "warped_temporal_iou", "warped_contour_distance", "sasvi_temporal_iou", "flicker", "hota",
    "idf1", "id_switches", "overseer_calls", "prompts", "seconds",
}  # fmt: skip


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scene")
    render(seed=23, frame_count=12, width=160, height=96, folder=folder)
    return folder


def test_policies_are_compared_in_one_run(scopeline, scene, tmp_path):
    truth = ("--truth", scene / "truth.annset")
    code, out, err = scopeline(
        "compare", scene / "video.mp4", *truth, "--out", tmp_path,
        "--policies", "constellation,constellation-every-6,sasvi,framewise", "--json",
    )  # fmt: skip
    assert code == 0, err
    compared = json.loads(out)
    figures = compared["policies"]
    assert list(figures) == ["constellation", "constellation-every-6", "sasvi", "framewise"]
    for policy, measured in figures.items():
        assert measured.keys() >= FIGURES
        assert 0 <= measured["hota"] <= 1
        annotated = AnnotationSet(tmp_path / policy / "video.annset")
        assert annotated.manifest.settings["policy"] == policy.removesuffix("-every-6")
    assert figures["constellation"]["overseer_calls"] == 3
    assert figures["constellation-every-6"]["overseer_calls"] == 2
    assert figures["sasvi"]["overseer_calls"] == figures["framewise"]["overseer_calls"] == 12
    assert figures["framewise"]["prompts"] == 0 < figures["sasvi"]["prompts"]
    # True masks of a smooth video move as the picture does.
    assert compared["truth"]["flicker"] == 0
    assert (
        max(0.9, figures["framewise"]["warped_temporal_iou"])
        < compared["truth"]["warped_temporal_iou"]
    )


def test_the_table_names_every_policy(scopeline, scene):
    truth = ("--truth", scene / "truth.annset")
    code, out, _ = scopeline(
        "compare", scene / "video.mp4", *truth,
        "--policies", "first-frame, framewise", "--max-frames", "4",
    )  # fmt: skip
    assert code == 0
    for text in ("first-frame", "framewise", "HOTA", "id switches", "warped t-IoU", "truth"):
        assert text in out


@pytest.mark.parametrize("policy", ["given", "nonsense", "sasvi,"])
def test_a_policy_that_cannot_be_compared_is_wrong_use(scopeline, scene, policy):
    truth = ("--truth", scene / "truth.annset")
    code, _, err = scopeline("compare", scene / "video.mp4", *truth, "--policies", policy)
    assert code == 2
    wrong = policy.removeprefix("sasvi,")
    assert f"{wrong!r}; choose among constellation, sasvi, first-frame, framewise" in err


def test_a_truth_of_some_frames_has_no_steadiness_of_its_own(scopeline, scene, tmp_path):
    whole = AnnotationSet(scene / "truth.annset")
    frames = [frame for frame in whole.frames() if frame.index % 2]
    truth = write_set(tmp_path / "truth.annset", scene / "video.mp4", whole.label_set, frames)
    code, out, err = scopeline(
        "compare", scene / "video.mp4", "--truth", truth, "--policies", "first-frame", "--json"
    )
    assert code == 0, err
    assert json.loads(out)["truth"] == {}
    assert json.loads(out)["policies"]["first-frame"]["warped_temporal_iou"] > 0


def test_masks_of_some_frames_judge_the_frames_that_they_are_numbered_after(
    scopeline, scene, tmp_path
):
    truth = AnnotationSet(scene / "truth.annset")
    export(Selection(annotation_set=truth, every=3), "sasvi", tmp_path / "sasvi")
    masks = tmp_path / "masks"
    masks.mkdir()
    for path in (tmp_path / "sasvi").glob("*/*_rgb_mask.png"):
        path.rename(masks / path.name.replace("_rgb_mask", ""))
    labels = truth.label_set
    coloured = [
        replace(label, value=int.from_bytes(bytes(label.color))) for label in labels.classes
    ]
    meaning = replace(labels, classes=tuple(coloured), ignored_values=())
    (tmp_path / "labels.json").write_text(json.dumps(meaning.to_json()))
    given = ("--truth", masks, "--labels", tmp_path / "labels.json", "--json")
    code, out, err = scopeline("evaluate", truth.path, *given)
    assert code == 0, err
    assert (json.loads(out)["frames"], json.loads(out)["miou"]) == (4, 1)
    code, out, err = scopeline(
        "compare", scene / "video.mp4", *given, "--policies", "first-frame", "--max-frames", 4
    )
    assert code == 0, err
    assert json.loads(out)["policies"]["first-frame"]["frames"] == 2


@pytest.mark.parametrize("command", ["compare", "bench"])
def test_what_the_environment_sets_wrongly_is_named(scopeline, scene, monkeypatch, command):
    monkeypatch.setenv("SCOPELINE_STEADY", "2")
    what = (scene / "video.mp4", "--truth", scene / "truth.annset") if command == "compare" else ()
    code, out, err = scopeline(command, *what)
    assert (code, out) == (2, "")
    assert err.startswith("scopeline: SCOPELINE_STEADY: Input should be less than")


def test_a_policy_of_the_environment_is_none_that_is_compared(scopeline, scene, monkeypatch):
    monkeypatch.setenv("SCOPELINE_POLICY", "given")
    monkeypatch.setenv("SCOPELINE_PROMPTS", str(scene / "truth.annset"))
    code, out, err = scopeline(
        "compare", scene / "video.mp4", "--truth", scene / "truth.annset",
        "--policies", "framewise", "--max-frames", "2", "--json",
    )  # fmt: skip
    assert code == 0, err
    assert list(json.loads(out)["policies"]) == ["framewise"]


def test_masks_of_another_size_are_refused_before_anything_is_annotated(
    scopeline, scene, tmp_path, monkeypatch
):
    render(seed=1, frame_count=2, width=64, height=64, folder=tmp_path)
    truth = tmp_path / "truth.annset"
    monkeypatch.setattr("flows.compare.annotate_job", None)
    sizes = "has masks of 64x64, {} is 160x96; give the true masks of that video"
    for command, judged in (("compare", scene / "video.mp4"), ("evaluate", scene / "truth.annset")):
        code, _, err = scopeline(command, judged, "--truth", truth)
        assert code == 1
        assert f"{truth} {sizes.format(judged)}" in err


def test_a_class_by_another_name_is_said_before_anything_is_annotated(
    scopeline, scene, tmp_path, monkeypatch
):
    labels = {"classes": [{"id": 1, "name": "Instrument", "value": 255}]}
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    truth = tmp_path / "masks"
    save(truth / "0.png", np.full((96, 160), 255, np.uint8))
    monkeypatch.setattr("flows.compare.annotate_job", None)
    given = ("--truth", truth, "--labels", tmp_path / "labels.json", "--policies", "first-frame")
    _, _, err = scopeline("compare", scene / "video.mp4", *given)
    assert f"{truth} shows Instrument, but what is judged has no class" in err


class CountedFrame(FrameAnnotation):
    """A frame that knows how many like it there were at once."""

    living: weakref.WeakSet = weakref.WeakSet()
    most = 0

    def __init__(self, **fields):
        super().__init__(**fields)
        self.living.add(self)
        CountedFrame.most = max(CountedFrame.most, len(self.living))

    def __hash__(self):
        return id(self)


@pytest.mark.parametrize("measured", ["evaluate", "compare"])
def test_a_long_set_is_not_held_in_memory_while_it_is_judged(
    scopeline, labels, small_video, tmp_path, monkeypatch, measured
):
    """A part of 100 frames of each set is, and the next one while it is read."""
    mask = rectangle(4, 4, 14, 14, (64, 96))
    frames = [annotated_frame(index, t1_c1=mask) for index in range(1000)]
    path = write_set(tmp_path / "long.annset", small_video, labels, frames)
    monkeypatch.setattr(reader, "FrameAnnotation", CountedFrame)
    monkeypatch.setattr(CountedFrame, "most", 0)
    if measured == "evaluate":
        code, _, err = scopeline("evaluate", path, "--truth", path)
        assert code == 0, err
    else:
        annotated = AnnotationSet(path)
        assert compare._compare_with_truth(annotated, annotated)["frames"] == 1000
    assert 100 <= CountedFrame.most < 500
