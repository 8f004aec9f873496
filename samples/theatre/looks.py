"""The kinds of operation that the theatre plays, and the families that it is furnished from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UsageError
from pipeline.labels import CADIS, CHOLECSEG8K, INSTRUMENTS, LabelSet
from samples.theatre.eye import FIRST_TRACK, eye_layers
from samples.theatre.instruments import PLAIN_STYLE, InstrumentStyle, Kind
from samples.theatre.organs import BLOOD, TissueLayer, base_layer, floating_layers
from samples.theatre.photographs import (
    CUT_OUT_TRACKS,
    CUT_OUTS,
    content_of,
    cut_out_layers,
    find_pictures,
)
from samples.theatre.textures import (
    Noise,
    grainy_noise,
    ridged_noise,
    smooth_noise,
    stippled_noise,
)

FamilyName = Literal["plain", "training", "heldout"]
FAMILIES: tuple[FamilyName, ...] = get_args(FamilyName)
LayerPainter = Callable[
    [np.random.Generator, tuple[int, int], NDArray[np.float64], Noise], list[TissueLayer]
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A kind of operation.

    Attributes:
        name: what it is called.
        label_set: its classes.
        layers: paints its tissue, back to front.
        class_of_tissue: class id of each tissue track; what is missing is not annotated.
        class_of_kind: class id of each kind of instrument that occurs in it.
        blood_track: track of blood that spreads, 0 where it is not annotated.
        instrument_width: factor on the width of its instruments, but for those of `plain` scenes.
        saturation: of the picture, 0 (grey) .. 1.
        content: hash of what it is made of besides, such as photographs; tells looks of one name
            apart.
    """

    name: str
    label_set: LabelSet
    layers: LayerPainter
    class_of_tissue: Mapping[int, int]
    class_of_kind: Mapping[Kind, int]
    blood_track: int = 0
    instrument_width: float = 1.0
    saturation: float = 1.0
    content: str = ""


def _abdomen(
    random: np.random.Generator, size: tuple[int, int], light: NDArray[np.float64], noise: Noise
) -> list[TissueLayer]:
    return [
        base_layer(random, size, light, noise),
        *floating_layers(random, size, light, noise),
    ]


LAPAROSCOPIC = Look(
    name="laparoscopic",
    label_set=CHOLECSEG8K,
    layers=_abdomen,
    class_of_tissue={
        label.id: label.id for label in CHOLECSEG8K.foreground if label.kind == "stuff"
    },
    class_of_kind={"grasper": 5, "hook": 9},
    blood_track=BLOOD,
)
CATARACT = Look(
    name="cataract",
    label_set=CADIS,
    layers=eye_layers,
    class_of_tissue={
        label.id + FIRST_TRACK: label.id for label in CADIS.classes if label.kind == "stuff"
    },
    class_of_kind={"probe": 7, "grasper": 7},
    instrument_width=0.6,
)
ROBOTIC = Look(
    name="robotic",
    label_set=INSTRUMENTS,
    layers=_abdomen,
    class_of_tissue={},
    class_of_kind={"grasper": 1, "hook": 1},
    instrument_width=1.6,
    saturation=0.0,
)
LOOKS = {look.name: look for look in (LAPAROSCOPIC, CATARACT, ROBOTIC)}


PHOTOGRAPHS = "photographs"


def _find_look(name: str, photographs: Path | None) -> Look:
    if name == PHOTOGRAPHS:
        if photographs is None:
            raise UsageError("--look photographs needs --photographs: a folder of pictures")
        return photograph_look(photographs)
    if name not in LOOKS:
        raise UsageError(f"unknown look {name}; choose one of {', '.join([*LOOKS, PHOTOGRAPHS])}")
    return LOOKS[name]


