"""Export YOLO segmentation data: a text file of polygons for each picture, and `data.yaml`.

The format is documented at docs.ultralytics.com (instance segmentation data sets). The package
itself is under AGPL-3.0 and brings a second torch, so it is not used.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UsageError
from pipeline.exports.output import whole_folder
from pipeline.exports.pictures import frames_with_written_pictures
from pipeline.exports.polygons import filled, one_polygon, outlines
from pipeline.exports.selection import Selection
from pipeline.masks import decode_mask

PARTS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Splits:
    """How videos are divided among training, validation and test; a video is never divided.

    Attributes:
        shares: of the videos, for train, val and test; they sum up to 1.

    Raises:
        UsageError: they do not.
    """

    shares: tuple[float, float, float] = (0.8, 0.2, 0.0)

    def __post_init__(self) -> None:
        """Check the shares."""
        if min(self.shares) < 0 or abs(sum(self.shares) - 1) > 1e-6:
            raise UsageError(f"--splits has shares {self.shares}; give some that sum up to 1")

    @classmethod
    def parse(cls, text: str) -> "Splits":
        """Read `by-video` or `by-video:0.7,0.2,0.1`.

        Raises:
            UsageError: the text is neither.
        """
        kind, _, shares = text.partition(":")
        try:
            numbers = [float(share) for share in shares.split(",")] if shares else [0.8, 0.2]
        except ValueError:
            numbers = []
        if kind != "by-video" or not 1 <= len(numbers) <= len(PARTS):
            raise UsageError(
                f"--splits {text} is not known; write by-video or by-video:0.7,0.2,0.1"
            )
        train, val, test = (*numbers, 0.0, 0.0)[:3]
        return cls((train, val, test))

    def divide(self, selections: Sequence[Selection]) -> dict[str, list[Selection]]:
        """Return the sets of each part; the content of the videos alone decides.

        Of two or more videos each part with a share gets one at least, as far as they go.
        """
        shares = {name: share for name, share in zip(PARTS, self.shares, strict=True) if share > 0}
        parts: dict[str, list[Selection]] = {name: [] for name in PARTS}
        for selection in sorted(selections, key=_content):
            empty = [name for name in shares if not parts[name]]
            missing = {
                name: share * len(selections) - len(parts[name]) for name, share in shares.items()
            }
            parts[empty[0] if empty else max(missing, key=missing.__getitem__)].append(selection)
        return parts


def _content(selection: Selection) -> str:
    return selection.annotation_set.manifest.video.sha256


def export_yolo(selections: Sequence[Selection], path: Path, splits: Splits) -> None:
    """Write `images/PART/`, `labels/PART/`, `data.yaml` and `losses.json`.

    Pictures are named `VIDEO_00000.jpg`. Class numbers count from 0 in the order of the label
    set. An object is one polygon, its parts and holes tied to it by cuts of no width;
    `losses.json` says what that has cost.

    Raises:
        UsageError: two videos have the same name, or the sets have different classes.
        InputError: pictures are wanted, but an annotated video is gone or has changed.
        OutputError: the folder exists already or cannot be written.
    """
    _check(selections)
    with whole_folder(path) as draft:
        losses = _Losses()
        parts = splits.divide(selections)
        for part, chosen in parts.items():
            for selection in chosen:
                _write_video(selection, draft, part, losses)
        _write_description(selections[0], parts, draft)
        (draft / "losses.json").write_text(json.dumps(losses.to_json(), indent=2) + "\n")


@dataclass(slots=True)
class _Losses:
    objects: int = 0
    with_holes_or_parts: int = 0
    iou_sum: float = 0.0
    least_iou: float = 1.0

    def add(self, mask: NDArray[np.bool_], again: NDArray[np.bool_], outlines: int) -> None:
        self.objects += 1
        self.with_holes_or_parts += outlines > 1
        iou = float((mask & again).sum() / (mask | again).sum())
        self.iou_sum += iou
        self.least_iou = min(self.least_iou, iou)

    def to_json(self) -> dict[str, float]:
        return {
            "objects": self.objects,
            "objects_with_holes_or_parts": self.with_holes_or_parts,
            "mean_iou": self.iou_sum / max(self.objects, 1),
            "least_iou": self.least_iou,
        }


def _check(selections: Sequence[Selection]) -> None:
    names = [_stem(selection) for selection in selections]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two sets are of a video {name}; export them one by one")
    for selection in selections[1:]:
        if _names(selection) != _names(selections[0]):
            raise UsageError(
                f"{selection.annotation_set.path} has other classes than "
                f"{selections[0].annotation_set.path}; choose common ones by --classes"
            )


def _stem(selection: Selection) -> str:
    return Path(selection.annotation_set.manifest.video.name).stem


def _names(selection: Selection) -> list[str]:
    return [label.name for label in selection.labels]


def _write_video(selection: Selection, draft: Path, part: str, losses: _Losses) -> None:
    numbers = {label.id: number for number, label in enumerate(selection.labels)}
    labels = draft / "labels" / part
    labels.mkdir(parents=True, exist_ok=True)
    prefix = f"{_stem(selection)}_"
    pictures = draft / "images" / part
    for frame, name in frames_with_written_pictures(selection, pictures, prefix):
        lines = [
            f"{numbers[track.class_id]} {_polygon(decode_mask(track.rle), losses)}\n"
            for track in frame.tracks
        ]
        (labels / name).with_suffix(".txt").write_text("".join(lines))


def _polygon(mask: NDArray[np.bool_], losses: _Losses) -> str:
    """Return x and y of the outline's pixel centres as shares of the picture's sides."""
    rings = outlines(mask)
    polygon = one_polygon(rings)
    height, width = mask.shape
    losses.add(mask, filled(polygon, (height, width)), outlines=len(rings))
    shares = (polygon + 0.5) / (width, height)
    return " ".join(f"{value:.6f}" for value in shares.ravel())


def _write_description(
    selection: Selection, parts: dict[str, list[Selection]], draft: Path
) -> None:
    lines = list(_description(selection, parts))
    (draft / "data.yaml").write_text("\n".join(lines) + "\n")


def _description(selection: Selection, parts: dict[str, list[Selection]]) -> Iterator[str]:
    """Yield the lines of `data.yaml`; JSON strings are YAML strings too."""
    yield "path: ."
    for part in PARTS:
        # Training code insists on a validation part; one video alone can only be its own.
        there = part if parts[part] else "train"
        if parts[part] or part == "val":
            yield f"{part}: images/{there}"
    yield "names:"
    for number, name in enumerate(_names(selection)):
        yield f"  {number}: {json.dumps(name)}"
