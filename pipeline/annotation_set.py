"""The annotation set on disk: Parquet parts under a manifest; writer and reader."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from pipeline.errors import InputError, OutputError
from pipeline.frames import VideoInfo
from pipeline.labels import LabelSet
from pipeline.manifest import FORMAT_VERSION, Counts, Manifest, VideoEntry
from pipeline.masks import RLE, rle_area, rle_box
from pipeline.records import FrameAnnotation, Origin, PromptReason, PromptRecord, TrackAnnotation

SUFFIX = ".annset"
_PART_FRAMES = 100

_SCHEMAS = {
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


def new_manifest(
    info: VideoInfo,
    label_set: LabelSet,
    *,
    models: dict[str, dict[str, str]] | None = None,
    settings: dict[str, Any] | None = None,
    software: dict[str, str] | None = None,
) -> Manifest:
    """Make the manifest of a set that is about to be written."""
    video = VideoEntry(
        name=info.name,
        path=str(info.path),
        sha256=info.sha256,
        width=info.width,
        height=info.height,
        frame_count=info.frame_count,
        rate=info.rate,
    )
    return Manifest(
        video=video,
        labels=label_set.to_json(),
        models=models or {},
        settings=settings or {},
        software=software or {},
    )


class AnnotationSetWriter:
    """Writes a set part by part; a context manager that completes it or marks it as failed.

    A part is written to a temporary name, synced and renamed; only then does the manifest
    count it. Whatever stops the writer, what was committed before stays readable.

    Args:
        path: the folder `NAME.annset`; an unfinished set in it is replaced.
        manifest: from `new_manifest`.

    Raises:
        OutputError: the folder cannot be written, or holds a finished set.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self._manifest = manifest
        self._waiting: list[FrameAnnotation] = []
        self._tracks: set[int] = set()
        _make_room(path)
        try:
            path.mkdir(parents=True)
            for table in _SCHEMAS:
                (path / table).mkdir()
            self._write_manifest()
        except OSError as error:
            raise _unwritable(path, error) from error

    def __enter__(self) -> "AnnotationSetWriter":
        """Begin writing."""
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Complete the set, or note why it was not completed."""
        if error is None:
            self._commit()
            self._update(state="complete")
            return
        try:
            self._commit()
            self._update(state="failed", failure=str(error) or type(error).__name__)
        except OutputError:
            # The disk is full or gone: the manifest still says "running", which nobody
            # takes for a finished set, and the first error is the one to report.
            return

    def add(self, frame: FrameAnnotation) -> None:
        """Add the next frame; every 100 frames are committed.

        Raises:
            OutputError: the disk is full or cannot be written.
        """
        self._waiting.append(frame)
        if len(self._waiting) >= _PART_FRAMES:
            self._commit()

    def _commit(self) -> None:
        if not self._waiting:
            return
        rows = _rows(self._waiting)
        try:
            for table, schema in _SCHEMAS.items():
                path = self.path / table / _part_name(self._manifest.parts)
                _write_table(pa.Table.from_pylist(rows[table], schema), path)
        except OSError as error:
            raise _unwritable(self.path, error) from error
        self._tracks |= {row["track_id"] for row in rows["masks"]}
        counts = self._manifest.counts
        self._waiting = []
        self._update(
            parts=self._manifest.parts + 1,
            counts=Counts(
                frames=counts.frames + len(rows["frames"]),
                masks=counts.masks + len(rows["masks"]),
                prompts=counts.prompts + len(rows["prompts"]),
                tracks=len(self._tracks),
            ),
        )

    def _update(self, **changes: Any) -> None:
        self._manifest = self._manifest.model_copy(update=changes)
        try:
            self._write_manifest()
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def _write_manifest(self) -> None:
        text = json.dumps(self._manifest.model_dump(), indent=2) + "\n"
        draft = self.path / ".manifest.json.tmp"
        with draft.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path / "manifest.json")


class AnnotationSet:
    """A set on disk, to read.

    Args:
        path: the folder `NAME.annset`.

    Raises:
        InputError: it is missing, is no annotation set, or is of another format version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        manifest_path = path / "manifest.json"
        if not path.exists():
            raise InputError(f"{path} does not exist; give the path of an annotation set")
        if not manifest_path.is_file():
            raise InputError(
                f"{path} is not an annotation set: it has no manifest.json; give a folder that "
                "`scopeline annotate` wrote"
            )
        try:
            self.manifest = Manifest.model_validate_json(manifest_path.read_bytes())
        except (OSError, ValidationError) as error:
            raise InputError(
                f"{manifest_path} is damaged or of another version; annotate the video again"
            ) from error
        if self.manifest.format_version != FORMAT_VERSION:
            raise InputError(
                f"{path} has format version {self.manifest.format_version}, this Scopeline reads "
                f"{FORMAT_VERSION}; read it with the Scopeline that wrote it"
            )
        self.label_set = LabelSet.from_json(self.manifest.labels, str(manifest_path))

    @property
    def is_complete(self) -> bool:
        """Whether every frame that was asked for is in the set."""
        return self.manifest.state == "complete"

    def frames(self) -> Iterator[FrameAnnotation]:
        """Yield the committed frames in order, reading one part at a time.

        Raises:
            InputError: a part is missing or damaged.
        """
        for part in range(self.manifest.parts):
            tables = {name: self._read(name, part) for name in _SCHEMAS}
            masks = _by_frame(tables["masks"])
            prompts = _by_frame(tables["prompts"])
            for row in tables["frames"]:
                index = row["frame_index"]
                yield FrameAnnotation(
                    index=index,
                    time_s=row["time"],
                    tracks=tuple(_track(mask) for mask in masks.get(index, [])),
                    overseer_ran=row["overseer_ran"],
                    prompts=tuple(_prompt(prompt) for prompt in prompts.get(index, [])),
                    flags=tuple(row["flags"]),
                )

    def prompts(self) -> Iterator[tuple[int, PromptRecord]]:
        """Yield (frame index, prompt) of each committed prompt in order; no mask is read.

        Raises:
            InputError: a part is missing or damaged.
        """
        for part in range(self.manifest.parts):
            for row in self._read("prompts", part):
                yield row["frame_index"], _prompt(row)

    def _read(self, table: str, part: int) -> list[dict[str, Any]]:
        path = self.path / table / _part_name(part)
        try:
            rows: list[dict[str, Any]] = pq.read_table(path, schema=_SCHEMAS[table]).to_pylist()
            return rows
        except (OSError, pa.ArrowException) as error:
            raise InputError(
                f"{path} is missing or damaged; annotate the video again with --no-resume"
            ) from error


