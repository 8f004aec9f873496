"""Draw annotations over frames, for people to look at; over supervision's annotators."""

from collections.abc import Callable

import cv2
import numpy as np
import supervision as sv
from numpy.typing import NDArray

from pipeline.labels import LabelSet
from pipeline.masks import boxes_of_masks, decode_mask
from pipeline.records import FrameAnnotation

# Names are placed on masks of about this many rows; finer ones place them no better.
_PLACING_ROWS = 135


def time_of(frame: FrameAnnotation) -> str:
    """Return when a frame is shown, and its number."""
    minutes, seconds = divmod(frame.time_s, 60)
    return f"{int(minutes):02d}:{seconds:05.2f}  frame {frame.index}"


class OverlayPainter:
    """Paints the tracks of a frame with their class colours, outlines and names.

    Args:
        label_set: names and colours of the classes.
        height: of the frames in pixels.
        stamp: what is written in the corner of a frame.
    """

    def __init__(
        self, label_set: LabelSet, height: int, stamp: Callable[[FrameAnnotation], str] = time_of
    ) -> None:
        self._label_set = label_set
        self._stamp = stamp
        scale = height / 540
        thickness = max(round(2 * scale), 1)
        self._class_rows = {label.id: row for row, label in enumerate(label_set.classes)}
        colors = [sv.Color(*label.color) for label in label_set.classes]
        palette = sv.ColorPalette(colors)
        self._fill = sv.MaskAnnotator(color=palette, opacity=0.35)
        self._outline = sv.PolygonAnnotator(color=palette, thickness=thickness)
        self._names = sv.LabelAnnotator(
            color=palette,
            text_color=sv.ColorPalette([_readable_on(color) for color in colors]),
            text_scale=max(0.45 * scale, 0.3),
            text_thickness=thickness if scale > 1 else 1,
            text_padding=max(round(4 * scale), 2),
            text_position=sv.Position.CENTER,
            smart_position=True,
        )
        self._stamp_scale = max(0.45 * scale, 0.3)
        self._stamp_padding = max(round(4 * scale), 2)

    def paint(self, image: NDArray[np.uint8], frame: FrameAnnotation) -> NDArray[np.uint8]:
        """Return a painted copy of a frame uint8[H, W, 3], RGB."""
        # supervision draws BGR.
        canvas = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), np.uint8)
        stamp = self._stamp(frame)
        stamp_size = self._stamp_size(stamp)
        tracks = [track for track in frame.tracks if track.class_id in self._class_rows]
        if tracks:
            masks = np.stack([decode_mask(track.rle) for track in tracks])
            detections = sv.Detections(
                xyxy=boxes_of_masks(masks),
                mask=masks,
                class_id=np.array([self._class_rows[track.class_id] for track in tracks]),
            )
            prompted = {prompt.track_id for prompt in frame.prompts}
            names = [
                f"{self._label_set[track.class_id].name} {track.track_id}"
                + (" *" if track.track_id in prompted else "")
                for track in tracks
            ]
            canvas = self._fill.annotate(canvas, detections)
            canvas = self._outline.annotate(canvas, detections)
            places = np.stack([_place_of_name(mask) for mask in masks])
            width, height = stamp_size
            in_corner = (places < (width, 2 * height)).all(1)
            # Below each other, each as high as the stamp.
            places[in_corner, 1] = height * (2 + np.arange(in_corner.sum()))
            named = sv.Detections(xyxy=np.tile(places, 2), class_id=detections.class_id)
            canvas = self._names.annotate(canvas, named, labels=names)
        if stamp:
            sv.draw_text(
                canvas,
                stamp,
                # The middle of the text.
                sv.Point(stamp_size[0] // 2, stamp_size[1] // 2),
                text_scale=self._stamp_scale,
                text_padding=self._stamp_padding,
                text_color=sv.Color.WHITE,
                background_color=sv.Color.BLACK,
            )
        return np.asarray(cv2.cvtColor(canvas, cv2.COLOR_BGR2RGB), np.uint8)

    def _stamp_size(self, text: str) -> tuple[int, int]:
        """Return width and height of a stamp in pixels, with its margins; 0 without a text."""
        if not text:
            return 0, 0
        font = cv2.FONT_HERSHEY_SIMPLEX
        (width, height), _ = cv2.getTextSize(text, font, self._stamp_scale, 1)
        return width + 2 * self._stamp_padding, height + 2 * self._stamp_padding


def _place_of_name(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return where to write an object's name: well within its mask, as near its middle as can be.

    The middle itself may lie on another object, beside a mask that is bent or in parts.

    Args:
        mask: bool[H, W], not empty.

    Returns:
        float32[2], xy in pixels.
    """
    step = max(mask.shape[0] // _PLACING_ROWS, 1)
    if not mask[::step, ::step].any():
        step = 1
    small = np.pad(mask[::step, ::step], 1)
    depth = cv2.distanceTransform(small.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_3)
    rows, columns = np.nonzero(depth >= depth.max() / 2)
    middle = np.argwhere(small).mean(0)
    nearest = np.hypot(rows - middle[0], columns - middle[1]).argmin()
    x, y = columns[nearest] - 1, rows[nearest] - 1
    return np.array([x * step, y * step], np.float32)


def _readable_on(color: sv.Color) -> sv.Color:
    """Return black or white, whichever has the higher contrast (WCAG 2.1, section 1.4.3)."""
    encoded = np.array(color.as_rgb()) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ (0.2126, 0.7152, 0.0722))
    return sv.Color.BLACK if (luminance + 0.05) ** 2 > 1.05 * 0.05 else sv.Color.WHITE
