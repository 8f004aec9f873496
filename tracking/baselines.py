"""Trackers without a network, to measure the real one against.

The last mask held still, and the last mask warped by dense optical flow: whatever a
network adds has to show against these.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.masks import resolve_overlaps
from pipeline.optical_flow import FlowEstimator
from pipeline.records import ChangedFrame, FrameBatch, Prompt, TrackedMasks


class HeldMasks:
    """Holds each track's last prompted mask still."""

    look_back = 0

    def __init__(self) -> None:
        self._frame_size = (0, 0)
        self._frame_index = -1
        self._shares: dict[int, NDArray[np.float32]] = {}

    def encode_ahead(self, frame_indices: Sequence[int], images: NDArray[np.uint8]) -> None:
        """Do nothing: no network has anything to encode."""
        del frame_indices, images

    def track(self, frame_index: int, image: NDArray[np.uint8]) -> None:
        """Take the next frame uint8[H, W, 3], RGB."""
        self._frame_index = frame_index
        self._frame_size = (image.shape[0], image.shape[1])

    def prompt(self, prompts: Sequence[Prompt]) -> None:
        """Start or replace tracks on the current frame.

        Raises:
            ValueError: a prompt has points or a box, from which no mask follows without a
                network, or is for another frame.
        """
        for prompt in prompts:
            if prompt.mask is None or prompt.frame_index != self._frame_index:
                raise ValueError(
                    f"a {prompt.kind} prompt for frame {prompt.frame_index} was given on frame "
                    f"{self._frame_index}; this tracker starts from masks of the current frame"
                )
            self._shares[prompt.track_id] = prompt.mask.astype(np.float32)

    def back_fill(
        self, track_ids: Sequence[int], revised_since: Mapping[int, int]
    ) -> list[ChangedFrame]:
        """Follow nothing back: frames that have passed are not kept."""
        del track_ids, revised_since
        return []

    def appearances(self, masks: NDArray[np.bool_]) -> None:
        """Return None: nothing is known of how things look."""
        del masks

    def hide(self, track_ids: Sequence[int]) -> None:
        """Do nothing: masks that are carried along cannot jump to another object."""
        del track_ids

    def forget_past(self) -> None:
        """Do nothing: frames that have passed are not kept."""

    def end(self, track_ids: Sequence[int]) -> None:
        """Stop following tracks."""
        for track_id in track_ids:
            self._shares.pop(track_id, None)

    def withdraw(self, track_ids: Sequence[int]) -> list[ChangedFrame]:
        """Stop following tracks: frames that have passed are not kept."""
        self.end(track_ids)
        return []

    def reset(self) -> None:
        """Forget everything, to begin another video."""
        self._shares = {}
        self._frame_index = -1

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the masks, by name."""
        return {f"track-{track_id}": share for track_id, share in self._shares.items()}

    def restore(self, state: Mapping[str, NDArray[Any]], past: Iterable[FrameBatch]) -> None:
        """Go on from a state, given the batches before it."""
        self.reset()
        for batch in past:
            for frame_index, image in batch.numbered():
                self.track(frame_index, image)
        names = {int(name.removeprefix("track-")): name for name in state}
        self._shares = {track_id: np.array(state[name]) for track_id, name in names.items()}

    def result(self) -> TrackedMasks:
        """Return the masks of all tracks in the current frame; of two the smaller is in front."""
        track_ids = sorted(self._shares)
        if not track_ids:
            return TrackedMasks.empty(*self._frame_size)
        masks = np.stack([self._shares[track_id] >= 0.5 for track_id in track_ids])
        areas = masks.sum((1, 2))
        return TrackedMasks(
            track_ids=np.array(track_ids, np.int64),
            masks=resolve_overlaps(masks, -areas.astype(np.float32)),
            quality=np.ones(len(track_ids), np.float32),
            presence=(areas > 0).astype(np.float32),
        )


class FlowMasks(HeldMasks):
    """Warps each track's mask from frame to frame by dense optical flow.

    The flow is from the later to the earlier frame, so that each pixel of the later one says where
    it came from.
    """

    def __init__(self) -> None:
        super().__init__()
        self._flow = FlowEstimator()
        self._last: NDArray[np.uint8] | None = None

    def track(self, frame_index: int, image: NDArray[np.uint8]) -> None:
        """Take the next frame uint8[H, W, 3], RGB, and move all masks into it."""
        super().track(frame_index, image)
        grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
        if self._last is not None and self._shares:
            came_from = self._flow.between(grey, self._last)
            rows, columns = np.indices(grey.shape, np.float32)
            map_x, map_y = columns + came_from[..., 0], rows + came_from[..., 1]
            for track_id, share in self._shares.items():
                moved = cv2.remap(share, map_x, map_y, cv2.INTER_LINEAR)
                self._shares[track_id] = np.asarray(moved, np.float32)
        self._last = grey

    def reset(self) -> None:
        """Forget everything, to begin another video."""
        super().reset()
        self._last = None
