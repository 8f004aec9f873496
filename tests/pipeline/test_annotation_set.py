"""The set on disk: written, read back, and read by public tools alone."""

import json
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pycocotools import mask as coco_mask
from safetensors import SafetensorError

from pipeline import loop_state
from pipeline.annotation_set import AnnotationSet
from pipeline.annotation_set import writer as annotation_set_writer
from pipeline.annotation_set.folders import remove_set
from pipeline.annotation_set.writer import AnnotationSetWriter, new_manifest, resumable_state
from pipeline.errors import InputError, OutputError
from pipeline.loop_state import LoopState
from pipeline.records import FrameAnnotation, PromptReason, PromptRecord
from tests.conftest import annotated_frame, rectangle
from tests.small_data import close_to_this_user, edited_json


def frames(count):
    prompt = PromptRecord(
        prompt_id=0, track_id=1, class_id=1, kind="mask", reason=PromptReason.ENTERED, score=0.875
    )
    first = annotated_frame(0, t1_c1=rectangle(2, 2, 9, 9), t4_c2=rectangle(20, 3, 30, 30))
    yield FrameAnnotation(
        index=0,
        time_s=0.0,
        tracks=first.tracks,
        overseer_ran=True,
        prompts=(prompt,),
        flags=("cut",),
    )
    for index in range(1, count):
        yield annotated_frame(index, t1_c1=rectangle(2, 2, 9 + index % 8, 9))


def write(path, info, labels, count=230):
    with AnnotationSetWriter(path, new_manifest(info, labels, settings={"a": 1})) as writer:
        for frame in frames(count):
            writer.add(frame)
    return AnnotationSet(path)


def damaged_row(annotated, table, **changes):
    """Change columns of the first row of a set's first part."""
    path = annotated.path / table / "part-000000.parquet"
    rows = pq.read_table(path)
    values = rows.to_pylist()
    values[0] |= changes
    pq.write_table(pa.Table.from_pylist(values, rows.schema), path)


def test_what_is_written_is_read(tmp_path, clip_info, labels):
    found = write(tmp_path / "clip.annset", clip_info, labels)
    assert list(found.frames()) == list(frames(230))
    assert found.is_complete
    assert found.label_set == labels
    counts = found.manifest.counts
    assert (counts.frames, counts.masks, counts.prompts, counts.tracks) == (230, 231, 1, 2)
    assert found.manifest.parts == 3


def test_a_path_may_be_text(tmp_path, clip_info, labels):
    path = write(tmp_path / "clip.annset", clip_info, labels, 3).path
    assert AnnotationSet(str(path)).path == path
    with pytest.raises(InputError, match="does not exist"):
        AnnotationSet(str(tmp_path / "nothing.annset"))


def test_the_folder_around_sets_is_told_from_one(tmp_path, clip_info, labels):
    path = write(tmp_path / "clip.annset", clip_info, labels, 3).path
    with pytest.raises(InputError, match=f"give a set that lies in it, such as {path}"):
        AnnotationSet(tmp_path)
    with pytest.raises(InputError, match="give a folder that `scopeline annotate` wrote"):
        AnnotationSet(path / "masks")


def test_a_track_spans_the_frames_in_which_it_shows(tmp_path, clip_info, labels):
    found = write(tmp_path / "clip.annset", clip_info, labels)
    with AnnotationSetWriter(tmp_path / "gaps.annset", new_manifest(clip_info, labels)) as writer:
        nothing = np.zeros((32, 48), bool)
        for index, mask in enumerate(
            [nothing, rectangle(2, 2, 9, 9), nothing, rectangle(2, 2, 3, 3)]
        ):
            writer.add(annotated_frame(index, t1_c1=mask))
    gaps = AnnotationSet(tmp_path / "gaps.annset")
    spans = [
        (span.track_id, span.class_id, span.first_frame, span.last_frame, span.frames)
        for span in (*found.track_spans(), *gaps.track_spans())
    ]
    assert spans == [(1, 1, 0, 229, 230), (4, 2, 0, 0, 1), (1, 1, 1, 3, 2)]


def test_public_tools_can_read_it(tmp_path, clip_info, labels):
    path = write(tmp_path / "clip.annset", clip_info, labels).path
    row = pq.read_table(path / "masks" / "part-000000.parquet").to_pylist()[1]
    assert (row["track_id"], row["class_id"], row["frame_index"]) == (4, 2, 0)
    assert (row["x"], row["y"], row["w"], row["h"]) == (20, 3, 10, 27)
    decoded = coco_mask.decode({"size": row["size"], "counts": row["rle"].encode()})
    assert (decoded.astype(bool) == rectangle(20, 3, 30, 30)).all()
    assert row["area"] == decoded.sum()
    manifest = json.loads((path / "manifest.json").read_text())
    assert manifest["state"] == "complete"
    assert manifest["video"]["sha256"] == clip_info.sha256


