"""The overseer alone, frame by frame: the baseline without a tracker."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.annotate import Overseer
from pipeline.drafts import undecodable_draft
from pipeline.loop_state import LoopState
from pipeline.masks import RLE, decode_mask, encode_mask, iou_matrix, resolve_overlaps
from pipeline.pairs import best_pairs
from pipeline.records import Detections, FrameAnnotation, FrameBatch, Origin, TrackAnnotation


class Framewise:
    """Annotates each frame by the overseer alone.

    A detection keeps the track id of the detection of its class that it overlaps most in
    the frame before.

    Args:
        overseer: looks at every frame.
        score: detections below it are not seen, 0..1.
    """

    past_frames = 0

    def __init__(self, overseer: Overseer, score: float = 0.5) -> None:
        self._overseer = overseer
        self._score = score
        self._linker = _FrameLinker()
        self._next_frame = 0

    def step(self, batch: FrameBatch) -> list[FrameAnnotation]:
        """Annotate the frames of a batch."""
        seen = self._overseer.detect(batch.images)
        self._next_frame = int(batch.indices[-1]) + 1
        return [self._annotate(batch, row, detections) for row, detections in enumerate(seen)]

    def finish(self) -> list[FrameAnnotation]:
        """Return nothing: no frame waits."""
        return []

    def withdrawn(self) -> Mapping[int, int]:
        """Return nothing: what was seen was seen."""
        return {}

    def class_of(self, track_id: int) -> int | None:
        """Return None: no track's class ever turns."""
        del track_id
        return None

    def state(self) -> LoopState:
        """Return where the annotation stands."""
        return LoopState(next_frame=self._next_frame, values={"linker": self._linker.state()})

    def restore(self, state: LoopState, past: Iterable[FrameBatch]) -> None:
        """Go on from a state; no frame before it is needed."""
        del past
        self._next_frame = state.next_frame
        self._linker.restore(state.values["linker"])

    def _annotate(self, batch: FrameBatch, row: int, detections: Detections) -> FrameAnnotation:
        index, time_s = int(batch.indices[row]), float(batch.times[row])
        if index in batch.undecodable:
            return undecodable_draft(index, time_s).finish(lambda track_id: track_id)
        sure = np.flatnonzero(detections.scores >= self._score)
        masks = resolve_overlaps(detections.masks[sure], detections.scores[sure])
        class_ids = detections.class_ids[sure]
        track_ids = self._linker.link(class_ids, masks)
        tracks = [
            TrackAnnotation(
                track_id=track_id,
                class_id=int(class_ids[number]),
                rle=encode_mask(masks[number]),
                quality=float(detections.scores[sure[number]]),
                presence=1.0,
                origin=Origin.PROMPT,
            )
            for number, track_id in enumerate(track_ids)
            if masks[number].any()
        ]
        return FrameAnnotation(
            index=index,
            time_s=time_s,
            tracks=tuple(sorted(tracks, key=lambda track: track.track_id)),
            overseer_ran=True,
        )


class _FrameLinker:
    """Gives detections of consecutive frames the same id where they overlap most."""

    def __init__(self) -> None:
        self._previous: list[tuple[int, int, NDArray[np.bool_]]] = []
        self._next_id = 1

    def link(self, class_ids: NDArray[np.int64], masks: NDArray[np.bool_]) -> list[int]:
        track_ids = [0] * len(masks)
        if self._previous and len(masks):
            iou = iou_matrix(masks, np.stack([mask for _, _, mask in self._previous]))
            same_class = np.equal.outer(class_ids, [class_id for _, class_id, _ in self._previous])
            for number, other in best_pairs(iou, same_class & (iou > 0)).items():
                track_ids[number] = self._previous[other][0]
        for number, track_id in enumerate(track_ids):
            if track_id == 0:
                track_ids[number] = self._next_id
                self._next_id += 1
        self._previous = [
            (track_id, int(class_id), mask)
            for track_id, class_id, mask in zip(track_ids, class_ids, masks, strict=True)
        ]
        return track_ids

    def state(self) -> dict[str, Any]:
        previous = [
            [track_id, class_id, encode_mask(mask).to_json()]
            for track_id, class_id, mask in self._previous
        ]
        return {"previous": previous, "next_id": self._next_id}

    def restore(self, values: dict[str, Any]) -> None:
        self._next_id = values["next_id"]
        self._previous = [
            (track_id, class_id, decode_mask(RLE.from_json(mask)))
            for track_id, class_id, mask in values["previous"]
        ]
