"""The options of training: of `scopeline train`, and those that `data check` and `render` share."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import DeviceOption

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


LookOption = Annotated[LookChoice, typer.Option(help="Kind of operation.")]
_FAMILY_HELP = (
    "plain: few things happen; training, heldout: smoke, blood, cuts and more, with "
    "textures and instruments that the other does not have."
)
FamilyOption = Annotated[FamilyChoice, typer.Option(help=_FAMILY_HELP)]
PhotographsOption = Annotated[
    Path | None, typer.Option(help="Folder of pictures for --look photographs.")
]
LayoutOption = Annotated[str, typer.Option(help=_LAYOUT_HELP)]
_SPLIT_HELP = "Share of the frames to measure on, by video: none is on both sides."
_SplitOption = Annotated[float | None, typer.Option(min=0.01, max=0.9, help=_SPLIT_HELP)]
CheckedSplitOption = Annotated[
    float | None,
    typer.Option("--validation-split", min=0.01, max=0.9, help=f"{_SPLIT_HELP}  [default: 0.2]"),
]
ValidationVideosOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        help="Videos of the data set to measure on, with commas between them; `data check` names "
        "all.",
    ),
]
LeftOutVideosOption = Annotated[
    str | None,
    typer.Option(
        "--leave-out-videos",
        metavar="NAMES",
        help="Videos of the data set neither to learn from nor to measure on, such as those of a "
        "later test.",
    ),
]

ClipsOption = Annotated[int, typer.Option(min=1, help="Theatre scenes to draw clips from.")]
StepsOption = Annotated[int, typer.Option(min=1, help="Optimiser steps.")]
RateOption = Annotated[float, typer.Option(min=0.0, help="Peak learning rate.")]


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
    validation_data: Annotated[
        Path | None, typer.Option(help="Data set of other videos to measure on, laid out alike.")
    ] = None
    validation_split: _SplitOption = None
    validation_videos: ValidationVideosOption = None
    left_out_videos: LeftOutVideosOption = None
    clips: ClipsOption
    validation_clips: Annotated[
        int, typer.Option("--validation-clips", min=1, help="Other scenes, to measure on.")
    ] = 8
    looks: Annotated[
        list[LookChoice] | None,
        typer.Option("--look", help="Kind of operation; may be repeated.  [default: laparoscopic]"),
    ] = None
    families: Annotated[
        list[FamilyChoice] | None,
        typer.Option("--family", help=f"{_FAMILY_HELP} May be repeated.  [default: plain]"),
    ] = None
    photographs: PhotographsOption = None
    start_from: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|MODEL_DIR|FILE",
            help="Start from the weights of a trained model; scopeline: the one that ships; FILE: "
            "a checkpoint, for an overseer of torchvision's or detectron2's, for --adapt of "
            "SAM-2's.",
        ),
    ] = None
    kept_share: Annotated[
        float,
        typer.Option(
            "--keep-start",
            min=0,
            max=1,
            help="Share of --start-from's weights in what is saved: forgets less.",
        ),
    ] = 0.0
    steps: StepsOption
    learning_rate: RateOption
    seed: Annotated[int, typer.Option(min=0, help="Of sampling and initial weights.")] = 1
    precision: Annotated[
        TrainingPrecisionChoice, typer.Option(help="bfloat16 is faster on processors with AMX.")
    ] = TrainingPrecisionChoice.float32
    device: DeviceOption = None
