"""Export a table for analysis: a row for each frame and track, as CSV or Parquet."""

import csv
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.exports.selection import Selection
from pipeline.masks import decode_mask, rle_area, rle_box
from pipeline.output import whole_file
from pipeline.records import FrameAnnotation

_ROWS_AT_ONCE = 10_000
_FORMULA_MARKS = ("=", "+", "-", "@")
_SCHEMA = pa.schema(
    [
        ("frame_index", pa.int64()),
        ("time_s", pa.float64()),
        ("track_id", pa.int64()),
        ("class_id", pa.int64()),
        ("class_name", pa.string()),
        ("area", pa.int64()),
        ("x", pa.int64()),
        ("y", pa.int64()),
        ("width", pa.int64()),
        ("height", pa.int64()),
        ("centroid_x", pa.float64()),
        ("centroid_y", pa.float64()),
        ("speed", pa.float64()),
        ("quality", pa.float64()),
        ("presence", pa.float64()),
        ("origin", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """One track in one frame.

    Attributes:
        frame_index: frame index, from 0.
        time_s: presentation time in seconds.
        track_id: identity of the object.
        class_id: id of its class.
        class_name: name of its class.
        area: visible pixels.
        x: left edge of the tight box in pixels.
        y: top edge of the tight box in pixels.
        width: of the box in pixels.
        height: of the box in pixels.
        centroid_x: mean x of the pixels' middles.
        centroid_y: mean y of the pixels' middles.
        speed: way of the centroid since the track's last frame, in pixels a second; None on
            its first one.
        quality: the tracker's predicted IoU, 0..1.
        presence: the tracker's certainty that it is visible, 0..1.
        origin: where the mask comes from.
    """

    frame_index: int
    time_s: float
    track_id: int
    class_id: int
    class_name: str
    area: int
    x: int
    y: int
    width: int
    height: int
    centroid_x: float
    centroid_y: float
    speed: float | None
    quality: float
    presence: float
    origin: str


def export_csv(selection: Selection, path: Path) -> None:
    """Write a CSV file with a header; the columns are `TableRow`'s.

    Raises:
        OutputError: the file exists already or cannot be written.
    """
    with whole_file(path) as draft, draft.open("w", newline="") as file:
        writer = csv.DictWriter(file, _SCHEMA.names)
        writer.writeheader()
        for row in table_rows(selection):
            writer.writerow(asdict(row) | {"class_name": _plain(row.class_name)})


def _plain(name: str) -> str:
    """Return a name that no spreadsheet takes for a formula."""
    return f"'{name}" if name.startswith(_FORMULA_MARKS) else name


def export_parquet(selection: Selection, path: Path) -> None:
    """Write one Parquet file; the columns are `TableRow`'s.

    Raises:
        OutputError: the file exists already or cannot be written.
    """
    rows = table_rows(selection)
    with whole_file(path) as draft, pq.ParquetWriter(draft, _SCHEMA, compression="zstd") as writer:
        while part := [asdict(row) for row in islice(rows, _ROWS_AT_ONCE)]:
            writer.write_table(pa.Table.from_pylist(part, _SCHEMA))


def table_rows(selection: Selection) -> Iterator[TableRow]:
    """Yield a row for each frame and track, in order."""
    names = {label.id: label.name for label in selection.labels}
    last: dict[int, tuple[float, float, float]] = {}
    for frame in selection.frames():
        yield from _rows_of(frame, names, last)


def _rows_of(
    frame: FrameAnnotation, names: dict[int, str], last: dict[int, tuple[float, float, float]]
) -> Iterator[TableRow]:
    for track in frame.tracks:
        x, y, width, height = rle_box(track.rle)
        rows, columns = np.nonzero(decode_mask(track.rle)[y : y + height, x : x + width])
        center_x, center_y = float(x + columns.mean() + 0.5), float(y + rows.mean() + 0.5)
        speed = None
        if track.track_id in last:
            before_x, before_y, before_s = last[track.track_id]
            way = float(np.hypot(center_x - before_x, center_y - before_y))
            speed = way / max(frame.time_s - before_s, 1e-6)
        last[track.track_id] = (center_x, center_y, frame.time_s)
        yield TableRow(
            frame_index=frame.index,
            time_s=frame.time_s,
            track_id=track.track_id,
            class_id=track.class_id,
            class_name=names[track.class_id],
            area=rle_area(track.rle),
            x=x,
            y=y,
            width=width,
            height=height,
            centroid_x=center_x,
            centroid_y=center_y,
            speed=speed,
            quality=track.quality,
            presence=track.presence,
            origin=track.origin.value,
        )
