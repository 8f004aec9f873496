"""The options of training: of `scopeline train`, and those that `data check` and `render` share."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.commands.options import MODELS, DeviceOption

# The panels that options of `train` are shown in.
MEASURED = "Frames to measure on"
STARTED = "Network and weights to start from"
LEARNING = "How it learns"
_SCENES = "Scenes of the theatre"

_LAYOUT_HELP = (
    "How DIR is laid out: masks (folders images and masks, equal names), annset, coco, labelme, "
    "cvat, cholecseg8k, cadis (experiment II; cadis-1, cadis-3), cataract1k, endovis17 "
    "(endovis17-parts), endovis18, endoscapes, cholecinstanceseg or autolaparo."
)


class Backbone(StrEnum):
    """The backbones that `train overseer` knows."""

    efficientnet_lite0 = "efficientnet_lite0"
    resnet18 = "resnet18"
    resnet34 = "resnet34"
    resnet50 = "resnet50"
    resnet50_v2 = "resnet50_v2"
    detectron2_resnet50 = "detectron2_resnet50"
    detectron2_resnet101 = "detectron2_resnet101"


class AugmentationChoice(StrEnum):
    """How the labelled frames that an overseer learns from are varied."""

    usual = "usual"
    wide = "wide"
    wider = "wider"


class LearnChoice(StrEnum):
    """What of an overseer learns."""

    everything = "everything"
    details = "details"


class TrunkChoice(StrEnum):
    """What the tracker's image trunk does while the rest is trained."""

    frozen = "frozen"
    varied = "varied"
    learning = "learning"


class AdaptChoice(StrEnum):
    """How a tracker is fine-tuned."""

    decoder = "decoder"
    lora = "lora"
    adapter = "adapter"
    full = "full"
    first_mask = "first-mask"


class TrainingPrecisionChoice(StrEnum):
    """In which the networks compute while they learn."""

    float32 = "float32"
    bfloat16 = "bfloat16"


class LookChoice(StrEnum):
    """The kinds of operation that the theatre plays."""

    laparoscopic = "laparoscopic"
    cataract = "cataract"
    robotic = "robotic"
    photographs = "photographs"


class FamilyChoice(StrEnum):
    """Where the theatre's textures and instruments come from."""

    plain = "plain"
    training = "training"
    heldout = "heldout"


_LOOK_HELP = f"Kind of operation: {', '.join(LookChoice)}"
LookOption = Annotated[LookChoice, typer.Option(metavar="NAME", help=f"{_LOOK_HELP}.")]
_FAMILY_HELP = (
    "plain: few things happen; training, heldout: smoke, blood, cuts and more, with "
    "textures and instruments that the other does not have."
)
FamilyOption = Annotated[FamilyChoice, typer.Option(metavar="NAME", help=_FAMILY_HELP)]
_PHOTOGRAPHS_HELP = "Folder of pictures for --look photographs."
PhotographsOption = Annotated[Path | None, typer.Option(help=_PHOTOGRAPHS_HELP)]
LayoutOption = Annotated[str, typer.Option(help=_LAYOUT_HELP)]
_SPLIT_HELP = "Share of the frames to measure on, by video: none is on both sides."
_SplitOption = Annotated[
    float | None, typer.Option(min=0.01, max=0.9, help=_SPLIT_HELP, rich_help_panel=MEASURED)
]
CheckedSplitOption = Annotated[
    float | None,
    typer.Option(
        "--validation-split",
        min=0.01,
        max=0.9,
        help=f"{_SPLIT_HELP}  [default: 0.2]",
        rich_help_panel=MEASURED,
    ),
]
ValidationVideosOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        help="Videos of the data set to measure on, with commas between them; `data check` names "
        "all.",
        rich_help_panel=MEASURED,
    ),
]
LeftOutVideosOption = Annotated[
    str | None,
    typer.Option(
        "--leave-out-videos",
        metavar="NAMES",
        help="Videos of the data set neither to learn from nor to measure on, such as those of a "
        "later test.",
        rich_help_panel=MEASURED,
    ),
]


