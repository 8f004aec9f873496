"""The command line's part about sets: `scopeline export` and `scopeline report`."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.consoles import screen
from flows.frame_progress import frame_bars
from pipeline.errors import InputError, UsageError

if TYPE_CHECKING:
    from pipeline.annotation_set import AnnotationSet


class ExportFormat(StrEnum):
    """The formats that `export` knows."""

    coco = "coco"
    csv = "csv"
    cvat = "cvat"
    davis = "davis"
    dicom_seg = "dicom-seg"
    label_studio = "label-studio"
    mp4 = "mp4"
    nnunet = "nnunet"
    parquet = "parquet"
    sasvi = "sasvi"
    yolo = "yolo"
    youtube_vis = "youtube-vis"


class FrameChoice(StrEnum):
    """Which frames `export` takes."""

    all = "all"
    worth_labelling = "worth-labelling"


class ImageChoice(StrEnum):
    """The pictures that go with formats that refer to pictures."""

    jpeg = "jpeg"
    png = "png"
    none = "none"


def export_set(
    annotation_sets: Annotated[
        list[Path],
        typer.Argument(metavar="SET", help="One set; coco, nnunet and yolo take several."),
    ],
    format_name: Annotated[
        ExportFormat,
        typer.Option("--format", metavar="NAME", help=f"{', '.join(ExportFormat)}."),
    ],
    out: Annotated[Path, typer.Option(help="File or folder to write.")],
    every: Annotated[int, typer.Option(min=1, help="Export each Nth frame.")] = 1,
    frames: Annotated[
        FrameChoice,
        typer.Option(
            help="All, or up to 20, a second apart, of whose masks the tracker is least sure."
        ),
    ] = FrameChoice.all,
    classes: Annotated[
        str | None, typer.Option(help="Classes to export, with commas between them.")
    ] = None,
    min_area: Annotated[int, typer.Option(min=1, help="Leave out smaller masks, in pixels.")] = 1,
    images: Annotated[
        ImageChoice, typer.Option(help="For formats that refer to pictures; none: names only.")
    ] = ImageChoice.jpeg,
    redact_out_of_body: Annotated[
        bool,
        typer.Option("--redact-out-of-body", help="Blank the pictures outside the body."),
    ] = False,
    videos: Annotated[
        list[Path] | None,
        typer.Option(
            "--video",
            metavar="PATH",
            help="Where a set's video is now; once for each set, in their order.",
        ),
    ] = None,
    splits: Annotated[
        str | None,
        typer.Option(
            metavar="by-video[:SHARES]",
            help="Divide the videos of coco, nnunet or yolo: by-video:0.7,0.2,0.1.",
        ),
    ] = None,
) -> None:
    """Write sets in another format; of one still being written, what is committed."""
    from pipeline.annotation_set import AnnotationSet
    from pipeline.exports import Selection, Splits, export_several
    from pipeline.exports.yolo import told_losses

    places: Sequence[Path | None] = videos or [None] * len(annotation_sets)
    if len(places) != len(annotation_sets):
        raise UsageError("--video is given once for each set, in the order of the sets")
    division = None if splits is None else Splits.parse(splits)
    with frame_bars() as add:
        selections = [
            Selection(
                annotation_set=annotated,
                every=every,
                only=chosen_frames(annotated, frames),
                classes=chosen_classes(annotated, classes),
                min_area=min_area,
                images=images.value,
                out_of_body="blank" if redact_out_of_body else "keep",
                video=video,
                on_frame=add(annotated.path.name),
            )
            for annotated, video in zip(map(AnnotationSet, annotation_sets), places, strict=True)
        ]
        export_several(selections, format_name.value, out, division)
    for annotation_set in (selection.annotation_set for selection in selections):
        if not annotation_set.is_complete:
            manifest = annotation_set.manifest
            screen.print(
                f"{annotation_set.path} is {manifest.state}: {manifest.counts.frames} frames so "
                "far; `import` takes corrections of complete sets only",
                soft_wrap=True,
            )
    if format_name is ExportFormat.yolo:
        screen.print(told_losses(out), soft_wrap=True)
    screen.print(str(out), soft_wrap=True)


def chosen_frames(annotated: "AnnotationSet", choice: FrameChoice) -> frozenset[int] | None:
    """Return the indices of the frames that are chosen; None if all are.

    Raises:
        InputError: frames worth labelling are wanted, and there are none.
    """
    from pipeline.doubts import worth_labelling

    if choice is FrameChoice.all:
        return None
    doubts = worth_labelling(annotated)
    if not doubts:
        raise InputError(
            f"{annotated.path} has no frame that the tracker is unsure of; leave out --frames "
            "to take all"
        )
    return frozenset(doubt.frame_index for doubt in doubts)


def chosen_classes(annotated: "AnnotationSet", text: str | None) -> tuple[str, ...]:
    """Return the names in a list with commas between them; a name may have commas of its own."""
    from pipeline.name_lists import listed_names

    return listed_names(text or "", {label.name for label in annotated.label_set.foreground})


def report(
    annotation_set: Annotated[Path, typer.Argument(metavar="SET")],
    out: Annotated[
        Path | None, typer.Option(help="HTML file to write; NAME.html beside the set without it.")
    ] = None,
    redact_out_of_body: Annotated[
        bool,
        typer.Option("--redact-out-of-body", help="Blank the pictures outside the body."),
    ] = False,
    video: Annotated[Path | None, typer.Option(help="Where the annotated video is now.")] = None,
) -> None:
    """Write one HTML page: time line, prompts, doubtful frames, classes, settings."""
    from pipeline.annotation_set import AnnotationSet
    from pipeline.report import write_report

    annotated = AnnotationSet(annotation_set)
    path = out or annotated.path.with_suffix(".html")
    write_report(annotated, path, "blank" if redact_out_of_body else "keep", video)
    screen.print(str(path), soft_wrap=True)