def _part_name(part: int) -> str:
    return f"part-{part:06d}.parquet"


def _make_room(path: Path) -> None:
    if not path.exists():
        return
    try:
        existing = AnnotationSet(path)
    except InputError as error:
        raise OutputError(
            f"{path} exists and is not an annotation set; move it away or choose another --out"
        ) from error
    if existing.is_complete:
        raise OutputError(
            f"{path} is already complete; remove it or choose another --out to annotate again"
        )
    try:
        shutil.rmtree(path)
    except OSError as error:
        raise _unwritable(path, error) from error


def _write_table(table: pa.Table, path: Path) -> None:
    draft = path.with_name(f".{path.name}.tmp")
    with draft.open("wb") as file:
        pq.write_table(table, file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _unwritable(path: Path, error: OSError) -> OutputError:
    reason = error.strerror or str(error)
    return OutputError(f"{path} cannot be written ({reason}); free space or choose another --out")


def _rows(frames: list[FrameAnnotation]) -> dict[str, list[dict[str, Any]]]:
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


def _by_frame(rows: list[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    grouped: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        grouped.setdefault(row["frame_index"], []).append(row)
    return grouped


def _track(row: dict[str, Any]) -> TrackAnnotation:
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


def _prompt(row: dict[str, Any]) -> PromptRecord:
    return PromptRecord(
        prompt_id=row["prompt_id"],
        track_id=row["track_id"],
        class_id=row["class_id"],
        kind=row["kind"],
        reason=PromptReason(row["reason"]),
        score=row["score"],
    )
