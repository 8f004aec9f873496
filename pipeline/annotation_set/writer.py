"""The annotation set on disk: the writer, which commits part by part and can go on."""

import os
import shutil
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.annotation_set import AnnotationSet
from pipeline.annotation_set.files import write_manifest, write_table
from pipeline.annotation_set.folders import (
    RESUME,
    make_room,
    take_for_writing,
)
from pipeline.annotation_set.rows import SCHEMAS, part_name, rows_of_frames
from pipeline.errors import AnnotationAbandonedError, OutputError, SetTakenError
from pipeline.frames import VideoInfo
from pipeline.labels import LabelSet
from pipeline.loop_state import (
    LoopState,
    SavedState,
    is_saved,
    latest_state,
    remove_states,
    save_state,
)
from pipeline.manifest import Counts, Manifest, VideoEntry
from pipeline.records import FrameAnnotation
from pipeline.remedies import unwritable

_PART_FRAMES = 100
# Of each track, the first and the last part that hold it under each class.
WrittenClasses = dict[int, dict[int, tuple[int, int]]]


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


def resumable_state(existing: AnnotationSet, manifest: Manifest) -> SavedState | None:
    """Return the state that an unfinished set can go on from; None if it must begin anew.

    Args:
        existing: the unfinished set.
        manifest: of the job, from `new_manifest`; other software would make other masks.
    """
    if existing.manifest.software != manifest.software:
        return None
    return latest_state(existing.path / RESUME, existing.manifest.parts)


def tidy(existing: AnnotationSet) -> None:
    """Remove what a process that was killed while it finished a set has left in it."""
    remove_states(existing.path / RESUME)


