"""The tables of an annotation set: their columns, and records as rows and back."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from pipeline.masks import RLE, rle_area, rle_box
from pipeline.records import FrameAnnotation, Origin, PromptReason, PromptRecord, TrackAnnotation

SCHEMAS = {
    "frames": pa.schema(
        [
            ("frame_index", pa.int64()),
            ("time", pa.float64()),
            ("flags", pa.list_(pa.string())),
            ("overseer_ran", pa.bool_()),
        ]
    ),
    "masks": pa.schema(
        [
            ("frame_index", pa.int64()),
            ("track_id", pa.int64()),
            ("class_id", pa.int64()),
            ("rle", pa.string()),
            ("size", pa.list_(pa.int32(), 2)),
            ("area", pa.int64()),
            ("x", pa.int32()),
            ("y", pa.int32()),
            ("w", pa.int32()),
            ("h", pa.int32()),
            ("quality", pa.float32()),
            ("presence", pa.float32()),
            ("origin", pa.string()),
            ("prompt_id", pa.int64()),
        ]
    ),
    "prompts": pa.schema(
        [
            ("prompt_id", pa.int64()),
            ("frame_index", pa.int64()),
            ("track_id", pa.int64()),
            ("class_id", pa.int64()),
            ("kind", pa.string()),
            ("reason", pa.string()),
            ("score", pa.float32()),
        ]
    ),
}


def part_name(part: int) -> str:
    """Return the file name of a part of a table."""
    return f"part-{part:06d}.parquet"


def rows_of_frames(frames: Sequence[FrameAnnotation]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each table."""
    return {
        "frames": [
            {
                "frame_index": frame.index,
                "time": frame.time_s,
                "flags": list(frame.flags),
                "overseer_ran": frame.overseer_ran,
            }
            for frame in frames
        ],
        "masks": [_mask_row(frame.index, track) for frame in frames for track in frame.tracks],
        "prompts": [
            {
                "prompt_id": prompt.prompt_id,
                "frame_index": frame.index,
                "track_id": prompt.track_id,
                "class_id": prompt.class_id,
                "kind": prompt.kind,
                "reason": prompt.reason.value,
                "score": prompt.score,
            }
            for frame in frames
            for prompt in frame.prompts
        ],
    }


def _mask_row(frame_index: int, track: TrackAnnotation) -> dict[str, Any]:
    x, y, width, height = rle_box(track.rle)
    return {
        "frame_index": frame_index,
        "track_id": track.track_id,
        "class_id": track.class_id,
        "rle": track.rle.counts.decode("ascii"),
        "size": list(track.rle.size),
        "area": rle_area(track.rle),
        "x": x,
        "y": y,
        "w": width,
        "h": height,
        "quality": track.quality,
        "presence": track.presence,
        "origin": track.origin.value,
        "prompt_id": track.prompt_id,
    }


def track_of_row(row: dict[str, Any]) -> TrackAnnotation:
    """Return what a row of the table `masks` holds."""
    height, width = row["size"]
    return TrackAnnotation(
        track_id=row["track_id"],
        class_id=row["class_id"],
        rle=RLE((height, width), row["rle"].encode("ascii")),
        quality=row["quality"],
        presence=row["presence"],
        origin=Origin(row["origin"]),
        prompt_id=row["prompt_id"],
    )


def prompt_of_row(row: dict[str, Any]) -> PromptRecord:
    """Return what a row of the table `prompts` holds."""
    return PromptRecord(
        prompt_id=row["prompt_id"],
        track_id=row["track_id"],
        class_id=row["class_id"],
        kind=row["kind"],
        reason=PromptReason(row["reason"]),
        score=row["score"],
    )
