"""A video with damaged frames in the middle, from the command line to the set and its exports."""

import json
import re

import av
import cv2
import numpy as np
import pytest

from pipeline.annotation_set import AnnotationSet
from pipeline.frames import open_video
from samples.theatre.render import render
from tests.small_data import damage

FRAMES = 24


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    """A rendered scene; where frames 9 to 11 are in the file, there are zeros."""
    folder = tmp_path_factory.mktemp("damaged")
    render(seed=7, frame_count=FRAMES, width=160, height=96, folder=folder)
    path = folder / "damaged.mp4"
    with av.open(str(folder / "video.mp4")) as source, av.open(str(path), "w") as target:
        stream = target.add_stream("h264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        # Each picture by itself, so that a damaged one takes no other with it.
        stream.options = {"g": "1", "bf": "0"}
        for frame in source.decode(video=0):
            target.mux(stream.encode(frame.reformat(format="yuv420p")))
        target.mux(stream.encode())
    damage(path, range(9, 12))
    return path


def annotated(scopeline, video, out, *options):
    code, printed, err = scopeline("annotate", video, "--out", out, "--json", *options)
    return code, json.loads(printed)["videos"][0], AnnotationSet(out / f"{video.stem}.annset"), err


def test_the_video_has_three_frames_that_do_not_decode(damaged):
    batches = list(open_video(damaged, "skip").batches(8))
    assert frozenset().union(*(batch.undecodable for batch in batches)) == {9, 10, 11}
    assert sum(len(batch) for batch in batches) == FRAMES


@pytest.mark.parametrize("policy", ["constellation", "framewise", "sasvi"])
def test_bad_frames_keep_their_index_and_are_flagged(scopeline, damaged, tmp_path, policy):
    options = ("--on-bad-frame", "skip", "--policy", policy)
    code, result, found, err = annotated(scopeline, damaged, tmp_path, *options)
    assert (code, result["state"], result["frames"]) == (0, "complete", FRAMES), err
    frames = list(found.frames())
    assert [frame.index for frame in frames] == list(range(FRAMES))
    assert np.allclose([frame.time_s for frame in frames], np.arange(FRAMES) / 25)
    assert [f.index for f in frames if "undecodable" in f.flags] == [9, 10, 11]
    for frame in frames[9:12]:
        assert not frame.tracks
        assert not frame.overseer_ran
    assert frames[8].tracks
    assert frames[12].tracks


def test_tracks_go_on_behind_the_bad_frames(scopeline, damaged, tmp_path):
    _, _, found, _ = annotated(scopeline, damaged, tmp_path, "--on-bad-frame", "skip")
    frames = list(found.frames())
    before = {track.track_id for track in frames[8].tracks}
    assert before & {track.track_id for track in frames[12].tracks}


def test_without_the_option_the_set_ends_before_them_and_says_why(scopeline, damaged, tmp_path):
    code, result, found, err = annotated(scopeline, damaged, tmp_path)
    assert code == 1
    named = re.search(rf"{damaged} cannot be decoded at frame (\d+) of 24", result["error"])
    assert "--on-bad-frame skip" in err
    assert found.manifest.state == "failed"
    assert found.manifest.failure == result["error"]
    assert 0 < len(list(found.frames())) == int(named[1]) <= 9


def test_a_set_with_bad_frames_can_be_exported(scopeline, damaged, tmp_path):
    _, _, found, _ = annotated(scopeline, damaged, tmp_path, "--on-bad-frame", "skip")
    code, _, err = scopeline("export", found.path, "--format", "mp4", "--out", tmp_path / "o.mp4")
    assert code == 0, err
    with av.open(str(tmp_path / "o.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == FRAMES


def test_a_damaged_picture_of_a_folder_is_skipped(scopeline, tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for index in range(4):
        cv2.imwrite(str(folder / f"{index}.png"), np.full((96, 160, 3), 40 * index, np.uint8))
    (folder / "2.png").write_bytes(b"PNG?")
    options = ("--on-bad-frame", "skip", "--policy", "framewise")
    code, _, err = scopeline("annotate", folder, "--out", tmp_path, *options)
    assert code == 0, err
    found = AnnotationSet(tmp_path / "frames.annset")
    assert [f.index for f in found.frames() if "undecodable" in f.flags] == [2]
