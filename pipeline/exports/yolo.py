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

from pipeline.exports.pictures import frames_with_written_pictures
from pipeline.exports.polygons import filled, one_polygon, outlines
from pipeline.exports.selection import Selection
from pipeline.exports.splits import PARTS, Splits, check_together, class_names
from pipeline.masks import decode_mask
from pipeline.output import whole_folder

_LOSS_FILE = "losses.json"
# Below this on average, polygons are a poor likeness of the masks.
_GOOD_IOU = 0.98


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
    check_together(selections)
    with whole_folder(path) as draft:
        losses = _Losses()
        parts = splits.divide(selections)
        for part, chosen in parts.items():
            for selection in chosen:
                _write_video(selection, draft, part, losses)
        _write_description(selections[0], parts, draft)
        (draft / _LOSS_FILE).write_text(json.dumps(losses.to_json(), indent=2) + "\n")


def told_losses(path: Path) -> str:
    """Return what the polygons of an export have cost, in a sentence, with a warning if it is much.

    Args:
        path: the folder that `export_yolo` has written.
    """
    losses = json.loads((path / _LOSS_FILE).read_text())
    told = (
        "{objects} objects are a polygon each, {objects_with_holes_or_parts} of them with parts or "
        "holes tied to it; IoU with their masks {mean_iou:.3f} on average, {least_iou:.3f} at least"
    ).format(**losses)
    if losses["mean_iou"] >= _GOOD_IOU:
        return told
    return (
        f"{told}; warning: what is trained on these polygons learns other outlines, so leave out "
        "small masks by --min-area, or export coco, which holds masks as they are"
    )


@dataclass(slots=True)
class _Losses:
    objects: int = 0
    with_holes_or_parts: int = 0
    iou_sum: float = 0.0
    least_iou: float = 1.0

    def add(self, mask: NDArray[np.bool_], again: NDArray[np.bool_], outlines: int) -> None:
        self.objects += 1
        self.with_holes_or_parts += outlines > 1
        common = np.count_nonzero(mask & again)
        iou = common / (np.count_nonzero(mask) + np.count_nonzero(again) - common)
        self.iou_sum += iou
        self.least_iou = min(self.least_iou, iou)

    def to_json(self) -> dict[str, float]:
        return {
            "objects": self.objects,
            "objects_with_holes_or_parts": self.with_holes_or_parts,
            "mean_iou": self.iou_sum / self.objects if self.objects else 1.0,
            "least_iou": self.least_iou,
        }


def _write_video(selection: Selection, draft: Path, part: str, losses: _Losses) -> None:
    numbers = {label.id: number for number, label in enumerate(selection.labels)}
    labels = draft / "labels" / part
    labels.mkdir(parents=True, exist_ok=True)
    prefix = f"{selection.video_name}_"
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
    shares = ((polygon + 0.5) / (width, height)).ravel().tolist()
    # One format for all takes half the time of one for each number.
    return " ".join(["%.6f"] * len(shares)) % tuple(shares)


def _write_description(
    selection: Selection, parts: dict[str, list[Selection]], draft: Path
) -> None:
    lines = list(_description(selection, parts))
    (draft / "data.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _description(selection: Selection, parts: dict[str, list[Selection]]) -> Iterator[str]:
    """Yield the lines of `data.yaml`; JSON strings are YAML strings too.

    It names no `path`: paths are then of its own folder, and those below `path: .` are of the
    folder that the training is started in.
    """
    for part in PARTS:
        # Training code insists on a validation part; one video alone can only be its own.
        there = part if parts[part] else "train"
        if parts[part] or part == "val":
            yield f"{part}: images/{there}"
    yield "names:"
    for number, name in enumerate(class_names(selection)):
        yield f"  {number}: {json.dumps(name, ensure_ascii=False)}"
