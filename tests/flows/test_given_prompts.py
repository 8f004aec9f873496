"""Prompts from true masks: of which frames, and as what kind of hint."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from flows import given_prompts
from flows.given_prompts import given_policy, open_given, read_given_prompts
from pipeline.annotation_set.writer import AnnotationSetWriter, new_manifest
from pipeline.errors import InputError
from pipeline.labels import LabelSet, joined
from pipeline.records import PromptReason, TrackedMasks
from tests.conftest import annotated_frame, rectangle

LEFT = rectangle(4, 4, 14, 14)
RIGHT = rectangle(24, 4, 34, 14)
SPECK = rectangle(24, 4, 25, 5)
SAME = {1: 1, 2: 2}


@pytest.fixture
def given(tmp_path, clip_info, labels):
    """Track 1 shows from frame 0, track 2 enters as a speck on frame 1 and is whole on 2."""
    path = tmp_path / "true.annset"
    with AnnotationSetWriter(path, new_manifest(clip_info, labels)) as writer:
        writer.add(annotated_frame(0, t1_c1=LEFT))
        writer.add(annotated_frame(1, t1_c1=LEFT, t2_c2=SPECK))
        writer.add(annotated_frame(2, t1_c1=LEFT, t2_c2=RIGHT))
        writer.add(annotated_frame(3, t1_c1=LEFT, t2_c2=RIGHT))
    return open_given(path, None)


def test_masks_of_the_named_frames(given, clip_info):
    prompts = read_given_prompts(given, clip_info, SAME, frames=(0, 2), kind="mask")
    assert {frame: [p.track_id for p in of_frame] for frame, of_frame in prompts.items()} == {
        0: [1],
        2: [1, 2],
    }
    assert np.array_equal(prompts[2][1].mask, RIGHT)
    assert prompts[2][1].reason is PromptReason.HUMAN
    assert prompts[2][1].class_id == 2


def test_masks_of_some_frames_prompt_on_those_that_they_are_numbered_after(tmp_path, clip_info):
    for number in (0, 30, 60):
        values = LEFT.astype(np.uint8) * (1 + number // 30)
        Image.fromarray(values).save(tmp_path / f"{number:05}.png")
    given = open_given(tmp_path, None)
    classes = {1: 1, 2: 2, 3: 3}
    for frames in ((0, 30, 60), "first"):
        prompts = read_given_prompts(given, clip_info, classes, frames=frames, kind="mask")
        assert {frame: [p.track_id for p in of_frame] for frame, of_frame in prompts.items()} == {
            0: [1],
            30: [2],
            60: [3],
        }


def test_first_waits_until_an_object_has_entered(given, clip_info, monkeypatch):
    monkeypatch.setattr("flows.given_prompts._ENTERED_AREA_SHARE", 0.01)
    prompts = read_given_prompts(given, clip_info, SAME, frames="first", kind="mask")
    assert {frame: [p.track_id for p in of_frame] for frame, of_frame in prompts.items()} == {
        0: [1],
        2: [2],
    }


@pytest.mark.parametrize("kind", ["mask", "box", "points"])
def test_a_mask_without_pixels_is_no_prompt(tmp_path, clip_info, labels, kind):
    path = tmp_path / "gone.annset"
    with AnnotationSetWriter(path, new_manifest(clip_info, labels)) as writer:
        writer.add(annotated_frame(0, t1_c1=LEFT, t2_c2=np.zeros_like(LEFT)))
    given = open_given(path, None)
    prompts = read_given_prompts(given, clip_info, SAME, frames=(0,), kind=kind)
    assert [prompt.track_id for prompt in prompts[0]] == [1]


def test_a_mask_becomes_its_box_or_points_in_it(given, clip_info):
    (box,) = read_given_prompts(given, clip_info, SAME, frames=(0,), kind="box")[0]
    assert box.kind == "box"
    assert box.box.tolist() == [4, 4, 14, 14]
    (points,) = read_given_prompts(given, clip_info, SAME, frames=(0,), kind="points")[0]
    assert points.points.shape == (5, 3)
    assert all(LEFT[int(y), int(x)] for x, y, _ in points.points)
    assert set(points.points[:, 2]) == {1}


def test_what_does_not_fit_is_named(given, clip_info):
    with pytest.raises(InputError, match="has no frame 9"):
        read_given_prompts(given, clip_info, SAME, frames=(0, 9), kind="mask")
    with pytest.raises(InputError, match="masks of 48x32, clip.mp4 is 96x32"):
        read_given_prompts(given, replace(clip_info, width=96), SAME, frames="first", kind="mask")


@pytest.fixture
def plain_masks(tmp_path, labels):
    """Two graspers over liver in one picture, and a frame with liver only."""
    both = np.where(LEFT | RIGHT, 255, 0) + np.where(rectangle(0, 20, 48, 32), 90, 0)
    for index, values in enumerate([both, np.where(rectangle(0, 20, 48, 32), 90, 0)]):
        Image.fromarray(values.astype(np.uint8)).save(tmp_path / f"{index}.png")
    (tmp_path / "labels.json").write_text(json.dumps(labels.to_json()))
    return tmp_path


def test_the_parts_of_a_thing_in_a_plain_mask_are_prompted_one_by_one(plain_masks, clip_info):
    source = open_given(plain_masks, plain_masks / "labels.json")
    policy = given_policy(source, clip_info, source.label_set, frames=(0, 1), kind="mask")
    first = policy.decide(0, None, TrackedMasks.empty(32, 48))
    assert [(p.track_id, p.class_id) for p in first.prompts] == [(1, 1), (2, 1), (3, 2)]
    assert [int(p.mask.sum()) for p in first.prompts] == [100, 100, 12 * 48]
    # The liver is one track, though the tracker has lost it.
    (liver,) = policy.decide(1, None, TrackedMasks.empty(32, 48)).prompts
    assert liver.track_id == 3


def test_without_a_label_set_a_value_is_one_object(plain_masks, clip_info):
    source = open_given(plain_masks, None)
    policy = given_policy(source, clip_info, source.label_set, frames=(0,), kind="mask")
    prompts = policy.decide(0, None, TrackedMasks.empty(32, 48)).prompts
    assert sorted(prompt.class_id for prompt in prompts) == [90, 255]


def test_classes_are_known_by_their_name_where_the_prompts_go(plain_masks, clip_info, labels):
    source = open_given(plain_masks, plain_masks / "labels.json")
    liver, grasper = labels[2], labels[1]
    other = LabelSet(name="other", classes=(replace(liver, id=1, value=1),))
    policy = given_policy(source, clip_info, other, frames=(0,), kind="mask")
    first = policy.decide(0, None, TrackedMasks.empty(32, 48))
    assert sorted(prompt.class_id for prompt in first.prompts) == [1, 2, 2]
    assert joined(other, labels)[0][2].name == grasper.name


def test_masks_are_decoded_when_their_frame_comes_and_not_kept(given, clip_info, monkeypatch):
    decoded = []
    decode = given_prompts.decode_mask
    monkeypatch.setattr(given_prompts, "decode_mask", lambda rle: decoded.append(1) or decode(rle))
    prompts = read_given_prompts(given, clip_info, SAME, frames=(0, 2, 3), kind="mask")
    assert list(prompts) == [0, 2, 3]
    assert 2 in prompts
    assert 1 not in prompts
    assert not decoded
    assert len(prompts[2]) == len(decoded) == 2


def test_a_frame_that_the_video_has_not_is_named(given, clip_info):
    short = replace(clip_info, frame_count=3)
    with pytest.raises(InputError, match="has no frame 3, of 3 in all; give --prompt-frames"):
        read_given_prompts(given, short, SAME, frames=(0, 3), kind="mask")
    assert list(read_given_prompts(given, short, SAME, frames=(0, 2), kind="mask")) == [0, 2]