def test_an_error_leaves_a_set_that_says_it_failed(tmp_path, clip_info, labels):
    path = tmp_path / "clip.annset"
    with (
        pytest.raises(RuntimeError),
        AnnotationSetWriter(path, new_manifest(clip_info, labels)) as writer,
    ):
        for frame in frames(130):
            writer.add(frame)
        raise RuntimeError("the lamp went out")
    found = AnnotationSet(path)
    assert not found.is_complete
    assert found.manifest.state == "failed"
    assert found.manifest.failure == "the lamp went out"
    assert len(list(found.frames())) == 130


def test_only_committed_parts_count(tmp_path, clip_info, labels):
    path = tmp_path / "clip.annset"
    writer = AnnotationSetWriter(path, new_manifest(clip_info, labels))
    for frame in frames(150):
        writer.add(frame)
    writer._wait_for_writing()
    # The process is killed here: 50 frames were never committed.
    found = AnnotationSet(path)
    assert found.manifest.state == "running"
    assert len(list(found.frames())) == 100


def test_a_part_that_cannot_be_written_stops_the_set_and_loses_nothing(
    tmp_path, clip_info, labels, monkeypatch
):
    usual, full = annotation_set_writer.write_table, ["the disk is full"]

    def write_table(table, path):
        if full:
            raise OSError(full.pop())
        usual(table, path)

    monkeypatch.setattr(annotation_set_writer, "write_table", write_table)
    path = tmp_path / "clip.annset"
    with (
        pytest.raises(OutputError, match="the disk is full"),
        AnnotationSetWriter(path, new_manifest(clip_info, labels)) as writer,
    ):
        for frame in frames(1000):
            writer.add(frame)
    found = AnnotationSet(path)
    assert found.manifest.state == "failed"
    assert [frame.index for frame in found.frames()] == list(range(200))


def test_an_unwritable_place_is_named(tmp_path, clip_info, labels):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        AnnotationSetWriter(tmp_path / "file" / "clip.annset", new_manifest(clip_info, labels))


def test_damage_is_named(tmp_path, clip_info, labels):
    found = write(tmp_path / "clip.annset", clip_info, labels)
    part = found.path / "masks" / "part-000001.parquet"
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(InputError, match=r"part-000001\.parquet"):
        list(found.frames())
    (found.path / "manifest.json").write_text("{}")
    with pytest.raises(InputError, match=r"manifest\.json is damaged"):
        AnnotationSet(found.path)


@pytest.mark.parametrize("name", ["../clip", "/tmp/clip", "..", "", "a/b", "nul\0"])
def test_a_name_that_leads_out_of_a_folder_is_refused(tmp_path, clip_info, labels, name):
    found = write(tmp_path / "clip.annset", clip_info, labels)
    with edited_json(found.path / "manifest.json") as manifest:
        manifest["video"]["name"] = name
    with pytest.raises(InputError, match=r"manifest\.json is damaged .*not the plain name"):
        AnnotationSet(found.path)


def test_a_set_of_a_newer_scopeline_is_said_to_be_one(tmp_path, clip_info, labels):
    found = write(tmp_path / "clip.annset", clip_info, labels)
    with edited_json(found.path / "manifest.json") as manifest:
        manifest |= {"format_version": 2, "depth": "metres"}
    with pytest.raises(InputError, match="has format version 2, this Scopeline reads 1"):
        AnnotationSet(found.path)


