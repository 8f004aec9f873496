"""The options of training: of `scopeline train`, and those that `data check` and `render` share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

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


DataOption = Annotated[
    str,
    typer.Option(
        metavar="DIR|theatre", help="A labelled data set; theatre: the simulated operating theatre."
    ),
]
LookOption = Annotated[LookChoice, typer.Option(help="Kind of operation.")]
_FAMILY_HELP = (
    "plain: few things happen; training, heldout: smoke, blood, cuts and more, with "
    "textures and instruments that the other does not have."
)
FamilyOption = Annotated[FamilyChoice, typer.Option(help=_FAMILY_HELP)]
FamiliesOption = Annotated[
    list[FamilyChoice] | None,
    typer.Option("--family", help=f"{_FAMILY_HELP} May be repeated.  [default: plain]"),
]
PhotographsOption = Annotated[
    Path | None, typer.Option(help="Folder of pictures for --look photographs.")
]
ModelOutOption = Annotated[Path, typer.Option(metavar="MODEL_DIR", help="Model folder to write.")]
StartFromOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|MODEL_DIR|FILE",
        help="Start from the weights of a trained model; scopeline: the one that ships; FILE: a "
        "checkpoint, for an overseer of torchvision's or detectron2's, for --adapt of SAM-2's.",
    ),
]
KeepStartOption = Annotated[
    float,
    typer.Option(
        min=0, max=1, help="Share of --start-from's weights in what is saved: forgets less."
    ),
]
ClipsOption = Annotated[int, typer.Option(min=1, help="Theatre scenes to draw clips from.")]
ValidationOption = Annotated[
    int, typer.Option("--validation-clips", min=1, help="Other scenes, to measure on.")
]
LayoutOption = Annotated[str, typer.Option(help=_LAYOUT_HELP)]
LabelsOption = Annotated[
    Path | None, typer.Option(help="JSON file: what the values in mask PNGs mean.")
]
ValidationDataOption = Annotated[
    Path | None, typer.Option(help="Data set of other videos to measure on, laid out alike.")
]
_SPLIT_HELP = "Share of the frames to measure on, by video: none is on both sides."
SplitOption = Annotated[float | None, typer.Option(min=0.01, max=0.9, help=_SPLIT_HELP)]
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
StepsOption = Annotated[int, typer.Option(min=1, help="Optimiser steps.")]
TrainingPrecisionOption = Annotated[
    TrainingPrecisionChoice, typer.Option(help="bfloat16 is faster on processors with AMX.")
]
RateOption = Annotated[float, typer.Option(min=0.0, help="Peak learning rate.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Of sampling and initial weights.")]
