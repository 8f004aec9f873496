"""A video is annotated at the size that the networks need, and stored at its own."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.settings import AnnotateSettings
from flows.standing_sets import set_to_keep
from flows.video_job import VideoJob, annotate_job
from pipeline.annotate import PromptedTracking
from pipeline.annotation_set import AnnotationSet
from pipeline.annotation_set.folders import remove_set
from pipeline.annotation_set.writer import AnnotationSetWriter, new_manifest
from pipeline.errors import AnnotationStoppedError, ScopelineError, SetOfAnotherJobError
from pipeline.masks import decode_mask
from samples.theatre.render import render
from tests.small_data import draw_video

SIZE = (720, 1280)
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def large_video(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    render(seed=11, frame_count=20, width=SIZE[1], height=SIZE[0], folder=folder)
    return folder / "video.mp4"


@pytest.fixture
def seen_sizes(monkeypatch):
    """The sizes of the pictures that the loop is given."""
    sizes = set()
    step = PromptedTracking.step

    def noted(self, batch):
        sizes.add(batch.images.shape[1:3])
        return step(self, batch)

    monkeypatch.setattr(PromptedTracking, "step", noted)
    return sizes


def test_paths_may_be_text():
    job = VideoJob(video="videos/op.mp4", out="sets", settings=AnnotateSettings())
    assert job.set_path == Path("sets/op.annset")


def annotated(video, out, **settings):
    job = VideoJob(video=video, out=out, settings=AnnotateSettings(device="cpu", **settings))
    return list(annotate_job(job).frames())


def overlap(frames, others):
    """Return the IoU of all that is annotated in two sets of the same video."""
    common = union = 0
    for frame, other in zip(frames, others, strict=True):
        first, second = (
            np.any([decode_mask(track.rle) for track in each.tracks], axis=0)
            for each in (frame, other)
        )
        common += (first & second).sum()
        union += (first | second).sum()
    return common / union


def test_pictures_are_as_small_as_the_networks_allow_and_masks_as_large_as_the_video(
    large_video, tmp_path, seen_sizes
):
    reduced = annotated(large_video, tmp_path / "reduced")
    assert seen_sizes == {(270, 480)}
    seen_sizes.clear()
    full = annotated(large_video, tmp_path / "full", pictures="full")
    assert seen_sizes == {SIZE}
    assert all(track.rle.size == SIZE for frame in reduced for track in frame.tracks)
    assert overlap(reduced, full) > 0.9


@pytest.mark.parametrize("settings", [{"steady": 0}, {"policy": "first-frame"}])
def test_what_is_not_steadied_is_worked_with_at_the_size_of_the_video(
    large_video, tmp_path, seen_sizes, settings
):
    annotated(large_video, tmp_path, max_frames=2, **settings)
    assert seen_sizes == {SIZE}


def test_a_stopped_annotation_of_reduced_pictures_goes_on_to_the_same_set(large_video, tmp_path):
    settings = AnnotateSettings(device="cpu")
    job = VideoJob(video=large_video, out=tmp_path / "stopped", settings=settings)
    with pytest.raises(AnnotationStoppedError):
        annotate_job(job, should_stop=lambda: True)
    assert list(annotate_job(job).frames()) == annotated(large_video, tmp_path / "whole")


FIND_AGAIN = """
import sys
from pathlib import Path
from flows.settings import AnnotateSettings
from flows.video_job import VideoJob, annotate_job

video, out = map(Path, sys.argv[1:])
settings = AnnotateSettings(policy="framewise", max_frames=1)
print(annotate_job(VideoJob(video=video, out=out, settings=settings)).is_complete)
print("torch" in sys.modules)
"""


def test_a_finished_set_is_found_without_loading_networks(tmp_path):
    video = tmp_path / "video.mp4"
    draw_video(video, 2)
    settings = AnnotateSettings(policy="framewise", max_frames=1)
    annotate_job(VideoJob(video=video, out=tmp_path, settings=settings))
    command = [sys.executable, "-c", FIND_AGAIN, video, tmp_path]
    assert subprocess.check_output(command, text=True).split() == ["True", "False"]


def test_a_set_is_replaced_only_when_nothing_is_wrong_with_the_job(tmp_path):
    video = tmp_path / "video.mp4"
    draw_video(video, 2)
    settings = AnnotateSettings(policy="framewise", max_frames=1)
    found = annotate_job(VideoJob(video=video, out=tmp_path, settings=settings))
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "model.json").write_text("{}")
    for wrong in ({"overseer": str(damaged)}, {"prompts": tmp_path / "none.annset"}):
        other = AnnotateSettings(**{"policy": "constellation", "max_frames": 2, **wrong})
        with pytest.raises(ScopelineError):
            annotate_job(VideoJob(video=video, out=tmp_path, settings=other, resume=False))
        assert AnnotationSet(found.path).is_complete
    settings = AnnotateSettings(policy="framewise", max_frames=2)
    job = VideoJob(video=video, out=tmp_path, settings=settings, resume=False)
    assert annotate_job(job).manifest.counts.frames == 2


def test_given_masks_that_have_changed_are_another_job(tmp_path):
    video, masks = tmp_path / "video.mp4", tmp_path / "masks"
    draw_video(video, 2)
    masks.mkdir()
    for left, again in ((10, 10), (10, 10), (50, None)):
        values = np.zeros((64, 96), np.uint8)
        values[10:40, left : left + 30] = 1
        Image.fromarray(values).save(masks / "0.png")
        settings = AnnotateSettings(policy="given", prompts=masks, device="cpu")
        job = VideoJob(video=video, out=tmp_path, settings=settings)
        if again is None:
            with pytest.raises(SetOfAnotherJobError, match="with other settings"):
                annotate_job(job)
        else:
            assert annotate_job(job).is_complete


def test_a_set_of_before_models_were_described_is_kept(tmp_path, clip_info, labels):
    described = {"name": "eyes", "sha256": "0" * 64, "description_sha256": "1" * 64}
    plain = {key: value for key, value in described.items() if key != "description_sha256"}
    path = tmp_path / "clip.annset"
    with AnnotationSetWriter(path, new_manifest(clip_info, labels, models={"overseer": plain})):
        pass
    wanted = new_manifest(clip_info, labels, models={"overseer": described})
    assert set_to_keep(path, wanted, resume=True).is_complete
    for change in ({"sha256": "2" * 64}, {"name": "other"}):
        other = new_manifest(clip_info, labels, models={"overseer": described | change})
        with pytest.raises(SetOfAnotherJobError, match="another overseer"):
            set_to_keep(path, other, resume=True)
    changed = described | {"description_sha256": "3" * 64}
    again = new_manifest(clip_info, labels, models={"overseer": changed})
    remove_set(path)
    with AnnotationSetWriter(path, wanted):
        pass
    with pytest.raises(SetOfAnotherJobError, match="another overseer"):
        set_to_keep(path, again, resume=True)