def _clips_option(more: str) -> Any:
    text = f"Scenes to draw clips from{more}."
    return typer.Option(min=1, help=text, rich_help_panel=_SCENES)


def _look_option(more: str) -> Any:
    text = f"{_LOOK_HELP}{more}  [default: laparoscopic]"
    return typer.Option("--look", metavar="NAME", help=text, rich_help_panel=_SCENES)


ClipsOption = Annotated[int, _clips_option("")]
TrackerClipsOption = Annotated[int, _clips_option("; of labelled frames, how many clips are made")]
LooksOption = Annotated[list[LookChoice] | None, _look_option(". May be repeated.")]
OneLookOption = Annotated[list[LookChoice] | None, _look_option("; each has its classes.")]
StepsOption = Annotated[int, typer.Option(min=1, help="Optimiser steps.", rich_help_panel=LEARNING)]
RateOption = Annotated[
    float, typer.Option(min=0.0, help="Peak learning rate.", rich_help_panel=LEARNING)
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """What both trainings are told: on which data, from which start and for how long.

    How much each takes, unless it is said, is the command's.
    """

    data: Annotated[
        str,
        typer.Option(
            metavar="DIR|theatre",
            help="A labelled data set; theatre: the simulated operating theatre.",
        ),
    ]
    out: Annotated[Path, typer.Option(metavar="MODEL_DIR", help="Model folder to write.")]
    layout: LayoutOption = "masks"
    labels: Annotated[
        Path | None, typer.Option(help="JSON file: what the values in mask PNGs mean.")
    ] = None
    start_from: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|MODEL_DIR|FILE",
            help="Start from the weights of a trained model; scopeline: the one that ships; FILE: "
            "a checkpoint, for an overseer of torchvision's or detectron2's, for --adapt of "
            "SAM-2's.  [default: scopeline with --adapt; else random weights, with ImageNet's in "
            "efficientnet_lite0]",
            rich_help_panel=STARTED,
        ),
    ] = None
    kept_share: Annotated[
        float,
        typer.Option(
            "--keep-start",
            min=0,
            max=1,
            help="Share of --start-from's weights in what is saved: forgets less.",
            rich_help_panel=STARTED,
        ),
    ] = 0.0
    steps: StepsOption
    learning_rate: RateOption
    seed: Annotated[
        int,
        typer.Option(min=0, help="Of sampling and initial weights.", rich_help_panel=LEARNING),
    ] = 1
    validation_split: _SplitOption = None
    validation_videos: ValidationVideosOption = None
    left_out_videos: LeftOutVideosOption = None
    validation_data: Annotated[
        Path | None,
        typer.Option(
            help="Data set of other videos to measure on, laid out alike.",
            rich_help_panel=MEASURED,
        ),
    ] = None
    clips: ClipsOption
    validation_clips: Annotated[
        int,
        typer.Option(
            "--validation-clips",
            min=1,
            help="Other scenes, to measure on.",
            rich_help_panel=_SCENES,
        ),
    ] = 8
    looks: LooksOption = None
    families: Annotated[
        list[FamilyChoice] | None,
        typer.Option(
            "--family",
            metavar="NAME",
            help=f"{_FAMILY_HELP} May be repeated.  [default: plain]",
            rich_help_panel=_SCENES,
        ),
    ] = None
    photographs: Annotated[
        Path | None, typer.Option(help=_PHOTOGRAPHS_HELP, rich_help_panel=_SCENES)
    ] = None
    device: DeviceOption = None
    precision: Annotated[
        TrainingPrecisionChoice,
        typer.Option(help="bfloat16 is faster on processors with AMX.", rich_help_panel=MODELS),
    ] = TrainingPrecisionChoice.float32
