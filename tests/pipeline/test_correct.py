"""Corrections taken over: human masks are kept, what follows from them is tracked again."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from pipeline.annotation_set import AnnotationSet
from pipeline.annotation_set.writer import AnnotationSetWriter
from pipeline.corrections.correct import correct
from pipeline.corrections.plan import TrackPlan
from pipeline.manifest import Manifest
from pipeline.masks import decode_mask, encode_mask
from pipeline.records import Origin, PromptReason
from samples.theatre.render import render
from tests.conftest import annotated_frame, rectangle
from tracking.tracker import Sam2Tracker

SIZE = (64, 96)
COUNT = 40


def square(left, top=20):
    return rectangle(left, top, left + 20, top + 20, SIZE)


@pytest.fixture(scope="module")
def tracker(trained):
    return Sam2Tracker(trained, torch.device("cpu"), look_back=6)


class Pictures:
    """A bright square that moves by a pixel a frame over a dark ground; counts what is taken."""

    def __init__(self):
        self.taken = 0

    def __iter__(self):
        for index in range(COUNT):
            image = np.full((*SIZE, 3), 30, np.uint8)
            image[square(10 + index)] = (220, 200, 60)
            self.taken += 1
            yield index, image


def iou(first, second):
    return (first & second).sum() / (first | second).sum()


def masks_of(frame):
    return {track.track_id: decode_mask(track.rle) for track in frame.tracks}


def run(frames, tracker, *plans, pictures=None):
    tracker.reset()
    found = correct(
        frames,
        iter(pictures or Pictures()),
        plans={plan.track_id: plan for plan in plans},
        tracker=tracker,
        first_prompt_id=50,
    )
    return list(found)


WRONG = rectangle(2, 50, 30, 60, SIZE)
OTHER = rectangle(0, 0, 90, 30, SIZE)
# What a human draws has a mark that no tracker would see.
DRAWN = square(22) | rectangle(90, 60, 95, 63, SIZE)


@pytest.fixture(scope="module")
def corrected_by_hand(tracker):
    frames = [annotated_frame(index, t1_c1=WRONG, t2_c2=OTHER) for index in range(COUNT)]
    plan = TrackPlan(
        track_id=1,
        class_id=3,
        drawn={12: encode_mask(DRAWN)},
        absent={32: range(30, 35)},
        followed=(range(12, 20),),
        before=(range(8, 12),),
    )
    pictures = Pictures()
    return frames, run(frames, tracker, plan, pictures=pictures), pictures


def test_what_a_human_drew_is_kept_exactly(corrected_by_hand):
    _, found, _ = corrected_by_hand
    track = found[12].tracks[0]
    assert np.array_equal(decode_mask(track.rle), DRAWN)
    assert (track.origin, track.prompt_id) == (Origin.HUMAN, 50)
    (prompt,) = found[12].prompts
    assert (prompt.track_id, prompt.reason, prompt.prompt_id) == (1, PromptReason.HUMAN, 50)


def test_the_object_is_followed_both_ways(corrected_by_hand):
    _, found, _ = corrected_by_hand
    for index in (*range(8, 12), *range(13, 20)):
        track = found[index].tracks[0]
        assert iou(decode_mask(track.rle), square(10 + index)) > 0.6, index
        assert track.origin is (Origin.BACK_FILLED if index < 12 else Origin.PROPAGATED)
        assert track.prompt_id == 50


def test_all_else_stays_as_it_was(corrected_by_hand):
    frames, found, _ = corrected_by_hand
    assert [frame.index for frame in found] == list(range(COUNT))
    for index in (*range(8), *range(20, 30), *range(35, COUNT)):
        assert found[index].tracks[1] == frames[index].tracks[1]
        assert found[index].tracks[0] == replace(frames[index].tracks[0], class_id=3)
    for index in range(30, 35):
        assert [track.track_id for track in found[index].tracks] == [2]


def test_masks_do_not_overlap_and_the_corrected_one_wins(corrected_by_hand):
    _, found, _ = corrected_by_hand
    for frame in found[8:20]:
        masks = masks_of(frame)
        assert not (masks[1] & masks[2]).any()
        assert np.array_equal(masks[2], OTHER & ~masks[1])


def test_pictures_are_taken_only_as_far_as_they_are_needed(corrected_by_hand):
    _, _, pictures = corrected_by_hand
    assert pictures.taken == 20


def test_masks_of_earlier_corrections_give_way_to_new_ones_only(tracker):
    frames = [annotated_frame(index, t1_c1=WRONG, t2_c2=OTHER) for index in range(COUNT)]
    human = (frames[14].tracks[0], replace(frames[14].tracks[1], origin=Origin.HUMAN))
    frames[14] = replace(frames[14], tracks=human)
    plan = TrackPlan(
        track_id=1, class_id=1, drawn={12: encode_mask(DRAWN)}, followed=(range(12, 16),)
    )
    found = run(frames, tracker, plan)
    assert np.array_equal(masks_of(found[14])[2], OTHER)
    assert not (masks_of(found[14])[1] & OTHER).any()


def test_two_drawn_masks_that_overlap_are_both_kept(tracker):
    frames = [annotated_frame(index, t1_c1=WRONG, t2_c2=OTHER) for index in range(COUNT)]
    plans = [
        TrackPlan(track_id=track_id, class_id=1, drawn={5: encode_mask(mask)}, followed=(range(5, 6),))
        for track_id, mask in ((1, square(15)), (2, square(18)))
    ]  # fmt: skip
    masks = masks_of(run(frames, tracker, *plans)[5])
    assert np.array_equal(masks[1], square(15))
    assert np.array_equal(masks[2], square(18))


def test_between_two_drawn_masks_each_frame_is_tracked_from_the_nearer_one(tracker):
    frames = [annotated_frame(index) for index in range(COUNT)]
    plan = TrackPlan(
        track_id=1,
        class_id=1,
        drawn={5: encode_mask(OTHER), 15: encode_mask(square(25))},
        followed=(range(5, 15), range(15, 16)),
        before=(range(5, 5), range(11, 15)),
    )
    tracks = [frame.tracks[0] for frame in run(frames, tracker, plan)[5:16]]
    assert [track.prompt_id for track in tracks] == [50] * 6 + [51] * 5
    for number, track in enumerate(tracks[6:10]):
        assert track.origin is Origin.BACK_FILLED
        assert iou(decode_mask(track.rle), square(21 + number)) > 0.6


def test_a_frame_without_a_picture_keeps_what_was_drawn_on_it(tracker):
    frames = [annotated_frame(index, t2_c2=OTHER) for index in range(COUNT)]
    frames[8] = replace(frames[8], tracks=(), flags=("undecodable",))
    plan = TrackPlan(
        track_id=1,
        class_id=1,
        drawn={5: encode_mask(square(15)), 8: encode_mask(DRAWN), 12: encode_mask(square(22))},
        followed=(range(5, 8), range(12, 20)),
        before=(range(10, 12),),
    )
    found = run(frames, tracker, plan)
    assert [frame.index for frame in found if 1 in masks_of(frame)] == [5, 6, 7, 8, *range(10, 20)]
    assert np.array_equal(masks_of(found[8])[1], DRAWN)
    (prompt,) = found[8].prompts
    assert found[8].tracks[0].prompt_id == prompt.prompt_id == 51
    for index in (6, 7, 11, 13):
        assert iou(masks_of(found[index])[1], square(10 + index)) > 0.6, index


def test_frames_that_carry_no_masks_get_those_of_a_human_alone(tracker):
    flags = {7: ("out_of_body",), 8: ("blurred",), 9: ("black",), 11: ("blurred",)}
    frames = [replace(annotated_frame(index), flags=flags.get(index, ())) for index in range(COUNT)]
    plan = TrackPlan(
        track_id=1,
        class_id=1,
        drawn={5: encode_mask(square(15)), 9: encode_mask(DRAWN), 13: encode_mask(square(23))},
        followed=(range(5, 9), range(13, 15)),
        before=(range(10, 13),),
    )
    found = run(frames, tracker, plan)
    assert [frame.index for frame in found if masks_of(frame)] == [5, 6, 9, 10, 12, 13, 14]
    assert np.array_equal(masks_of(found[9])[1], DRAWN)


# Through the command line


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A scene whose truth has one track spoilt from frame 6 on, as if the tracker had drifted."""
    folder = tmp_path_factory.mktemp("scene")
    render(seed=7, frame_count=14, width=160, height=96, folder=folder)
    truth = AnnotationSet(folder / "truth.annset")
    frames = list(truth.frames())
    always = set.intersection(*(set(masks_of(frame)) for frame in frames))
    areas = {track_id: masks_of(frames[6])[track_id].sum() for track_id in always}
    track_id = min((t for t in always if areas[t] > 300), key=areas.__getitem__)
    with AnnotationSetWriter(folder / "video.annset", begun(truth.manifest)) as writer:
        for frame in frames:
            writer.add(tracked(frame, track_id if frame.index >= 6 else None))
    return folder, track_id


