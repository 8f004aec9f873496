"""One self-contained HTML page about an annotation set, to open from disk without a network."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from pipeline.annotation_set import AnnotationSet
from pipeline.annotation_set.moments import Moments, moments_of
from pipeline.annotation_set.summary import SetSummary, TrackSummary, summarize
from pipeline.doubts import Doubt, worth_labelling
from pipeline.errors import InputError
from pipeline.exports.selection import OutOfBody, Selection
from pipeline.manifest import settings_in_effect
from pipeline.output import whole_file
from pipeline.overlay import OverlayPainter
from pipeline.page_pictures import jpeg_url

# Evenly spaced pictures with their overlays; with those of special moments they stay far below
# 10 MB, however long the video is.
_EVEN_PICTURES = 160
_MOMENTS = 40
_PICTURE_WIDTH = 400
_JPEG_QUALITY = 60


@dataclass(frozen=True, slots=True)
class _Pictures:
    """JPEGs with overlays by frame, as data URLs, when those are shown, and why there are none."""

    urls: dict[int, str]
    times: dict[int, float]
    missing: str | None = None


def write_report(
    annotated: AnnotationSet,
    path: Path,
    out_of_body: OutOfBody = "keep",
    video: Path | None = None,
) -> None:
    """Write the report of a set; of one that is still being written, of what is committed.

    Args:
        annotated: the set.
        path: HTML file; it is there when it is complete, and not before.
        out_of_body: whether pictures from outside the body are kept or blanked.
        video: where the annotated video is now; where it was annotated if it is None.

    Raises:
        InputError: the set is damaged.
        OutputError: the file exists already or cannot be written.
    """
    with whole_file(path) as draft:
        summary = summarize(annotated)
        doubts = worth_labelling(annotated)
        moments = moments_of(summary, _MOMENTS)
        wanted = _even_frames(annotated) | moments.shown.keys()
        wanted |= {doubt.frame_index for doubt in doubts}
        selection = Selection(
            annotation_set=annotated, only=frozenset(wanted), out_of_body=out_of_body, video=video
        )
        pictures = _pictures(selection)
        page = _render(annotated, summary, doubts, moments, pictures, out_of_body)
        draft.write_text(page, "utf-8")


def _even_frames(annotated: AnnotationSet) -> set[int]:
    count = annotated.manifest.counts.frames
    return set(np.linspace(0, max(count - 1, 0), min(count, _EVEN_PICTURES)).astype(int).tolist())


def _pictures(selection: Selection) -> _Pictures:
    annotated = selection.annotation_set
    painter = OverlayPainter(annotated.label_set, annotated.manifest.video.height)
    pictures = _Pictures({}, {})
    try:
        for frame, image in selection.frames_with_pictures():
            painted = painter.paint(image, frame)
            pictures.urls[frame.index] = jpeg_url(painted, _PICTURE_WIDTH, _JPEG_QUALITY)
            pictures.times[frame.index] = round(frame.time_s, 3)
    except InputError as error:
        # Everything but the pictures is in the set itself.
        return _Pictures({}, {}, missing=str(error))
    return pictures


def _render(
    annotated: AnnotationSet,
    summary: SetSummary,
    doubts: Sequence[Doubt],
    moments: Moments,
    pictures: _Pictures,
    out_of_body: OutOfBody,
) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    manifest = annotated.manifest
    return environment.get_template("report.html").render(
        manifest=manifest,
        last_frame=max(manifest.counts.frames - 1, 1),
        tracks=sorted(summary.tracks.values(), key=_order),
        classes=_classes(summary),
        summary=summary,
        doubts=doubts,
        moments=moments,
        pictures=pictures,
        picture_times=json.dumps(pictures.times),
        redacted=summary.out_of_body_frames if out_of_body == "blank" else None,
        settings=settings_in_effect(manifest.settings),
    )


def _order(track: TrackSummary) -> tuple[str, int]:
    return track.class_name, track.track_id


def _classes(summary: SetSummary) -> list[dict[str, Any]]:
    """Return a row for each class: name, color, tracks, frames, mean quality and area."""
    rows: dict[str, list[TrackSummary]] = {}
    for track in sorted(summary.tracks.values(), key=_order):
        rows.setdefault(track.class_name, []).append(track)
    return [
        {
            "name": name,
            "color": tracks[0].color,
            "tracks": len(tracks),
            "frames": (frames := sum(track.frames for track in tracks)),
            "quality": sum(track.quality_sum for track in tracks) / max(frames, 1),
            "area": sum(track.area_sum for track in tracks) / max(frames, 1),
        }
        for name, tracks in rows.items()
    ]
