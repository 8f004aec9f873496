"""The annotation set on disk: Parquet parts under a manifest; the reader."""

import hashlib
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import ValidationError

from pipeline.annotation_set.rows import SCHEMAS, part_name, prompt_of_row, track_of_row
from pipeline.errors import InputError
from pipeline.labels import LabelSet
from pipeline.manifest import FORMAT_VERSION, Manifest, ManifestVersion
from pipeline.masks import require_whole
from pipeline.records import FrameAnnotation, PromptRecord

SUFFIX = ".annset"
_SPAN_COLUMNS = ["frame_index", "track_id", "class_id", "area"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackSpan:
    """Where in a video a track shows.

    Attributes:
        track_id: its id.
        class_id: its class, in the last frame in which it shows.
        first_frame: the first frame in which it shows.
        last_frame: the last one.
        frames: in how many it shows.
    """

    track_id: int
    class_id: int
    first_frame: int
    last_frame: int
    frames: int


def _any_frame(_: int) -> bool:
    return True


class AnnotationSet:
    """A set on disk, to read: `frames()`, `prompts()` and `track_spans()` say what is in it.

    Args:
        path: the folder `NAME.annset`.

    Attributes:
        path: the folder.
        manifest: what `manifest.json` says of video, models, settings and counts.
        label_set: the classes; `label_set[class_id].name` names one.

    Raises:
        InputError: it is missing, is no annotation set, is of another format version, or must not
            be looked at.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = path = Path(path)
        manifest_path = path / "manifest.json"
        try:
            there, has_manifest = path.exists(), manifest_path.is_file()
        except OSError as error:
            raise InputError(
                f"{path} cannot be read ({error.strerror}); let this user read it"
            ) from error
        if not there:
            raise InputError(f"{path} does not exist; give the path of an annotation set")
        if not has_manifest:
            raise InputError(
                f"{path} is not an annotation set: it has no manifest.json; give {_meant_by(path)}"
            )
        self.manifest = _read_manifest(manifest_path)
        self.label_set = LabelSet.from_json(self.manifest.labels, str(manifest_path))

    def __repr__(self) -> str:
        counts = self.manifest.counts
        return (
            f"AnnotationSet({str(self.path)!r}, {self.manifest.state}: {counts.frames} frames, "
            f"{counts.tracks} tracks)"
        )

    @property
    def is_complete(self) -> bool:
        """Whether every frame that was asked for is in the set."""
        return self.manifest.state == "complete"

    def frames(self, wanted: Callable[[int], bool] = _any_frame) -> Iterator[FrameAnnotation]:
        """Yield the committed frames in order, reading one part at a time.

        Args:
            wanted: by its index, whether a frame is wanted; of others no mask is read.

        Raises:
            InputError: a part is missing or damaged.
        """
        last = -1
        for part in range(self.manifest.parts):
            rows = self.rows("frames", part)
            try:
                for row in rows:
                    if row["frame_index"] <= last:
                        raise ValueError(f"frame {row['frame_index']} comes after frame {last}")
                    last = row["frame_index"]
                frames = self._frames_of(part, [row for row in rows if wanted(row["frame_index"])])
                for frame in frames:
                    self._check(frame)
            except (ValueError, TypeError) as error:
                raise self._unreadable(part, error) from error
            yield from frames

    def _frames_of(self, part: int, rows: Sequence[Mapping[str, Any]]) -> list[FrameAnnotation]:
        """Read frames of a part, by their rows."""
        if not rows:
            return []
        indices = [row["frame_index"] for row in rows]
        masks = _by_frame(self.rows("masks", part, indices=indices))
        prompts = _by_frame(self.rows("prompts", part, indices=indices))
        return [
            FrameAnnotation(
                index=row["frame_index"],
                time_s=row["time"],
                tracks=tuple(track_of_row(mask) for mask in masks.get(row["frame_index"], [])),
                overseer_ran=row["overseer_ran"],
                prompts=tuple(prompt_of_row(each) for each in prompts.get(row["frame_index"], [])),
                flags=tuple(row["flags"]),
            )
            for row in rows
        ]

    def _check(self, frame: FrameAnnotation) -> None:
        """Check what whoever uses a frame counts on; ValueError if it does not hold."""
        video = self.manifest.video
        for track in frame.tracks:
            if track.rle.size != (video.height, video.width):
                raise ValueError(f"frame {frame.index} has a mask of another size than the video")
            self._check_class(track.class_id, frame.index)
            if not (math.isfinite(track.quality) and math.isfinite(track.presence)):
                raise ValueError(f"frame {frame.index} has a quality that is not a number")
        require_whole(*(track.rle for track in frame.tracks))
        for prompt in frame.prompts:
            self._check_class(prompt.class_id, frame.index)

    def _check_class(self, class_id: int, frame_index: int) -> None:
        if class_id not in self.label_set:
            raise ValueError(f"frame {frame_index} has an unknown class {class_id}")

    def _require_known_classes(self, part: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Refuse a part with a class that nobody knows; each class is looked up once."""
        first_frames = {row["class_id"]: row["frame_index"] for row in reversed(rows)}
        try:
            for class_id, frame_index in first_frames.items():
                self._check_class(class_id, frame_index)
        except ValueError as error:
            raise self._unreadable(part, error) from error

    def _unreadable(self, part: int, error: Exception) -> InputError:
        return InputError(
            f"{self.path} has rows in {part_name(part)} that cannot be read ({error}); copy the "
            "set again, or annotate the video again with --no-resume"
        )

    def prompts(self) -> Iterator[tuple[int, PromptRecord]]:
        """Yield (frame index, prompt) of each committed prompt in order; no mask is read.

        Raises:
            InputError: a part is missing or damaged.
        """
        for part in range(self.manifest.parts):
            rows = self.rows("prompts", part)
            self._require_known_classes(part, rows)
            try:
                prompts = [(row["frame_index"], prompt_of_row(row)) for row in rows]
            except (ValueError, TypeError) as error:
                raise self._unreadable(part, error) from error
            yield from prompts

    def track_spans(self) -> list[TrackSpan]:
        """Return where each committed track shows, by track id; no mask is read.

        Raises:
            InputError: a part is missing or damaged.
        """
        spans: dict[int, TrackSpan] = {}
        for part in range(self.manifest.parts):
            rows = self.rows("masks", part, _SPAN_COLUMNS)
            self._require_known_classes(part, rows)
            for row in rows:
                if row["area"]:
                    before = spans.get(row["track_id"])
                    spans[row["track_id"]] = TrackSpan(
                        track_id=row["track_id"],
                        class_id=row["class_id"],
                        first_frame=before.first_frame if before else row["frame_index"],
                        last_frame=row["frame_index"],
                        frames=before.frames + 1 if before else 1,
                    )
        return [spans[track_id] for track_id in sorted(spans)]

    def rows(
        self,
        table: str,
        part: int,
        columns: list[str] | None = None,
        indices: Collection[int] | None = None,
    ) -> list[dict[str, Any]]:
        """Return the rows of a part of a table.

        Args:
            table: its name.
            part: number of the part.
            columns: those to read; all if it is None.
            indices: the frames whose rows are returned; all if it is None.

        Raises:
            InputError: the part is missing or damaged.
        """
        path = self.path / table / part_name(part)
        try:
            read = pq.read_table(
                path, columns=columns, schema=SCHEMAS[table], page_checksum_verification=True
            )
            # A column that is not there is read as one without values.
            empty = [name for name in read.column_names if read[name].null_count]
            if empty:
                raise pa.ArrowInvalid(f"{empty[0]} lacks values")
            if indices is not None:
                frames = pa.array(indices, pa.int64())
                read = read.filter(pc.is_in(read["frame_index"], frames))
            rows: list[dict[str, Any]] = read.to_pylist()
            return rows
        except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
            raise InputError(
                f"{path} is missing or damaged; annotate the video again with --no-resume"
            ) from error

    def fingerprint(self) -> str:
        """Return the SHA-256 of the manifest and the masks, hexadecimal."""
        digest = hashlib.sha256()
        parts = sorted((self.path / "masks").glob("part-*.parquet"))
        for file in [self.path / "manifest.json", *parts]:
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()


def _meant_by(path: Path) -> str:
    """Return what is to be given in place of what is no set."""
    # Often it is the --out of `annotate`, in which the sets lie.
    with suppress(OSError):
        for place in sorted(path.glob(f"*{SUFFIX}")):
            return f"a set that lies in it, such as {place}"
    return "a folder that `scopeline annotate` wrote"


def _read_manifest(path: Path) -> Manifest:
    try:
        content = path.read_bytes()
        version = ManifestVersion.model_validate_json(content).format_version
        if version != FORMAT_VERSION:
            raise InputError(
                f"{path.parent} has format version {version}, this Scopeline reads "
                f"{FORMAT_VERSION}; read it with the Scopeline that wrote it"
            )
        return Manifest.model_validate_json(content)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; copy the set again") from error
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise InputError(
            f"{path} is damaged ({reason}); annotate the video again with --no-resume"
        ) from error


def _by_frame(rows: list[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    grouped: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        grouped.setdefault(row["frame_index"], []).append(row)
    return grouped
