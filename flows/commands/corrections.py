"""The command line's part about corrections: `scopeline import`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.sets import FrameChoice, chosen_classes, chosen_frames
from flows.consoles import screen

if TYPE_CHECKING:
    from pipeline.exports.notes import Note
    from pipeline.imports import MassDeletions

_AS_ON_EXPORT = "As on export; what the file itself tells, without it."
_NAMED_FRAMES = 10


class ImportFormat(StrEnum):
    """The formats that `import` knows."""

    coco = "coco"
    cvat = "cvat"
    davis = "davis"
    label_studio = "label-studio"


def import_corrections(
    source: Annotated[
        Path, typer.Argument(metavar="FILE_OR_DIR", help="An export that a human corrected.")
    ],
    format_name: Annotated[
        ImportFormat,
        typer.Option("--format", metavar="NAME", help=f"{', '.join(ImportFormat)}."),
    ],
    annotation_set: Annotated[
        Path, typer.Option("--set", metavar="SET", help="The set that was exported.")
    ],
    out: Annotated[Path, typer.Option(help="Annotation set of the corrections to write.")],
    every: Annotated[int | None, typer.Option(min=1, help=_AS_ON_EXPORT)] = None,
    frames: Annotated[FrameChoice | None, typer.Option(help=_AS_ON_EXPORT)] = None,
    classes: Annotated[str | None, typer.Option(help=_AS_ON_EXPORT)] = None,
    min_area: Annotated[int | None, typer.Option(min=1, help=_AS_ON_EXPORT)] = None,
) -> None:
    """Read what a human changed in an exported file; `annotate --corrections` takes it over."""
    from pipeline.annotation_set import AnnotationSet
    from pipeline.corrections.corrected_set import require_complete, write_corrections
    from pipeline.exports import Selection
    from pipeline.exports.notes import Note
    from pipeline.imports import mass_deletions, read_changes, read_note
    from pipeline.masks import rle_area

    corrected = AnnotationSet(annotation_set)
    require_complete(corrected)
    found = read_note(source, format_name.value, corrected.manifest.video.name)
    note = found or Note()
    selection = Selection(
        annotation_set=corrected,
        every=every or note.every,
        only=note.frames if frames is None else chosen_frames(corrected, frames),
        classes=note.classes if classes is None else chosen_classes(corrected, classes),
        min_area=min_area or note.min_area,
    )
    changed = read_changes(source, format_name.value, selection)
    write_corrections(out, changed, corrected, source)
    areas = [rle_area(track.rle) for frame in changed for track in frame.tracks]
    screen.print(
        f"{out}: {sum(area > 0 for area in areas)} masks drawn or renamed and "
        f"{areas.count(0)} deleted on {sum(bool(frame.tracks) for frame in changed)} of "
        f"{len(changed)} frames",
        soft_wrap=True,
    )
    if found is None or format_name is ImportFormat.cvat:
        _warn_of_deletions(mass_deletions(changed, selection), source, format_name, found)


def _warn_of_deletions(
    deleted: "MassDeletions", source: Path, format_name: ImportFormat, found: "Note | None"
) -> None:
    """Say what an import deletes that its human may not have meant to delete."""
    if found is None and deleted.in_words:
        screen.print(
            f"{source} deletes {' and '.join(deleted.in_words)}; if it was exported with --every, "
            "--frames, --classes or --min-area, remove the set and import it again with the same",
            soft_wrap=True,
        )
    elif format_name is ImportFormat.cvat and deleted.emptied_frames:
        screen.print(
            f"{source} has no mask left on frame {_some(deleted.emptied_frames)}; if these were "
            "removed from the task instead of emptied, restore them there, export it again, remove "
            "the set and import it again: the file does not tell both apart",
            soft_wrap=True,
        )


def _some(numbers: list[int]) -> str:
    """Return the first numbers in words, and how many more there are."""
    first, more = numbers[:_NAMED_FRAMES], len(numbers) - _NAMED_FRAMES
    text = ", ".join(map(str, first))
    return f"{text} and {more} more" if more > 0 else text