def begun(manifest):
    return Manifest(video=manifest.video, labels=manifest.labels)


def tracked(frame, spoilt):
    """The frame as if a tracker had seen it; one track has slipped to the right."""
    tracks = [replace(track, origin=Origin.PROPAGATED) for track in frame.tracks]
    for number, track in enumerate(tracks):
        if track.track_id == spoilt:
            slipped = np.roll(decode_mask(track.rle), 25, axis=1)
            tracks[number] = replace(track, rle=encode_mask(slipped))
    return replace(frame, tracks=tuple(tracks))


def correct_in_coco(scopeline, folder, tmp_path, change):
    """Export, let a human change the file, and import it."""
    tmp_path.mkdir(exist_ok=True)
    code, _, err = scopeline(
        "export", folder / "video.annset", "--format", "coco", "--images", "none",
        "--out", tmp_path / "coco",
    )  # fmt: skip
    assert code == 0, err
    path = tmp_path / "coco" / "annotations.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    code, _, err = scopeline(
        "import", path, "--format", "coco", "--set", folder / "video.annset",
        "--out", tmp_path / "fixed.annset",
    )  # fmt: skip
    assert code == 0, err
    return tmp_path / "fixed.annset"


def test_a_correction_mends_the_frames_after_it(scopeline, scene, tmp_path):
    folder, track_id = scene
    truth = [masks_of(frame) for frame in AnnotationSet(folder / "truth.annset").frames()]

    def draw(document):
        for entry in document["annotations"]:
            if (entry["image_id"], entry["track_id"]) == (6, track_id):
                rle = coco_mask.encode(np.asfortranarray(truth[6][track_id], np.uint8))
                entry["segmentation"]["counts"] = rle["counts"].decode()

    fixed = correct_in_coco(scopeline, folder, tmp_path, draw)
    arguments = (
        "annotate", folder / "video.mp4", "--corrections", fixed, "--out", tmp_path / "out",
        "--device", "cpu", "--json",
    )  # fmt: skip
    code, out, err = scopeline(*arguments)
    assert code == 0, err
    (result,) = json.loads(out)["videos"]
    assert (result["state"], result["frames"]) == ("complete", 14)
    before = list(AnnotationSet(folder / "video.annset").frames())
    after = list(AnnotationSet(tmp_path / "out" / "video.annset").frames())
    assert np.array_equal(masks_of(after[6])[track_id], truth[6][track_id])
    for index in range(7, 14):
        then = iou(masks_of(before[index])[track_id], truth[index][track_id])
        now = iou(masks_of(after[index])[track_id], truth[index][track_id])
        assert now > max(0.5, then), index
    written = (tmp_path / "out" / "video.annset" / "manifest.json").stat().st_mtime_ns
    assert scopeline(*arguments)[0] == 0
    assert (tmp_path / "out" / "video.annset" / "manifest.json").stat().st_mtime_ns == written