def test_a_folder_that_is_no_set_is_named(tmp_path):
    with pytest.raises(InputError, match="not an annotation set"):
        AnnotationSet(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        AnnotationSet(tmp_path / "none.annset")


def test_a_disk_that_is_full_of_a_state_stops_the_set_and_loses_nothing(
    tmp_path, clip_info, labels, monkeypatch
):
    def full(arrays, path):
        raise SafetensorError("Error while serializing: no space left")

    monkeypatch.setattr(loop_state, "save_file", full)
    path = tmp_path / "clip.annset"
    with (
        pytest.raises(OutputError, match="no space left"),
        AnnotationSetWriter(path, new_manifest(clip_info, labels)) as writer,
    ):
        for first in range(0, 1000, 100):
            batch = [annotated_frame(index) for index in range(first, first + 100)]
            writer.add_batch(batch, lambda: LoopState(next_frame=0))
    found = [frame.index for frame in AnnotationSet(path).frames()]
    assert found == list(range(len(found)))


@pytest.mark.parametrize(
    ("table", "changes", "said"),
    [
        ("masks", {"rle": "zzzzzzzzzz"}, "no run-length encoding"),
        ("masks", {"rle": "1"}, "do not fill the frame"),
        ("masks", {"size": [2_000_000, 2_000_000]}, "another size than the video"),
        ("masks", {"size": [0, 0]}, "another size than the video"),
        ("masks", {"class_id": 999}, "unknown class 999"),
        ("masks", {"quality": float("nan")}, "not a number"),
        ("masks", {"presence": float("inf")}, "not a number"),
        ("masks", {"origin": "nobody"}, "nobody"),
        ("masks", {"track_id": None}, "is missing or damaged"),
        ("frames", {"frame_index": 5}, "comes after frame 5"),
        ("prompts", {"reason": "why not"}, "why not"),
        ("prompts", {"class_id": 999}, "unknown class 999"),
    ],
)
def test_rows_that_nothing_could_be_done_with_are_named(
    tmp_path, clip_info, labels, table, changes, said
):
    annotated = write(tmp_path / "clip.annset", clip_info, labels, 12)
    damaged_row(annotated, table, **changes)
    with pytest.raises(InputError, match=r"part-000000\.parquet.*" + said):
        list(annotated.frames())


@pytest.mark.parametrize(
    ("table", "changes", "said"),
    [
        ("masks", {"class_id": 999}, "unknown class 999"),
        ("prompts", {"reason": "why not"}, "why not"),
        ("prompts", {"class_id": 999}, "unknown class 999"),
    ],
)
def test_they_are_named_where_no_mask_is_read(tmp_path, clip_info, labels, table, changes, said):
    annotated = write(tmp_path / "clip.annset", clip_info, labels, 12)
    damaged_row(annotated, table, **changes)
    with pytest.raises(InputError, match=r"part-000000\.parquet.*" + said):
        annotated.track_spans() if table == "masks" else list(annotated.prompts())


def test_a_flipped_bit_is_never_read_as_something_else(tmp_path, clip_info, labels):
    annotated = write(tmp_path / "clip.annset", clip_info, labels, 40)
    whole = list(annotated.frames())
    random = np.random.default_rng(0)
    for table in ("frames", "masks", "prompts"):
        path = annotated.path / table / "part-000000.parquet"
        content = path.read_bytes()
        # The rest is the description of the columns.
        end = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
        for place in random.integers(4, end, 40):
            flipped = bytearray(content)
            flipped[place] ^= 1 << int(random.integers(8))
            path.write_bytes(flipped)
            with suppress(InputError):
                assert list(annotated.frames()) == whole
        path.write_bytes(content)


@pytest.mark.parametrize("lost", ["frames", "masks", "prompts"])
def test_nothing_goes_on_behind_a_part_that_is_gone(tmp_path, clip_info, labels, lost):
    path, manifest = tmp_path / "clip.annset", new_manifest(clip_info, labels)
    writer = AnnotationSetWriter(path, manifest)
    writer.add_batch(list(frames(100)), lambda: LoopState(next_frame=100))
    writer.checkpoint(lambda: LoopState(next_frame=100))
    del writer
    saved = resumable_state(AnnotationSet(path), manifest)
    (path / lost / "part-000000.parquet").unlink()
    with pytest.raises(InputError, match="is missing or damaged; annotate") as caught:
        AnnotationSetWriter(path, manifest, saved)
    assert caught.value is not None
    # Though the error still holds the writer, the set is free.
    remove_set(path)


@pytest.mark.parametrize(
    "change", [{"rate": 0}, {"rate": -1}, {"width": 0}, {"height": 10**9}, {"frame_count": -1}]
)
def test_a_video_that_cannot_be_is_no_video_of_a_set(tmp_path, clip_info, labels, change):
    annotated = write(tmp_path / "clip.annset", clip_info, labels, 3)
    with edited_json(annotated.path / "manifest.json") as manifest:
        manifest["video"] |= change
    with pytest.raises(InputError, match="manifest.json is damaged"):
        AnnotationSet(annotated.path)


def test_a_set_that_this_user_must_not_look_at_is_named(tmp_path, monkeypatch):
    close_to_this_user(monkeypatch, tmp_path)
    with pytest.raises(InputError, match=r"a.annset cannot be read \(Permission denied\); let"):
        AnnotationSet(tmp_path / "a.annset")
