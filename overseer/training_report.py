"""One self-contained HTML page about a trained overseer: what it finds, mixes up and misses."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import numpy as np
import supervision as sv
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pycocotools.cocoeval import COCOeval
from supervision.metrics import MetricTarget

from overseer.mask_rcnn import MaskRCNNOverseer
from overseer.validation import JudgedFrame, agreement, coco_evaluation, judge
from pipeline.labelled_clip import LabelledClip
from pipeline.labels import LabelSet
from pipeline.masks import boxes_of_masks, encode_mask
from pipeline.output import replaced_file
from pipeline.overlay import OverlayPainter
from pipeline.page_pictures import jpeg_url
from pipeline.records import Detections, FrameAnnotation, Origin, TrackAnnotation

_MOST_FRAMES = 200
_WORST_FRAMES = 8
_SURE_SCORE = 0.5
_PICTURE_WIDTH = 480
_JPEG_QUALITY = 70


@dataclass(frozen=True, slots=True, kw_only=True)
class _ClassRow:
    name: str
    objects: int
    map: float
    ap50: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _WorstFrame:
    name: str
    iou: float
    url: str


def write_training_report(
    overseer: MaskRCNNOverseer,
    clips: Sequence[LabelledClip],
    names: Sequence[str],
    path: Path,
    *,
    title: str,
    learned_from: bool,
) -> None:
    """Write the report of an overseer: precision by recall, confusion, and its worst frames.

    Args:
        overseer: what is judged.
        clips: labelled clips, of which the middle frame is looked at.
        names: what to call each clip.
        path: HTML file.
        title: of the page.
        learned_from: whether the overseer has learned from these very frames, which the page says.

    Raises:
        OutputError: the file cannot be written.
    """
    numbers = np.linspace(0, len(clips) - 1, min(len(clips), _MOST_FRAMES)).astype(int).tolist()
    judged = list(judge(overseer, [clips[number] for number in numbers], 1))
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("overseer", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    evaluation = coco_evaluation(judged, overseer.label_set)
    page = environment.get_template("training_report.html").render(
        title=title,
        frames=len(judged),
        least_score=_SURE_SCORE,
        flattered=learned_from,
        classes=_class_rows(judged, evaluation, overseer.label_set),
        precision_recall=_draw_precision(evaluation, overseer.label_set),
        confusion=_draw_confusion(judged, overseer.label_set),
        worst=_worst_frames(judged, [names[number] for number in numbers], overseer.label_set),
    )
    with replaced_file(path) as draft:
        draft.write_text(page, "utf-8")


def _class_rows(
    judged: Sequence[JudgedFrame], evaluation: COCOeval | None, label_set: LabelSet
) -> list[_ClassRow]:
    counts: dict[int, int] = {}
    for frame in judged:
        for track_id, _ in frame.clip.masks(frame.frame):
            class_id = frame.clip.class_of_track[track_id]
            counts[class_id] = counts.get(class_id, 0) + 1
    rows = []
    for label in label_set.foreground:
        precision = _precision(evaluation, label.id)
        if label.id in counts:
            rows.append(
                _ClassRow(
                    name=label.name,
                    objects=counts[label.id],
                    map=float(precision.mean()),
                    ap50=float(precision[0].mean()),
                )
            )
    return rows


def _precision(evaluation: COCOeval | None, class_id: int) -> NDArray[np.float64]:
    """Return a class' precision float64[IoU thresholds, recalls], 0 where nothing is found."""
    if evaluation is None:
        return np.zeros((10, 101))
    column = evaluation.params.catIds.index(class_id)
    # All areas, as many detections as COCO allows.
    precision: NDArray[np.float64] = evaluation.eval["precision"][:, :, column, 0, -1]
    return np.maximum(precision, 0)


