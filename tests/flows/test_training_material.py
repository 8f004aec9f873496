"""What a training learns from and is measured on: frames of different videos."""

import re
from dataclasses import replace

import pytest

from flows.training.material import labelled_material
from flows.training.train import train_overseer_job
from pipeline.errors import InputError, UsageError
from pipeline.labels import CHOLECSEG8K, INSTRUMENTS
from tests.conftest import annotated_frame, rectangle, write_set
from tests.small_data import edited_json
from tests.small_training import TINY, data_job, drawn_clips, job, write_data_set

__all__ = ["data_job", "drawn_clips", "job"]


def test_validation_data_gives_the_curve(job, tmp_path):
    write_data_set(tmp_path / "data", 2)
    write_data_set(tmp_path / "other", 2, brightness=50)
    job = replace(job, data=str(tmp_path / "data"), validation_data=tmp_path / "other")
    folder = train_overseer_job(job, config=TINY, batch_size=1)
    assert re.search(r"other, curve .*AP50 0\.\d+", (folder / "README.md").read_text())


def test_annotation_sets_are_measured_on_where_their_classes_are_those_of_others(job, tmp_path):
    mask = rectangle(10, 10, 50, 40, size=(64, 96))
    for number, classes in enumerate((INSTRUMENTS, INSTRUMENTS, CHOLECSEG8K)):
        place = tmp_path / f"op{number}"
        write_data_set(place, 1, brightness=40 * number)
        frames = [annotated_frame(0, t1_c1=mask)]
        video = (place / "images").rename(place / f"op{number}")
        write_set(place / f"op{number}.annset", video, classes, frames, models={})
    job = replace(
        job, data=str(tmp_path / "op0"), layout="annset", validation_data=tmp_path / "op1"
    )
    assert labelled_material(job, 96).validation.videos == ("op1",)
    with pytest.raises(InputError, match=r"op2 has other classes than .*op0; give --validation-da"):
        labelled_material(replace(job, validation_data=tmp_path / "op2"), 96)


def test_validation_data_of_the_same_videos_is_refused(job, tmp_path):
    write_data_set(tmp_path / "a/op1", 2)
    write_data_set(tmp_path / "b/op1", 2, brightness=50)
    write_data_set(tmp_path / "b/op2", 2)
    job = replace(job, data=str(tmp_path / "a/op1"))
    with pytest.raises(UsageError, match="both hold frames of op1; keep all frames of a video on"):
        train_overseer_job(replace(job, validation_data=tmp_path / "b"), config=TINY, batch_size=1)
    with pytest.raises(UsageError, match=r"op2/images/0.png .* same picture as .*op1/images/0.png"):
        train_overseer_job(
            replace(job, validation_data=tmp_path / "b/op2"), config=TINY, batch_size=1
        )


def test_a_data_set_is_divided_by_video(job, tmp_path, capfd):
    for number in range(3):
        write_data_set(tmp_path / f"data/op{number}", 2, brightness=50 * number)
    job = replace(job, data=str(tmp_path / "data"), validation_split=0.3)
    folder = train_overseer_job(job, config=TINY, batch_size=1)
    said = " ".join(capfd.readouterr().err.split())
    (video,) = re.findall(r"measured on 2 frames, those of (op\d); 4 frames are learned from", said)
    card = (folder / "README.md").read_text()
    assert re.search(f"on its videos {video}, which it did not learn from, .*AP50 0\\.\\d+", card)
    assert "--validation-split 0.3" in card


def test_videos_to_measure_on_and_to_leave_out_are_named(job, tmp_path, capfd):
    for number in range(4):
        write_data_set(tmp_path / f"data/op{number}", 2, brightness=50 * number)
    job = replace(
        job, data=str(tmp_path / "data"), validation_videos="op1,op3", left_out_videos="op2"
    )
    folder = train_overseer_job(job, config=TINY, batch_size=1)
    said = " ".join(capfd.readouterr().err.split())
    assert "left out: 2 frames, those of op2" in said
    assert "measured on 4 frames, those of op1, op3; 2 frames are learned from" in said
    card = (folder / "README.md").read_text()
    assert "layout masks, without its videos op2\n" in card
    assert re.search(
        r"on its videos op1,op3, which it did not learn from, curve .*AP50 0\.\d+", card
    )
    assert "--validation-videos op1,op3 --leave-out-videos op2" in card
    with pytest.raises(UsageError, match="another validation_videos; choose another --out"):
        train_overseer_job(replace(job, validation_videos="op3"), config=TINY, batch_size=1)
    with pytest.raises(UsageError, match="another left_out_videos; choose another --out"):
        train_overseer_job(replace(job, left_out_videos=None), config=TINY, batch_size=1)


def test_videos_that_cannot_be_named_are_wrong_use(job, tmp_path):
    for number in range(2):
        write_data_set(tmp_path / f"data/op{number}", 2, brightness=50 * number)
    data_job = replace(job, data=str(tmp_path / "data"), validation_videos="op1")
    for wrong, said in (
        (replace(data_job, validation_videos="op7"), "has no video 'op7'; name some of op0, op1"),
        (replace(data_job, validation_split=0.5), "only one of --validation-split and"),
        (replace(data_job, validation_data=tmp_path), "only one of --validation-data and"),
        (replace(job, validation_videos="op1"), "and --leave-out-videos go with a data set"),
        (replace(job, left_out_videos="op1"), "and --leave-out-videos go with a data set"),
    ):
        with pytest.raises(UsageError, match=said):
            train_overseer_job(wrong, config=TINY, batch_size=1)
    # A video that is left out is not measured on from elsewhere either.
    write_data_set(tmp_path / "other/op1", 1, brightness=90)
    elsewhere = replace(
        job,
        data=str(tmp_path / "data"),
        validation_data=tmp_path / "other/op1",
        left_out_videos="op1",
    )
    with pytest.raises(UsageError, match="both hold frames of op1"):
        train_overseer_job(elsewhere, config=TINY, batch_size=1)
    assert not job.out.exists()


def test_a_left_out_video_is_not_learned_from_by_its_pseudo_labels(job, tmp_path):
    for number in range(2):
        write_data_set(tmp_path / f"data/op{number}", 2, brightness=50 * number)
    write_data_set(tmp_path / "unlabelled", 1)
    frames = [annotated_frame(0, t1_c1=rectangle(10, 10, 50, 40, size=(64, 96)))]
    video = tmp_path / "unlabelled/images"
    annotated = write_set(tmp_path / "op1.annset", video, INSTRUMENTS, frames, models={})
    with edited_json(annotated / "manifest.json") as manifest:
        manifest["video"]["name"] = "op1"
    job = replace(
        job,
        data=str(tmp_path / "data"),
        left_out_videos="op1",
        pseudo_labels=(annotated,),
    )
    with pytest.raises(InputError, match="all these sets are measured on or left out"):
        train_overseer_job(job, config=TINY, batch_size=2)


def test_a_split_that_cannot_be_is_wrong_use(job, tmp_path):
    write_data_set(tmp_path / "data", 2)
    alone = replace(job, data=str(tmp_path / "data"), validation_split=0.5)
    with pytest.raises(UsageError, match=r"one video only \(data\), which a split never divides"):
        train_overseer_job(alone, config=TINY, batch_size=1)
    both = replace(alone, validation_data=tmp_path)
    with pytest.raises(UsageError, match="only one of --validation-data and --validation-split"):
        train_overseer_job(both, config=TINY, batch_size=1)
    with pytest.raises(UsageError, match="the theatre has --validation-clips"):
        train_overseer_job(replace(job, validation_split=0.5), config=TINY, batch_size=1)
