"""Learning from annotation sets: what is trusted, what is ignored, and what is refused."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from flows.job_identity import describe_overseer
from flows.training.train import _open_same_overseer
from overseer.pseudo_labels import MadeBy, read_pseudo_labels
from overseer.validation import agreement
from pipeline.errors import InputError
from pipeline.labelled_clip import IGNORED
from pipeline.labels import LabelSet
from pipeline.records import Detections
from tests.conftest import annotated_frame, rectangle, write_set

SIZE = (64, 96)
MODELS = {"overseer": {"name": "eyes", "sha256": "0" * 64}}
LEFT, RIGHT = rectangle(4, 4, 34, 40, SIZE), rectangle(60, 4, 90, 40, SIZE)


class Eyes:
    """An overseer that finds the same on every frame."""

    def __init__(self, *objects):
        self.opened = []
        self._found = detections(*objects)

    def open(self, made_by):
        self.opened.append(made_by.name)
        return self

    def detect(self, images):
        return [self._found for _ in images]


def detections(*objects):
    return Detections.from_masks(
        class_ids=np.array([class_id for class_id, _, _ in objects], np.int64),
        scores=np.array([score for _, _, score in objects], np.float32),
        masks=np.array([mask for _, mask, _ in objects], bool).reshape(-1, *SIZE),
    )


def sure_frame(index, **masks):
    frame = annotated_frame(index, **masks)
    return replace(frame, tracks=tuple(replace(track, quality=0.9) for track in frame.tracks))


def read(paths, labels, eyes, measured_videos=()):
    return read_pseudo_labels(paths, labels, eyes.open, 96, measured_videos)


def test_agreement_is_the_mean_iou_over_the_classes_of_either():
    frame = annotated_frame(0, t1_c1=LEFT, t2_c2=RIGHT)
    assert agreement(frame, detections((1, LEFT, 0.9), (2, RIGHT, 0.9))) == 1
    assert agreement(frame, detections((1, LEFT, 0.9))) == 0.5
    assert agreement(annotated_frame(0, t1_c1=LEFT), detections((2, RIGHT, 0.9))) == 0
    assert agreement(frame, detections()) == 0


def test_frames_count_by_quality_and_agreement(tmp_path, small_video, labels):
    frames = [sure_frame(0, t1_c1=LEFT), annotated_frame(1, t1_c1=LEFT)]
    frames += [sure_frame(2, t1_c1=RIGHT), sure_frame(3)]
    path = write_set(tmp_path / "small.annset", small_video, labels, frames, models=MODELS)
    eyes = Eyes((1, LEFT, 0.9))
    found = read([tmp_path], labels, eyes)
    # The third is where the overseer sees nothing; the fourth has nothing to learn.
    assert found.weights.tolist() == pytest.approx([0.9, 0.5])
    assert [round(clip.images.mean() / 20) for clip in found.clips] == [0, 1]
    assert not found.left_out
    assert eyes.opened == ["eyes"]
    assert path.exists()


def test_what_the_tracker_doubts_is_neither_object_nor_background(tmp_path, small_video, labels):
    frame = sure_frame(0, t1_c1=LEFT, t2_c2=RIGHT)
    doubted = replace(frame.tracks[1], quality=0.4)
    path = write_set(
        tmp_path / "small.annset",
        small_video,
        labels,
        [replace(frame, tracks=(frame.tracks[0], doubted))],
        models=MODELS,
    )
    found = read([path], labels, Eyes((1, LEFT, 0.9), (2, RIGHT, 0.9)))
    (clip,) = found.clips
    assert clip.class_of_track == {1: 1}
    assert clip.track_maps[0][20, 20] == 1
    assert clip.track_maps[0][20, 75] == IGNORED


def test_videos_that_are_measured_on_are_not_learned_from(tmp_path, small_video, labels):
    other_video = small_video.rename(tmp_path / "other.mp4")
    frames = [sure_frame(0, t1_c1=LEFT)]
    other = write_set(tmp_path / "other.annset", other_video, labels, frames, models=MODELS)
    shutil.copy(other_video, small_video)
    write_set(tmp_path / "small.annset", small_video, labels, frames, models=MODELS)
    found = read([tmp_path], labels, Eyes((1, LEFT, 0.9)), {"other"})
    assert len(found.clips) == 1
    assert found.left_out == [other]
    # Layouts name videos by folders, too.
    for name in ("site/other", "other/frame", "site/other/IMG", "other.avi", "other.avi/frame"):
        assert read([tmp_path], labels, Eyes((1, LEFT, 0.9)), {name}).left_out == [other]
    for name in ("frame", "another/frame", "other/site", "other.1"):
        assert not read([tmp_path], labels, Eyes((1, LEFT, 0.9)), {name}).left_out
    with pytest.raises(InputError, match="all these sets are measured on"):
        read([tmp_path], labels, Eyes((1, LEFT, 0.9)), {tmp_path.name})
    with pytest.raises(InputError, match="all these sets are measured on"):
        read([tmp_path], labels, Eyes((1, LEFT, 0.9)), {"other", "small"})


def test_classes_are_matched_by_their_names(tmp_path, small_video, labels):
    path = write_set(
        tmp_path / "small.annset", small_video, labels, [sure_frame(0, t1_c1=LEFT)], models=MODELS
    )
    renumbered = LabelSet(
        name="other", classes=tuple(replace(label, id=label.id + 4) for label in labels.classes)
    )
    (clip,) = read([path], renumbered, Eyes((1, LEFT, 0.9))).clips
    assert clip.class_of_track == {1: 5}
    fewer = LabelSet(name="other", classes=labels.classes[:2])
    with pytest.raises(InputError, match="class Liver that label set other does not know"):
        read([path], fewer, Eyes((1, LEFT, 0.9)))


def test_what_cannot_be_learned_from_is_refused(tmp_path, small_video, labels):
    with pytest.raises(InputError, match="nowhere does not exist; give what `annotate` wrote"):
        read([tmp_path / "nowhere"], labels, Eyes())
    with pytest.raises(InputError, match="holds no annotation set"):
        read([tmp_path], labels, Eyes())
    frames = [sure_frame(0, t1_c1=LEFT)]
    path = write_set(tmp_path / "small.annset", small_video, labels, frames, models=MODELS)
    with pytest.raises(InputError, match="agree on no frame well enough"):
        read([path], labels, Eyes((1, RIGHT, 0.9)))
    bare = write_set(tmp_path / "bare.annset", small_video, labels, frames, models={})
    with pytest.raises(InputError, match="made without an overseer"):
        read([bare], labels, Eyes())


def test_what_an_overseer_of_other_weights_has_made_is_refused(tmp_path):
    made_by = MadeBy(path=tmp_path / "op.annset", name="scopeline", weights=None, sha256="0" * 64)
    with pytest.raises(InputError, match=r"op\.annset was made by an overseer scopeline of other"):
        _open_same_overseer(None, torch.device("cpu"), made_by)
    now = replace(made_by, sha256=describe_overseer("scopeline")["sha256"])
    opened = _open_same_overseer(lambda *which: which, torch.device("cpu"), now)
    assert opened == ("scopeline", torch.device("cpu"), None)


def test_a_published_overseer_is_opened_from_the_file_that_it_was_then(
    tmp_path, small_video, labels
):
    opened = []

    def note(made_by):
        opened.append((made_by.name, made_by.weights, made_by.sha256))
        return Eyes((1, LEFT, 0.9))

    frames = [sure_frame(0, t1_c1=LEFT)]
    path = write_set(
        tmp_path / "small.annset", small_video, labels, frames, models=MODELS,
        settings={"overseer_weights": "cadis.pth"},
    )  # fmt: skip
    read_pseudo_labels([path], labels, note, 96, ())
    assert opened == [("eyes", Path("cadis.pth"), "0" * 64)]
