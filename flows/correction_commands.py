"""The command line's part about corrections: `scopeline import`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows.command_options import screen
from flows.set_commands import FrameChoice, chosen_classes, chosen_frames


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
    format_name: Annotated[ImportFormat, typer.Option("--format", help="What it is.")],
    annotation_set: Annotated[
        Path, typer.Option("--set", metavar="SET", help="The set that was exported.")
    ],
    out: Annotated[Path, typer.Option(help="Annotation set of the corrections to write.")],
    every: Annotated[int, typer.Option(min=1, help="As on export.")] = 1,
    frames: Annotated[FrameChoice, typer.Option(help="As on export.")] = FrameChoice.all,
    classes: Annotated[str | None, typer.Option(help="As on export.")] = None,
    min_area: Annotated[int, typer.Option(min=1, help="As on export.")] = 1,
) -> None:
    """Read what a human changed in an exported file; `annotate --corrections` takes it over."""
    from pipeline.annotation_set import AnnotationSet
    from pipeline.corrections import require_complete, write_corrections
    from pipeline.exports import Selection
    from pipeline.imports import read_changes
    from pipeline.masks import rle_area

    corrected = AnnotationSet(annotation_set)
    require_complete(corrected)
    selection = Selection(
        annotation_set=corrected,
        every=every,
        only=chosen_frames(corrected, frames),
        classes=chosen_classes(corrected, classes),
        min_area=min_area,
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
