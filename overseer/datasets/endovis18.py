"""EndoVis 2018 (arXiv 2001.11190): `seq_N/left_frames`, `seq_N/labels`, and `labels.json`."""

import json
from pathlib import Path
from typing import Any

from overseer.datasets.labelled_frames import LabelledFrames, gather_frames
from overseer.datasets.mask_pictures import picture_with_mask
from pipeline.errors import InputError
from pipeline.labels import ClassKind, LabelClass, LabelSet

_ROWS: tuple[tuple[str, tuple[int, int, int]], ...] = (
    ("background-tissue", (0, 0, 0)),
    ("instrument-shaft", (0, 255, 0)),
    ("instrument-clasper", (0, 255, 255)),
    ("instrument-wrist", (125, 255, 12)),
    ("kidney-parenchyma", (255, 55, 0)),
    ("covered-kidney", (24, 55, 125)),
    ("thread", (187, 155, 25)),
    ("clamps", (0, 255, 125)),
    ("suturing-needle", (255, 255, 125)),
    ("suction-instrument", (123, 15, 175)),
    ("small-intestine", (124, 155, 5)),
    ("ultrasound-probe", (12, 255, 141)),
)
_TISSUES = ("kidney-parenchyma", "covered-kidney", "small-intestine")


def read_endovis18(folder: Path, label_set: LabelSet | None, longest_side: int) -> LabelledFrames:
    """Read EndoVis 2018, whose masks are pictures in colour; a folder `seq_N` is a video.

    Its training and test parts have folders of one name, which are other operations: so the folder
    above belongs to the video's name.

    Args:
        folder: holds the sequences, at any depth, and `labels.json` where it is shipped.
        label_set: instead of the data set's own; a class's value is red * 65536 + green * 256 +
            blue.
        longest_side: larger pictures are shrunk to this many pixels.

    Raises:
        InputError: `labels.json` cannot be read, or no frame can be used.
    """
    classes = label_set or _shipped_labels(folder)
    pictures = [
        picture_with_mask(path, path.parent.parent / "labels" / path.name, classes, _video(path))
        for path in sorted(folder.rglob("left_frames/*.png"))
    ]
    wanted = "folder left_frames with pictures (*.png)"
    return gather_frames(folder, pictures, classes, longest_side, wanted=wanted)


def _video(picture: Path) -> str:
    """Return a sequence's name with that of the part it is in, such as `train/seq_1`."""
    sequence = picture.parent.parent.resolve()
    return f"{sequence.parent.name}/{sequence.name}"


def _shipped_labels(folder: Path) -> LabelSet:
    """Return the classes of the folder's `labels.json`, or those that the paper names."""
    files = sorted(folder.rglob("labels.json"))
    if not files:
        return _label_set(_ROWS)
    try:
        entries: list[dict[str, Any]] = json.loads(files[0].read_bytes())
        ordered = sorted(entries, key=lambda entry: int(entry["classid"]))
        rows = [(str(entry["name"]), _color(entry["color"])) for entry in ordered]
        return _label_set(tuple(rows))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{files[0]} is not a list of classes with name, color and classid ({error}); repair "
            "or remove it"
        ) from error


def _color(channels: list[Any]) -> tuple[int, int, int]:
    red, green, blue = channels
    return int(red), int(green), int(blue)


def _label_set(rows: tuple[tuple[str, tuple[int, int, int]], ...]) -> LabelSet:
    return LabelSet(
        name="EndoVis 2018",
        classes=tuple(
            LabelClass(
                id=number, name=name, kind=_kind(name, color), color=color, value=_value(color)
            )
            for number, (name, color) in enumerate(rows)
        ),
    )


def _kind(name: str, color: tuple[int, int, int]) -> ClassKind:
    if not any(color):
        return "background"
    return "stuff" if name in _TISSUES else "thing"


def _value(color: tuple[int, int, int]) -> int:
    red, green, blue = color
    return red if red == green == blue else red * 65536 + green * 256 + blue