class AnnotationSetWriter:
    """Writes a set part by part; a context manager that completes it or marks it as failed.

    A part is written to a temporary name, synced and renamed; only then does the manifest
    count it. Whatever stops the writer, what was committed before stays readable. Parts are
    written on a thread of the writer's own, one after the other; what goes wrong there is raised
    when the next one is due.

    Args:
        path: the folder `NAME.annset`; an unfinished set in it is replaced.
        manifest: from `new_manifest`.
        goes_on_from: a state of the unfinished set in the folder, from `resumable_state`: the
            set is not replaced but cut back to the parts of that state.

    Raises:
        OutputError: the folder cannot be written, or holds a finished set.
        SetTakenError: another process writes the set, or has done so since the state was read.
    """

    def __init__(
        self, path: Path, manifest: Manifest, goes_on_from: SavedState | None = None
    ) -> None:
        self.path = path
        self._manifest = manifest
        self._waiting: list[FrameAnnotation] = []
        self._written: WrittenClasses = {}
        self._beside = ThreadPoolExecutor(1, "writing")
        self._being_written: tuple[Future[None], list[FrameAnnotation]] | None = None
        self._release: Callable[[], object] = lambda: None
        if goes_on_from is None:
            make_room(path)
        try:
            if goes_on_from is None:
                self._begin()
            else:
                self._go_on(goes_on_from)
        except BaseException as error:
            self._release()
            if isinstance(error, OSError):
                raise unwritable(path, error) from error
            raise

    def _begin(self) -> None:
        """Make the folder under another name first: without a manifest it would be no set."""
        draft = self.path.with_name(f".{self.path.name}.begun")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        self._hold(draft)
        for table in SCHEMAS:
            (draft / table).mkdir()
        write_manifest(draft, self._manifest)
        draft.rename(self.path)

    def _hold(self, folder: Path) -> None:
        """Take the set until it is written, or nobody has the writer any more."""
        self._release = weakref.finalize(self, os.close, take_for_writing(folder))

    def _go_on(self, saved: SavedState) -> None:
        """Cut the set back to what was committed together with a state."""
        self._hold(self.path)
        # Since the state was read, networks were loaded; what came to be meanwhile must stay.
        if not is_saved(self.path / RESUME, saved.part_count):
            raise SetTakenError(
                f"{self.path} was finished or gone on with by another process; run the command "
                "again"
            )
        self._manifest = self._manifest.model_copy(update={"parts": saved.part_count})
        write_manifest(self.path, self._manifest)
        for table in SCHEMAS:
            kept = {part_name(part) for part in range(saved.part_count)}
            for file in (self.path / table).iterdir():
                if file.name not in kept:
                    file.unlink()
        remove_states(self.path / RESUME, but=saved.part_count)
        # Not as it was at that time: a set that failed later has settled classes and taken out
        # tracks since.
        written = AnnotationSet(self.path)
        found: Counter[str] = Counter()
        for part in range(saved.part_count):
            # To go on behind a part that is gone would make a set that nobody can read.
            found.update({name: len(written.rows(name, part)) for name in ("frames", "prompts")})
            rows = written.rows("masks", part, ["track_id", "class_id"])
            self._note_classes(part, rows)
            found["masks"] += len(rows)
        self._update(counts=Counts(**found, tracks=len(self._written)))

    def __enter__(self) -> "AnnotationSetWriter":
        """Begin writing."""
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Complete the set, or note why it was not completed."""
        try:
            self._end(error)
        finally:
            self._beside.shutdown()
            self._release()

    def _end(self, error: BaseException | None) -> None:
        if error is None:
            self._commit_all()
            self._update(state="complete")
            remove_states(self.path / RESUME)
            return
        if isinstance(error, AnnotationAbandonedError):
            # The set says that it is running; what another process has written since stays so.
            return
        try:
            self._commit_all()
            self._update(state="failed", failure=str(error) or type(error).__name__)
        except OutputError:
            # The disk is full or gone: the manifest still says "running", which nobody
            # takes for a finished set, and the first error is the one to report.
            return

    def add(self, frame: FrameAnnotation) -> None:
        """Add the next frame; every 100 frames are committed.

        Raises:
            OutputError: the disk is full or cannot be written, or was so at the commit before.
        """
        self._waiting.append(frame)
        if len(self._waiting) >= _PART_FRAMES:
            self._commit()

    def add_batch(
        self, frames: Sequence[FrameAnnotation], state: Callable[[], LoopState] | None
    ) -> None:
        """Add the next frames; once there are 100, they are committed together with a state.

        Args:
            frames: the next frames.
            state: tells where the annotation stands after them; None if nobody can go on there.

        Raises:
            OutputError: the disk is full or cannot be written, or was so at the commit before.
        """
        self._waiting.extend(frames)
        if len(self._waiting) >= _PART_FRAMES:
            self._commit(state)

    def checkpoint(self, state: Callable[[], LoopState]) -> None:
        """Commit the frames that are waiting together with where the annotation stands.

        Raises:
            OutputError: the disk is full or cannot be written.
        """
        self._commit_all(state)

    def _commit(self, state: Callable[[], LoopState] | None = None) -> None:
        """Begin to write the frames that are waiting, once those before them are written."""
        self._wait_for_writing()
        if self._waiting:
            frames, self._waiting = self._waiting, []
            stands = None if state is None else state()
            self._being_written = self._beside.submit(self._write_part, frames, stands), frames

    def _commit_all(self, state: Callable[[], LoopState] | None = None) -> None:
        """Write the frames that are waiting."""
        self._commit(state)
        self._wait_for_writing()

    def _wait_for_writing(self) -> None:
        """Wait for the part that is being written; if it cannot be, its frames wait again."""
        if self._being_written is None:
            return
        (writing, frames), self._being_written = self._being_written, None
        try:
            writing.result()
        except OutputError:
            self._waiting = [*frames, *self._waiting]
            raise

    def _write_part(self, frames: Sequence[FrameAnnotation], state: LoopState | None) -> None:
        rows = rows_of_frames(frames)
        try:
            for table, schema in SCHEMAS.items():
                path = self.path / table / part_name(self._manifest.parts)
                write_table(pa.Table.from_pylist(rows[table], schema), path)
            self._note_classes(self._manifest.parts, rows["masks"])
            counts = self._counted(**{name: len(rows[name]) for name in SCHEMAS})
            parts = self._manifest.parts + 1
            if state is not None:
                save_state(state, self.path / RESUME, parts)
        except OSError as error:
            raise unwritable(self.path, error) from error
        self._update(parts=parts, counts=counts)
        if state is not None:
            remove_states(self.path / RESUME, but=parts)

    def _note_classes(self, part: int, rows: Sequence[dict[str, Any]]) -> None:
        """Remember which tracks a part holds under which class."""
        for row in rows:
            known = self._written.setdefault(row["track_id"], {})
            first, _ = known.get(row["class_id"], (part, part))
            known[row["class_id"]] = (first, part)

    def withdraw(self, until: Mapping[int, int]) -> None:
        """Take out tracks that turned out to be none, with their prompts.

        Args:
            until: by track id the last frame that it is taken out of.

        Raises:
            OutputError: the disk is full or cannot be written.
        """
        self._commit_all()
        false = until.keys() & self._written.keys()
        parts = sorted({part for track_id in false for part in self._parts_of(track_id)})
        prompts = masks = 0
        left: set[int] = set()
        for part in parts:
            prompts += self._take_out("prompts", part, until)
            masks += self._take_out("masks", part, until)
            left.update(row["track_id"] for row in self._rows("masks", part))
        for track_id in false - left:
            del self._written[track_id]
        if parts:
            self._update(counts=self._counted(masks=-masks, prompts=-prompts))

    def _take_out(self, table: str, part: int, until: Mapping[int, int]) -> int:
        """Take rows of tracks out of a part; returns how many there were."""
        rows = self._rows(table, part)
        kept = [row for row in rows if row["frame_index"] > until.get(row["track_id"], -1)]
        if len(kept) < len(rows):
            self._rewrite(table, part, kept)
        return len(rows) - len(kept)

    def _rows(self, table: str, part: int) -> list[dict[str, Any]]:
        return AnnotationSet(self.path).rows(table, part)

    def _parts_of(self, track_id: int) -> Iterator[int]:
        for first, last in self._written[track_id].values():
            yield from range(first, last + 1)

    def _counted(self, masks: int, prompts: int, frames: int = 0) -> Counts:
        """Return the counts with so many more of each."""
        before = self._manifest.counts
        return Counts(
            frames=before.frames + frames,
            masks=before.masks + masks,
            prompts=before.prompts + prompts,
            tracks=len(self._written),
        )

    def _rewrite(self, table: str, part: int, rows: list[dict[str, Any]]) -> None:
        path = self.path / table / part_name(part)
        try:
            write_table(pa.Table.from_pylist(rows, SCHEMAS[table]), path)
        except OSError as error:
            raise unwritable(self.path, error) from error

    def settle_classes(self, class_of: Callable[[int], int | None]) -> None:
        """Give each track one class from its first frame to its last, before the set is complete.

        A track's class is a vote that goes on as long as the track; frames that were written
        before it turned are written again.

        Args:
            class_of: the class of a track; None if it is the one that was written.

        Raises:
            OutputError: the disk is full or cannot be written.
        """
        self._commit_all()
        for part in self._stale_parts(class_of):
            rows = self._rows("masks", part)
            for row in rows:
                settled = class_of(row["track_id"])
                row["class_id"] = row["class_id"] if settled is None else settled
            self._rewrite("masks", part, rows)

    def _stale_parts(self, class_of: Callable[[int], int | None]) -> list[int]:
        """Return the parts that hold a track under another class than its own."""
        stale: set[int] = set()
        for track_id, known in self._written.items():
            settled = class_of(track_id)
            for class_id, (first, last) in known.items():
                if settled is not None and class_id != settled:
                    stale.update(range(first, last + 1))
        return sorted(stale)

    def _update(self, **changes: Any) -> None:
        changed = self._manifest.model_copy(update=changes)
        try:
            write_manifest(self.path, changed)
        except OSError as error:
            raise unwritable(self.path, error) from error
        self._manifest = changed