def photograph_look(folder: Path) -> Look:
    """Return a look whose sheets are cut out of photographs: no operation, but for tracking.

    It teaches a tracker what no drawing has: real textures, and outlines of every kind.

    Raises:
        InputError: the folder holds no pictures.
    """
    pictures = find_pictures(folder)
    return Look(
        name=PHOTOGRAPHS,
        label_set=CUT_OUTS,
        layers=partial(cut_out_layers, pictures),
        class_of_tissue=dict.fromkeys(CUT_OUT_TRACKS, 1),
        class_of_kind={"grasper": 1, "probe": 1},
        content=content_of(pictures),
    )


def draw_noise(random: np.random.Generator, family: FamilyName) -> Noise:
    """Draw how the textures of a scene are made; no family shares one with another."""
    if family == "plain":
        return smooth_noise
    if family == "training":
        return (smooth_noise, grainy_noise)[int(random.integers(2))]
    return (ridged_noise, stippled_noise)[int(random.integers(2))]


def draw_style(random: np.random.Generator, family: FamilyName, width: float) -> InstrumentStyle:
    """Draw the maker of an instrument; held-out ones have shapes and colours of their own.

    Args:
        random: source of randomness.
        family: which makers there are.
        width: factor on the width of the shaft.
    """
    if family == "plain":
        return PLAIN_STYLE
    if family == "training":
        warmth = float(random.uniform(-0.12, 0.12))
        return InstrumentStyle(
            width=width * float(random.uniform(0.7, 1.4)),
            jaw_length=float(random.choice([0.5, 0.8, 1.0, 1.5])),
            slotted=float(random.choice([0.0, 0.0, 0.35])),
            shaft_tint=(1 + warmth, 1.0, 1 - warmth),
            metal_tint=(1 + warmth, 1.0, 1 - warmth),
        )
    shafts = ((0.5, 0.8, 1.5), (0.6, 1.3, 0.8), (1.5, 1.1, 0.5))
    metals = ((1.2, 1.0, 0.6), (0.75, 0.85, 1.15), (1.0, 1.0, 1.0))
    return InstrumentStyle(
        width=width * float(random.uniform(0.7, 1.4)),
        jaw_length=float(random.uniform(0.6, 1.3)),
        jaw_bend=float(random.choice([-0.5, 0.5]) * random.uniform(0.7, 1.3)),
        slotted=float(random.choice([0.0, 0.5])),
        shaft_tint=shafts[int(random.integers(len(shafts)))],
        metal_tint=metals[int(random.integers(len(metals)))],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenery:
    """What the scenes of several seeds have in common.

    Attributes:
        looks: kinds of operation; the seeds take turns.
        families: where textures and instruments come from, each for one turn of the looks;
            `plain` scenes have no effects.
    """

    looks: tuple[Look, ...] = (LAPAROSCOPIC,)
    families: tuple[FamilyName, ...] = ("plain",)

    def look(self, seed: int) -> Look:
        """Return the kind of operation that a seed shows."""
        return self.looks[seed % len(self.looks)]

    def family(self, seed: int) -> FamilyName:
        """Return where textures and instruments of a seed come from."""
        return self.families[seed // len(self.looks) % len(self.families)]


PLAIN_SCENERY = Scenery()


def find_scenery(
    looks: Sequence[str], families: Sequence[str], photographs: Path | None
) -> Scenery:
    """Return the scenery of some looks and families by their names.

    Args:
        looks: names of `LOOKS`, or `photographs`.
        families: names of `FAMILIES`.
        photographs: folder of pictures, which only the look of that name needs.

    Raises:
        UsageError: a name is unknown, or there is no folder of photographs.
        InputError: the folder holds no pictures.
    """
    unknown = sorted(set(families) - set(FAMILIES))
    if unknown:
        raise UsageError(f"unknown family {unknown[0]}; choose one of {', '.join(FAMILIES)}")
    return Scenery(
        looks=tuple(_find_look(name, photographs) for name in looks),
        families=tuple(FAMILIES[FAMILIES.index(name)] for name in families),
    )