def _draw_precision(evaluation: COCOeval | None, label_set: LabelSet) -> str:
    figure = Figure(figsize=(5.2, 4.2), layout="constrained")
    axes = figure.subplots()
    recall = np.linspace(0, 1, 101)
    for label in label_set.foreground:
        precision = _precision(evaluation, label.id)[0]
        if precision.any():
            axes.plot(recall, precision, label=label.name, color=np.array(label.color) / 255)
    axes.set(title="at IoU 0.5", xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend(fontsize="small")
    else:
        # Early in a training; an empty picture would look broken.
        axes.text(0.5, 0.5, "nothing was found", ha="center", va="center")
    return _svg(figure)


def _draw_confusion(judged: Sequence[JudgedFrame], label_set: LabelSet) -> str:
    names = [label.name for label in label_set.foreground]
    rows = {label.id: row for row, label in enumerate(label_set.foreground)}
    matrix = sv.ConfusionMatrix.from_detections(
        predictions=[_found(frame.counted, rows) for frame in judged],
        targets=[_true(frame, rows) for frame in judged],
        classes=names,
        conf_threshold=_SURE_SCORE,
        iou_threshold=0.5,
        metric_target=MetricTarget.MASKS,
    ).matrix
    figure = Figure(figsize=(5.2, 4.8), layout="constrained")
    axes = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(names) + 1)
    axes.set_xticks(ticks, [*names, "not found"], rotation=90, fontsize="small")
    axes.set_yticks(ticks, [*names, "nothing there"], fontsize="small")
    axes.set(title="objects by label and by overseer", xlabel="overseer", ylabel="label")
    for row, column in np.argwhere(matrix > 0).tolist():
        colour = "white" if shares[row, column] > 0.5 else "black"
        count = int(matrix[row, column])
        axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize="small")
    return _svg(figure)


def _found(detections: Detections, rows: dict[int, int]) -> sv.Detections:
    if not len(detections):
        return sv.Detections.empty()
    return sv.Detections(
        xyxy=detections.boxes,
        mask=detections.masks,
        confidence=detections.scores,
        class_id=np.array([rows[class_id] for class_id in detections.class_ids.tolist()]),
    )


def _true(frame: JudgedFrame, rows: dict[int, int]) -> sv.Detections:
    objects = [
        (rows[frame.clip.class_of_track[track_id]], mask)
        for track_id, mask in frame.clip.masks(frame.frame)
        if frame.clip.class_of_track[track_id] in rows
    ]
    if not objects:
        return sv.Detections.empty()
    masks = np.stack([mask for _, mask in objects])
    return sv.Detections(
        xyxy=boxes_of_masks(masks), mask=masks, class_id=np.array([row for row, _ in objects])
    )


def _worst_frames(
    judged: Sequence[JudgedFrame], names: Sequence[str], label_set: LabelSet
) -> list[_WorstFrame]:
    pairs = [(frame.clip.annotation(frame.frame), _sure(frame.detections)) for frame in judged]
    ious = [
        agreement(labels, _sure(frame.counted))
        for (labels, _), frame in zip(pairs, judged, strict=True)
    ]
    return [
        _WorstFrame(
            name=names[number],
            iou=ious[number],
            url=_side_by_side(judged[number].image, pairs[number], label_set),
        )
        for number in np.argsort(ious, kind="stable")[:_WORST_FRAMES].tolist()
    ]


def _sure(detections: Detections) -> Detections:
    return detections.rows(np.flatnonzero(detections.scores >= _SURE_SCORE))


def _side_by_side(
    image: NDArray[np.uint8], pair: tuple[FrameAnnotation, Detections], label_set: LabelSet
) -> str:
    """Paint labels on the left and what was found on the right; returns a JPEG as data URL."""
    labels, sure = pair
    # The caption below says which frame it is.
    painter = OverlayPainter(label_set, image.shape[0], stamp=lambda _: "")
    tracks = [
        TrackAnnotation(
            track_id=number + 1,
            class_id=int(sure.class_ids[number]),
            rle=encode_mask(sure.masks[number]),
            quality=float(sure.scores[number]),
            presence=1.0,
            origin=Origin.PROMPT,
        )
        for number in range(len(sure))
    ]
    found = FrameAnnotation(index=0, time_s=0.0, tracks=tuple(tracks))
    picture = np.hstack([painter.paint(image, part) for part in (labels, found)])
    return jpeg_url(picture, min(picture.shape[1], 2 * _PICTURE_WIDTH), _JPEG_QUALITY)


def _svg(figure: Figure) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg")
    # Inside a page the XML declaration has no place.
    content = text.getvalue()
    return content[content.index("<svg") :]
