"""The theatre: the same seed gives the same scene, and the truth is exact."""

import cv2
import numpy as np
import pytest

from pipeline.errors import InputError, UsageError
from pipeline.labels import CHOLECSEG8K
from samples.theatre import Theatre
from samples.theatre.clips import _clip_path
from samples.theatre.effects import Effects, draw_effects
from samples.theatre.looks import (
    FAMILIES,
    LAPAROSCOPIC,
    LOOKS,
    ROBOTIC,
    draw_noise,
    draw_style,
    find_scenery,
)
from samples.theatre.roster import FIRST_INSTRUMENT_TRACK


def small(seed, frame_count=60):
    return Theatre(seed=seed, width=160, height=96, frame_count=frame_count)


def test_a_frame_depends_on_seed_and_index_alone():
    in_order = [frame for frame, _ in zip(small(4), range(8), strict=False)]
    alone = small(4).frame(7)
    assert np.array_equal(in_order[7].image, alone.image)
    assert np.array_equal(in_order[7].track_map, alone.track_map)
    assert not np.array_equal(small(5).frame(7).image, alone.image)


def test_tracks_have_the_classes_of_cholecseg8k():
    for seed in range(5):
        theatre = small(seed)
        shown = np.unique(theatre.frame(20).track_map)
        for track_id in shown[shown > 0]:
            class_id = theatre.tracks[int(track_id)]
            assert class_id in CHOLECSEG8K
            is_thing = track_id >= FIRST_INSTRUMENT_TRACK
            assert is_thing == (CHOLECSEG8K[class_id].kind == "thing")


def test_instruments_enter_leave_and_return():
    """Over some scenes, instruments are seen to appear, to vanish and to come back."""
    patterns = set()
    for seed in range(6):
        theatre = small(seed, frame_count=300)
        visible = np.array(
            [
                [(theatre.frame(index).track_map == track).any() for index in range(0, 300, 15)]
                for track in theatre.tracks
                if track >= FIRST_INSTRUMENT_TRACK
            ]
        ).reshape(-1, 20)
        for row in visible:
            changes = np.diff(row.astype(int))
            patterns |= {"enters"} if (changes == 1).any() else set()
            patterns |= {"leaves"} if (changes == -1).any() else set()
            gone = np.flatnonzero(changes == -1)
            if len(gone) and (changes[gone[0] :] == 1).any():
                patterns.add("returns")
    assert patterns == {"enters", "leaves", "returns"}


def test_the_scene_moves_and_the_truth_moves_with_it():
    theatre = small(1)
    first, later = theatre.frame(0), theatre.frame(30)
    changed = np.mean(first.track_map != later.track_map)
    assert 0.005 < changed < 0.9


def test_the_black_surround_has_no_track():
    for seed in range(12):
        frame = small(seed).frame(10)
        if (frame.track_map == 0).mean() > 0.05:
            assert frame.image[frame.track_map == 0].mean() < 20
            return
    pytest.fail("no scene of twelve has a surround")


def test_unusable_sizes_and_indices_are_refused():
    with pytest.raises(ValueError, match="64x64"):
        Theatre(seed=1, width=32, height=32, frame_count=5)
    with pytest.raises(IndexError, match="frame 60"):
        small(1).frame(60)


def scene(effects=None, seed=3, look=LAPAROSCOPIC, family="training", frame_count=75):
    return Theatre(
        seed=seed,
        width=160,
        height=96,
        frame_count=frame_count,
        look=look,
        family=family,
        effects=effects,
    )


@pytest.mark.parametrize("look", LOOKS.values(), ids=list(LOOKS))
@pytest.mark.parametrize("family", FAMILIES)
def test_every_look_speaks_its_own_label_set(look, family):
    theatre = scene(seed=7, look=look, family=family)
    assert theatre.label_set is look.label_set
    shown = set()
    for index in (0, 37, 74):
        frame = theatre.frame(index)
        again = scene(seed=7, look=look, family=family).frame(index)
        assert np.array_equal(frame.image, again.image)
        shown |= set(np.unique(frame.track_map).tolist()) - {0}
    assert shown
    assert all(theatre.tracks[track_id] in theatre.label_set for track_id in shown)


def test_the_robotic_look_is_grey():
    image = scene(Effects(), look=ROBOTIC).frame(5).image
    assert np.ptp(image.astype(int), axis=2).max() <= 1


def test_families_share_neither_textures_nor_makers():
    random = np.random.default_rng(0)
    made = {
        family: (
            {draw_noise(random, family) for _ in range(20)},
            {draw_style(random, family, 1.0) for _ in range(20)},
        )
        for family in ("training", "heldout")
    }
    for training, heldout in zip(made["training"], made["heldout"], strict=True):
        assert not training & heldout
    # Held-out jaws are curved, which no instrument of the training family is.
    assert all(style.jaw_bend for style in made["heldout"][1])
    assert not any(style.jaw_bend for style in made["training"][1])


