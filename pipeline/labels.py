"""Label sets: what the class ids in masks mean."""

import json
import unicodedata
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import InputError

# Control characters, halves of surrogate pairs, line and paragraph separators.
_UNWRITABLE = {"Cc", "Cs", "Zl", "Zp"}
ClassKind = Literal["thing", "stuff", "background"]

# A grey level as red * 65536 + green * 256 + blue.
GREY_AS_COLOUR = 0x010101

# Any two are 50 apart in CIELAB, where the nearest of PASCAL VOC's first 18 are 9 apart; all are
# bright enough to be seen on tissue, and each is far from those before it.
_FIRST_COLORS = (
    (45, 150, 0), (105, 0, 255), (255, 45, 0), (0, 120, 180), (255, 240, 165), (255, 30, 225),
    (225, 255, 0), (150, 60, 120), (255, 210, 255), (105, 90, 0), (0, 255, 0), (135, 120, 255),
    (120, 240, 255), (255, 0, 105), (0, 255, 180), (255, 180, 0), (0, 120, 90), (240, 135, 105),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelClass:
    """One class of a label set.

    Attributes:
        id: class id, 0 or more.
        name: what people call it.
        kind: thing (instances are told apart), stuff (one region with all its parts) or
            background (never annotated).
        color: RGB for display, each 0..255.
        value: the value that stands for it in mask images.
    """

    id: int
    name: str
    kind: ClassKind
    color: tuple[int, int, int]
    value: int

    def __post_init__(self) -> None:
        """Check that the name can be written into files of all formats.

        Raises:
            ValueError: it has characters that cannot be printed.
        """
        if any(unicodedata.category(character) in _UNWRITABLE for character in self.name):
            raise ValueError(f"the class name {self.name!r} has characters that cannot be printed")

    @property
    def hex_color(self) -> str:
        """The colour as in CSS, such as `#ff8000`."""
        return "#{:02x}{:02x}{:02x}".format(*self.color)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSet:
    """A named list of classes.

    Attributes:
        name: of the label set.
        classes: in the order of their ids.
        ignored_values: mask values that are neither a class nor background.

    Raises:
        ValueError: two classes share an id, a name or a mask value.
    """

    name: str
    classes: tuple[LabelClass, ...]
    ignored_values: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check that ids, names and values are unique."""
        for field in ("id", "name", "value"):
            values = [getattr(label, field) for label in self.classes]
            if len(set(values)) != len(values):
                repeated = next(value for value in values if values.count(value) > 1)
                raise ValueError(f"label set {self.name} has two classes with {field} {repeated}")

    def __getitem__(self, class_id: int) -> LabelClass:
        """Return the class with an id; KeyError if there is none."""
        for label in self.classes:
            if label.id == class_id:
                return label
        ids = ", ".join(str(label.id) for label in self.classes)
        raise KeyError(f"label set {self.name} has no class {class_id!r}; its ids are {ids}")

    def __contains__(self, class_id: int) -> bool:
        """Return whether a class id is known."""
        return any(label.id == class_id for label in self.classes)

    @property
    def foreground(self) -> tuple[LabelClass, ...]:
        """The classes that are annotated: all but the background."""
        return tuple(label for label in self.classes if label.kind != "background")

    @property
    def stuff(self) -> frozenset[int]:
        """The ids of the classes that have one region rather than instances."""
        return frozenset(label.id for label in self.classes if label.kind == "stuff")

    def is_stuff(self, class_id: int) -> bool:
        """Return whether a class has one region rather than instances."""
        return self[class_id].kind == "stuff"

    @property
    def uncoloured(self) -> tuple[LabelClass, ...]:
        """The classes in black: what they mean, however they are shown."""
        return tuple(replace(label, color=(0, 0, 0)) for label in self.classes)

    def to_json(self) -> dict[str, Any]:
        """Return the label set as JSON values, in the form that `--labels` takes."""
        return {
            "name": self.name,
            "classes": [
                {
                    "id": label.id,
                    "name": label.name,
                    "kind": label.kind,
                    "value": label.value,
                    "color": list(label.color),
                }
                for label in self.classes
            ],
            "ignore": list(self.ignored_values),
        }

    @classmethod
    def from_json(cls, document: Any, source: str) -> "LabelSet":
        """Read a label set from JSON values.

        Args:
            document: what `to_json` returns; kind, value and color may be missing.
            source: where it came from, for messages.

        Raises:
            InputError: the document does not describe a label set.
        """
        try:
            classes = tuple(_class_from_json(entry) for entry in document["classes"])
            return cls(
                name=str(document.get("name", "labels")),
                classes=tuple(sorted(classes, key=lambda label: label.id)),
                ignored_values=tuple(int(value) for value in document.get("ignore", [])),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"{source} is not a label set ({error}); it needs a list 'classes' whose entries "
                "have an id and a name"
            ) from error


def _class_from_json(entry: dict[str, Any]) -> LabelClass:
    class_id = int(entry["id"])
    kind = entry.get("kind", "thing")
    if kind not in ("thing", "stuff", "background"):
        raise ValueError(f"class {class_id} has kind {kind!r}, not thing, stuff or background")
    if class_id < 0:
        raise ValueError(f"class {class_id} has an id below 0")
    red, green, blue = (int(part) for part in entry.get("color", default_color(class_id)))
    if not all(0 <= part <= 255 for part in (red, green, blue)):
        raise ValueError(f"class {class_id} has a colour {red}, {green}, {blue} beyond 0 to 255")
    return LabelClass(
        id=class_id,
        name=str(entry["name"]),
        kind=kind,
        color=(red, green, blue),
        value=int(entry.get("value", class_id)),
    )


def joined(own: LabelSet, other: LabelSet) -> tuple[LabelSet, dict[int, int]]:
    """Add to classes those that only another label set has, since ids say nothing beyond their set.

    Returns:
        The classes of both; those of one name are one, those of the other alone have new ids, but
        for its background, which is never annotated. And the id in it of each class of the other.
    """
    ids = {label.name: label.id for label in own.classes}
    values = {label.value for label in own.classes} | set(own.ignored_values) | {0}
    added = []
    for label in other.classes:
        if label.name not in ids and label.kind != "background":
            ids[label.name] = max(ids.values(), default=0) + 1
            free = (value for value in chain((label.value,), count(1)) if value not in values)
            added.append(replace(label, id=ids[label.name], value=next(free)))
            values.add(added[-1].value)
    labels = replace(own, classes=(*own.classes, *added))
    return labels, {label.id: ids[label.name] for label in other.classes if label.name in ids}


def load_label_set(path: Path) -> LabelSet:
    """Read a label set from a JSON file.

    Raises:
        InputError: the file is missing, is not JSON or does not describe a label set.
    """
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; give the path of a label set") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON ({error}); repair the file") from error
    return LabelSet.from_json(document, str(path))


def default_color(class_id: int) -> tuple[int, int, int]:
    """Return the display colour of a class that nobody gave one."""
    if class_id < len(_FIRST_COLORS):
        return _FIRST_COLORS[class_id]
    return voc_color(class_id + 1)


def voc_color(number: int) -> tuple[int, int, int]:
    """Return a colour of PASCAL VOC's colour map, which DAVIS has too; 0 is black."""
    channels = [0, 0, 0]
    bits = number
    for shift in range(7, -1, -1):
        for channel in range(3):
            channels[channel] |= ((bits >> channel) & 1) << shift
        bits >>= 3
    return channels[0], channels[1], channels[2]


def numbered_class(
    number: int,
    name: str,
    kind: ClassKind = "thing",
    color: tuple[int, int, int] | None = None,
) -> LabelClass:
    """Return a class whose number is its id and its mask value, and gives a missing colour."""
    shown = default_color(number) if color is None else color
    return LabelClass(id=number, name=name, kind=kind, color=shown, value=number)


def unnamed_label_set(values: list[int]) -> LabelSet:
    """Return a label set for masks without a description: each value is a class of its own.

    A value of grey pictures that RGB pictures have as a colour is that colour's class.
    """
    found = {value for value in values if value and value * GREY_AS_COLOUR not in values}
    classes = tuple(numbered_class(value, f"class {value}") for value in sorted(found))
    return LabelSet(name="unnamed", classes=classes)


def _cholecseg8k() -> LabelSet:
    rows: list[tuple[str, ClassKind, int, tuple[int, int, int]]] = [
        ("Black background", "background", 50, (127, 127, 127)),
        ("Abdominal wall", "stuff", 11, (210, 140, 140)),
        ("Liver", "stuff", 21, (255, 114, 114)),
        ("Gastrointestinal tract", "stuff", 13, (231, 70, 156)),
        ("Fat", "stuff", 12, (186, 183, 75)),
        ("Grasper", "thing", 31, (170, 255, 0)),
        ("Connective tissue", "stuff", 23, (255, 85, 0)),
        ("Blood", "stuff", 24, (255, 0, 0)),
        ("Cystic duct", "stuff", 25, (255, 255, 0)),
        ("L-hook electrocautery", "thing", 32, (169, 255, 184)),
        ("Gallbladder", "stuff", 22, (255, 160, 165)),
        ("Hepatic vein", "stuff", 33, (0, 50, 128)),
        ("Liver ligament", "stuff", 5, (111, 74, 0)),
    ]
    classes = tuple(
        LabelClass(id=class_id, name=name, kind=kind, color=color, value=value)
        for class_id, (name, kind, value, color) in enumerate(rows)
    )
    return LabelSet(name="CholecSeg8k", classes=classes, ignored_values=(0, 255))


CHOLECSEG8K = _cholecseg8k()
"""The 13 classes of CholecSeg8k (arXiv 2012.12453) with the values of its watershed masks."""


def _cadis() -> LabelSet:
    names = ("Pupil", "Surgical tape", "Hand", "Eye retractors", "Iris", "Skin", "Cornea")
    stuff = (
        numbered_class(number, name, "stuff", voc_color(number + 1))
        for number, name in enumerate(names)
    )
    return LabelSet(
        name="CaDIS", classes=(*stuff, numbered_class(7, "Instrument", color=voc_color(8)))
    )


CADIS = _cadis()
"""The 8 classes of CaDIS' experiment I (arXiv 1906.11586): all instruments are one class."""

INSTRUMENTS = LabelSet(
    name="instruments",
    classes=(LabelClass(id=1, name="Instrument", kind="thing", color=(0, 255, 0), value=255),),
)
"""Instruments and nothing else, as binary tool masks have them."""
