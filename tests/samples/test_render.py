import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from pipeline.annotation_set import AnnotationSet
from pipeline.errors import OutputError
from pipeline.frames import open_video
from pipeline.labels import CHOLECSEG8K
from pipeline.masks import decode_mask
from samples.theatre import Theatre
from samples.theatre.clips import FIRST_TRAINING_SEED, _store_clip, clip_pool, draw_clip
from samples.theatre.looks import CATARACT, LAPAROSCOPIC, PLAIN_SCENERY, ROBOTIC, Scenery
from samples.theatre.render import render


def test_video_and_truth_belong_together(tmp_path):
    render(seed=11, frame_count=6, width=160, height=96, folder=tmp_path)
    video = open_video(tmp_path / "video.mp4")
    truth = AnnotationSet(tmp_path / "truth.annset")
    assert video.info.frame_count == truth.manifest.counts.frames == 6
    assert truth.manifest.video.sha256 == video.info.sha256
    assert truth.label_set == CHOLECSEG8K
    theatre = Theatre(seed=11, width=160, height=96, frame_count=6)
    images = np.concatenate([batch.images for batch in video.batches(6)])
    for annotation, drawn in zip(truth.frames(), theatre, strict=True):
        assert np.abs(images[drawn.index].astype(int) - drawn.image.astype(int)).mean() < 8
        for track in annotation.tracks:
            expected = drawn.track_map == track.track_id
            assert np.array_equal(decode_mask(track.rle), expected)
            assert track.class_id == theatre.tracks[track.track_id]


def test_a_pool_is_drawn_once_and_opened_again(tmp_path):
    options = {
        "folder": tmp_path,
        "seeds": [FIRST_TRAINING_SEED, FIRST_TRAINING_SEED + 1],
        "frame_count": 3,
        "width": 96,
        "height": 64,
        "workers": 1,
    }
    first = clip_pool(**options)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    told = []
    again = clip_pool(**options, on_progress=lambda done, total: told.append((done, total)))
    assert told == [(2, 2)]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")} == stamps
    expected = draw_clip(seed=FIRST_TRAINING_SEED, frame_count=3, width=96, height=64)
    for clip in (first[0], again[0]):
        assert np.array_equal(clip.images, expected.images)
        assert np.array_equal(clip.track_maps, expected.track_maps)
        assert clip.class_of_track == expected.class_of_track


def test_two_runs_may_draw_the_same_clip(tmp_path, monkeypatch):
    options = {"frame_count": 2, "width": 96, "height": 64, "scenery": PLAIN_SCENERY}
    _store_clip(FIRST_TRAINING_SEED, tmp_path, **options)
    (other,) = tmp_path.iterdir()
    # The other run finishes after this one looked, so this one draws the clip as well.
    seen = iter([False, True])
    monkeypatch.setattr(Path, "exists", lambda _: next(seen))
    _store_clip(FIRST_TRAINING_SEED, tmp_path, **options)
    assert list(tmp_path.iterdir()) == [other]


def test_a_full_disk_of_clips_is_one_sentence_and_leaves_no_half_clip(tmp_path, monkeypatch):
    def full(*_):
        raise OSError("5971968 requested and 2051968 written")

    monkeypatch.setattr(np, "save", full)
    options = {"frame_count": 2, "width": 96, "height": 64, "scenery": PLAIN_SCENERY}
    with pytest.raises(OutputError, match=r"cannot be written \(5971968 requested .*; free space"):
        _store_clip(FIRST_TRAINING_SEED, tmp_path, **options)
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="set XDG_CACHE_HOME to another"):
        clip_pool(folder=tmp_path / "file", seeds=[1], frame_count=2, width=96, height=64)


def test_what_draws_clips_ends_with_the_process_that_started_it(tmp_path):
    """A training that is killed meanwhile leaves no process behind, and no half clip."""
    drawing = (
        "from pathlib import Path; from samples.theatre.clips import clip_pool; clip_pool("
        f"folder=Path({str(tmp_path)!r}), seeds=range(999), frame_count=1, width=96, height=64)"
    )
    training = subprocess.Popen([sys.executable, "-c", drawing])
    while not list(tmp_path.glob("*/plain-*")):
        assert training.poll() is None
        time.sleep(0.02)
    workers = psutil.Process(training.pid).children(recursive=True)
    training.kill()
    training.wait()
    _, alive = psutil.wait_procs(workers, timeout=20)
    for worker in alive:
        worker.kill()
    assert workers
    assert not alive
    assert not list(tmp_path.glob("*/.*"))


def test_the_truth_of_a_rich_scene_holds_flags_and_visible_shares(tmp_path):
    scenery = Scenery(looks=(CATARACT,), families=("heldout",))
    render(seed=40, frame_count=60, width=96, height=64, folder=tmp_path, scenery=scenery)
    truth = AnnotationSet(tmp_path / "truth.annset")
    theatre = Theatre(seed=40, width=96, height=64, frame_count=60, look=CATARACT, family="heldout")
    assert truth.label_set.name == "CaDIS"
    assert truth.manifest.settings["family"] == "heldout"
    for annotation in truth.frames():
        frame = theatre.frame(annotation.index)
        assert annotation.flags == frame.flags
        for track in annotation.tracks:
            assert track.presence == pytest.approx(frame.visible_share[track.track_id], abs=1e-6)


def test_seeds_take_turns_with_the_looks():
    scenery = Scenery(looks=(LAPAROSCOPIC, ROBOTIC), families=("training",))
    assert [scenery.look(seed).name for seed in (0, 1, 2)] == [
        "laparoscopic",
        "robotic",
        "laparoscopic",
    ]
    clip = draw_clip(seed=100_001, frame_count=2, width=96, height=64, scenery=scenery)
    assert set(clip.class_of_track.values()) <= {1}