def test_what_was_deleted_stays_so_in_later_corrections(scopeline, scene, tmp_path):
    folder, track_id = scene

    def delete(document):
        document["annotations"] = [
            entry
            for entry in document["annotations"]
            if entry["track_id"] != track_id or entry["image_id"] not in range(8, 11)
        ]

    def draw(document):
        for entry in document["annotations"]:
            if (entry["image_id"], entry["track_id"]) == (6, track_id):
                drawn = rectangle(60, 20, 80, 40, tuple(entry["segmentation"]["size"]))
                rle = coco_mask.encode(np.asfortranarray(drawn, np.uint8))
                entry["segmentation"]["counts"] = rle["counts"].decode()

    for name, change in (("first", delete), ("second", draw)):
        fixed = correct_in_coco(scopeline, folder, tmp_path / name, change)
        code, _, err = scopeline(
            "annotate", scene[0] / "video.mp4", "--corrections", fixed, "--out", tmp_path / name,
            "--device", "cpu",
        )  # fmt: skip
        assert code == 0, err
        folder = tmp_path / name
        frames = list(AnnotationSet(folder / "video.annset").frames())
        shown = [frame.index for frame in frames if track_id in masks_of(frame)]
        assert set(range(8, 11)).isdisjoint(shown), name
        assert {6, 11, 13} <= set(shown), name
    assert next(t for t in frames[6].tracks if t.track_id == track_id).origin is Origin.HUMAN
    code, out, _ = scopeline("info", folder / "video.annset")
    assert code == 0
    assert "corrected 2 times" in " ".join(out.split())