@pytest.mark.parametrize(
    "effect",
    [
        {"exposure_swing": 0.8},
        {"smoke": 0.9},
        {"fog": 0.5},
        {"drops": 6},
        {"shutter": 1.0},
        {"reflection": 0.6},
        {"push": 0.08},
        {"incisions": 3},
        {"bleeding": 0.2},
        {"jpeg_quality": 15},
    ],
    ids=lambda effect: next(iter(effect)),
)
def test_an_effect_changes_the_picture_of_the_same_scene(effect):
    without, with_effect = scene(Effects()), scene(Effects(**effect))
    differences = [
        np.abs(without.frame(i).image.astype(int) - with_effect.frame(i).image).mean()
        for i in range(10, 75, 16)
    ]
    assert max(differences) > 0.2


def test_a_scene_without_effects_is_drawn_from_the_same_seed_as_a_plain_one():
    drawn = draw_effects(np.random.default_rng(1))
    assert drawn == draw_effects(np.random.default_rng(1))
    assert scene(family="plain").effects == Effects()


def test_truth_is_empty_outside_the_body_and_cuts_are_flagged():
    theatre = scene(Effects(exits_per_minute=20, cuts_per_minute=20), frame_count=400)
    frames = [theatre.frame(index) for index in range(0, 400, 2)]
    outside = [frame for frame in frames if "out_of_body" in frame.flags]
    assert 0 < len(outside) < len(frames)
    assert all(not frame.track_map.any() and not frame.visible_share for frame in outside)
    flagged = [i for i in range(400) if "cut" in theatre.frame(i).flags]
    starts = [round(shot.start_s * 25 + 0.499) for shot in theatre._timeline.shots[1:]]
    assert flagged == starts


def test_what_a_swab_hides_has_a_visible_share_of_less_than_one():
    theatre = scene(Effects(swabs=3), frame_count=100)
    shares = [theatre.frame(index).visible_share for index in range(100)]
    bare = [scene(Effects(), frame_count=100).frame(i).visible_share for i in range(0, 100, 10)]
    lowest = {t: min(s.get(t, 1.0) for s in shares) for t in shares[0]}
    assert any(lowest[t] < 0.5 * min(s.get(t, 1.0) for s in bare) for t in lowest)
    assert all(0 <= share <= 1 for frame in shares for share in frame.values())


def test_twins_look_alike_and_move_apart():
    for seed in range(20):
        tools = scene(Effects(twins=1), seed=seed)._roster.tools
        if len(tools) >= 2:
            first, second = tools[:2]
            assert first._width == second._width
            assert np.array_equal(first._shaft_color, second._shaft_color)
            assert not np.array_equal(first._approach, second._approach)
            return
    pytest.fail("no scene of twenty has two instruments")


def test_a_twin_has_the_class_that_it_looks_like():
    mixed = 0
    for seed in range(40):
        built = scene(Effects(), seed=seed)._roster.tools
        twins = scene(Effects(twins=1), seed=seed)._roster.tools
        if len(built) >= 2 and built[0].kind != built[1].kind:
            mixed += 1
            assert (twins[1].kind, twins[1].class_id) == (built[0].kind, built[0].class_id)
    assert mixed


def test_cut_outs_of_photographs_move_in_front_of_another(tmp_path):
    random = np.random.default_rng(2)
    for name in ("a.jpg", "b.png"):
        noise = random.integers(0, 255, (12, 20, 3), np.uint8)
        cv2.imwrite(str(tmp_path / name), cv2.resize(noise, (320, 200)))
    (look,) = find_scenery(["photographs"], ["training"], tmp_path).looks
    theatre = scene(Effects(), seed=4, look=look)
    first, later = theatre.frame(0), theatre.frame(60)
    tracks = [track for track in theatre.tracks if track < 101]
    assert len(tracks) >= 2
    shown = [t for t in tracks if (first.track_map == t).any() and (later.track_map == t).any()]
    assert shown
    middles = [[np.argwhere(f.track_map == t).mean(0) for t in shown] for f in (first, later)]
    assert np.abs(np.subtract(*middles)).max() > 2
    assert {theatre.tracks[t] for t in shown} == {1}


def test_clips_of_other_photographs_are_other_clips(tmp_path):
    scenery = []
    for folder, color in (("red", (0, 0, 200)), ("blue", (200, 0, 0))):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "a.png"), np.full((60, 80, 3), color, np.uint8))
        scenery.append(find_scenery(["photographs"], ["plain"], tmp_path / folder))
    again = find_scenery(["photographs"], ["plain"], tmp_path / "red")
    red, blue, known = (_clip_path(7, tmp_path, each) for each in (*scenery, again))
    assert red != blue
    assert red == known


def test_looks_that_cannot_be_had_are_named(tmp_path):
    with pytest.raises(UsageError, match="needs --photographs"):
        find_scenery(["photographs"], ["plain"], None)
    with pytest.raises(UsageError, match="unknown look kitchen"):
        find_scenery(["kitchen"], ["plain"], None)
    with pytest.raises(InputError, match="holds no photographs"):
        find_scenery(["photographs"], ["plain"], tmp_path)
    with pytest.raises(UsageError, match="unknown family odd; choose one of plain"):
        find_scenery(["cataract"], ["odd"], None)


def test_families_take_turns_after_the_looks():
    scenery = find_scenery(["cataract", "robotic"], ["training", "plain"], None)
    assert [scenery.family(seed) for seed in range(5)] == [
        "training",
        "training",
        "plain",
        "plain",
        "training",
    ]