def test_a_deleted_track_never_gives_its_id_away(scopeline, scene, tmp_path):
    folder, _ = scene
    video = folder / "video.mp4"
    ids = {
        track.track_id
        for f in AnnotationSet(folder / "video.annset").frames()
        for track in f.tracks
    }
    highest = max(ids)

    def delete(document):
        document["annotations"] = [
            entry for entry in document["annotations"] if entry["track_id"] != highest
        ]

    def draw(document):
        outline = [[2, 2, 30, 2, 30, 20, 2, 20]]
        document["annotations"].append(
            {"id": 999, "image_id": 3, "category_id": 5, "segmentation": outline}
        )

    first = correct_in_coco(scopeline, folder, tmp_path / "first", delete)
    once = tmp_path / "once"
    assert scopeline("annotate", video, "--corrections", first, "--out", once)[0] == 0
    second = correct_in_coco(scopeline, once, tmp_path / "second", draw)
    (drawn,) = [track for frame in AnnotationSet(second).frames() for track in frame.tracks]
    assert drawn.track_id == highest + 1


def test_without_changes_the_new_set_is_the_old_one(scopeline, scene, tmp_path):
    folder, _ = scene
    fixed = correct_in_coco(scopeline, folder, tmp_path, lambda document: None)
    code, _, err = scopeline(
        "annotate", folder / "video.mp4", "--corrections", fixed, "--out", tmp_path / "out"
    )
    assert code == 0, err
    before, after = (AnnotationSet(place / "video.annset") for place in (folder, tmp_path / "out"))
    assert list(after.frames()) == list(before.frames())
    assert after.manifest.software.items() >= {"runtime": "torch", "precision": "float32"}.items()


def test_corrections_that_do_not_fit_are_refused(scopeline, scene, tmp_path):
    folder, _ = scene
    fixed = correct_in_coco(scopeline, folder, tmp_path, lambda document: None)
    video = folder / "video.mp4"
    before = sorted((folder / "video.annset").rglob("*"))
    other = tmp_path / "other"
    render(seed=8, frame_count=2, width=160, height=96, folder=other)
    whole = AnnotationSet(folder / "video.annset")
    AnnotationSetWriter(tmp_path / "begun" / "video.annset", begun(whole.manifest))
    for arguments, code, problem in (
        ((video, "--corrections", folder / "video.annset", "--out", tmp_path), 1, "scopeline import"),
        ((video, "--corrections", fixed, "--out", folder), 2, "another --out"),
        ((video, "--corrections", fixed, "--out", folder, "--no-resume"), 2, "another --out"),
        ((other / "video.mp4", "--corrections", fixed, "--out", tmp_path), 1, "not the video"),
        ((video, video.with_name("x.mp4"), "--corrections", fixed, "--out", tmp_path), 2, "one video"),
        ((video, "--corrections", fixed, "--out", tmp_path, "--policy", "sasvi"), 2, "--policy"),
        ((video, "--corrections", fixed, "--out", tmp_path / "begun"), 1, "an unfinished set with"),
    ):  # fmt: skip
        found, _, err = scopeline("annotate", *arguments)
        assert found == code, err
        assert problem in err
    assert sorted((folder / "video.annset").rglob("*")) == before
    assert not (tmp_path / "video.annset").exists()


def test_a_set_that_changed_since_is_refused(scopeline, scene, tmp_path):
    folder, _ = scene
    fixed = correct_in_coco(scopeline, folder, tmp_path, lambda document: None)
    manifest = fixed / "manifest.json"
    document = json.loads(manifest.read_text())
    document["settings"]["corrects"]["sha256"] = "0" * 64
    manifest.write_text(json.dumps(document))
    code, _, err = scopeline(
        "annotate", folder / "video.mp4", "--corrections", fixed, "--out", tmp_path / "out"
    )
    assert code == 1
    assert "has changed since" in err
