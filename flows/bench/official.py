"""The official `SAM2VideoPredictor` on the network of a tracker of ours, to compare with."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import sam2.sam2_video_predictor as official
import torch
from numpy.typing import NDArray
from sam2.modeling.sam2_base import SAM2Base
from sam2.sam2_video_predictor import SAM2VideoPredictor
from torch import Tensor

from pipeline.records import ChangedFrame, Prompt, TrackedMasks
from tracking.drawn_prompts import DrawnPromptSam2
from tracking.sam2_model import build_network, config_names, normalize_images


class DrawnPromptPredictor(DrawnPromptSam2, SAM2VideoPredictor):
    """The official predictor for networks to which boxes and points are also drawn."""


def predictor_like(network: SAM2Base) -> SAM2VideoPredictor:
    """Build the official predictor with the weights of a network, on its device.

    Raises:
        ValueError: the network has no known configuration.
    """
    drawn = isinstance(network, DrawnPromptSam2)
    kind = DrawnPromptPredictor if drawn else SAM2VideoPredictor
    state = network.state_dict()
    shapes = {name: value.shape for name, value in state.items()}
    for name in config_names():
        predictor = build_network(name, network_class=f"{kind.__module__}.{kind.__qualname__}")
        if {key: value.shape for key, value in predictor.state_dict().items()} == shapes:
            predictor.load_state_dict(state)
            return predictor.to(network.device)
    raise ValueError(f"the network's weights fit none of {', '.join(config_names())}")


class OfficialTracker:
    """The official predictor behind the same interface as `Sam2Tracker`.

    As in the official package, every frame and every memory is kept, and the objects are
    followed one after the other. Frames are given to it as they come, already decoded.

    Args:
        predictor: from `predictor_like`.
    """

    look_back = 0

    def __init__(self, predictor: SAM2VideoPredictor) -> None:
        self._predictor = predictor
        self.reset()

    def reset(self) -> None:
        """Forget everything, to begin another video."""
        self._state: dict[str, Any] | None = None
        self._size = (0, 0)
        self._logits: Tensor | None = None

    def encode_ahead(self, frame_indices: Sequence[int], images: NDArray[np.uint8]) -> None:
        """Do nothing: the official predictor encodes one image after the other."""

    def track(self, frame_index: int, image: NDArray[np.uint8]) -> None:
        """Take the next frame uint8[H, W, 3], RGB, and follow all objects into it."""
        del frame_index
        predictor = self._predictor
        pixels = torch.from_numpy(np.ascontiguousarray(image))[None]
        frame = normalize_images(pixels, predictor.image_size)[0]
        if self._state is None:
            self._size = (image.shape[0], image.shape[1])
            with _in_memory([frame], self._size):
                self._state = predictor.init_state("frames in memory")
        else:
            self._state["images"].append(frame)
            self._state["num_frames"] += 1
        if self._state["obj_ids"]:
            with _in_memory([], self._size):
                steps = predictor.propagate_in_video(
                    self._state, start_frame_idx=self._position, max_frame_num_to_track=0
                )
                self._logits = next(iter(steps))[2]

    def prompt(self, prompts: Sequence[Prompt]) -> None:
        """Start objects on the current frame, one after the other."""
        for prompt in prompts:
            if prompt.mask is not None:
                given = self._predictor.add_new_mask(
                    self._state, self._position, prompt.track_id, prompt.mask
                )
            else:
                points = np.asarray(prompt.points, np.float32)
                given = self._predictor.add_new_points_or_box(
                    self._state,
                    self._position,
                    prompt.track_id,
                    points=points[:, :2],
                    labels=points[:, 2].astype(np.int32),
                )
            self._logits = given[2]

    def end(self, track_ids: Sequence[int]) -> None:
        """Forget all objects; the official predictor can hardly forget one of them."""
        if track_ids and self._state is not None:
            self._predictor.reset_state(self._state)
            self._logits = None

    def withdraw(self, track_ids: Sequence[int]) -> list[ChangedFrame]:
        """Forget all objects, see `end`."""
        self.end(track_ids)
        return []

    def back_fill(
        self, track_ids: Sequence[int], revised_since: Mapping[int, int]
    ) -> list[ChangedFrame]:
        """Return nothing: no object is followed back."""
        del track_ids, revised_since
        return []

    def appearances(self, masks: NDArray[np.bool_]) -> None:
        """Return None: nothing is known of how things look."""
        del masks

    def forget_past(self) -> None:
        """Do nothing: no object is followed back."""

    def result(self) -> TrackedMasks:
        """Return the masks of all objects in the current frame, at the video's size."""
        if self._logits is None or self._state is None:
            return TrackedMasks.empty(*self._size)
        logits = self._logits[:, 0].cpu().numpy()
        winner = logits.argmax(0)
        masks = np.stack([(winner == row) & (plane > 0) for row, plane in enumerate(logits)])
        return TrackedMasks(
            track_ids=np.array(self._state["obj_ids"], np.int64),
            masks=masks,
            quality=np.ones(len(masks), np.float32),
            presence=np.ones(len(masks), np.float32),
        )

    @property
    def _position(self) -> int:
        if self._state is None:
            raise ValueError("there is no current frame; call track first")
        return int(self._state["num_frames"]) - 1


@contextmanager
def _in_memory(frames: list[Tensor], size: tuple[int, int]) -> Iterator[None]:
    """Give the predictor frames from memory and not from a folder, and no progress bars."""

    def load(**_: Any) -> tuple[list[Tensor], int, int]:
        return frames, *size

    originals = official.load_video_frames, official.tqdm
    official.load_video_frames, official.tqdm = load, lambda steps, **_: steps
    try:
        yield
    finally:
        official.load_video_frames, official.tqdm = originals


def follow_with_predictor(
    predictor: SAM2VideoPredictor, images: Sequence[NDArray[np.uint8]], prompts: Sequence[Prompt]
) -> list[Tensor]:
    """Follow masks through a whole video as the official package does it.

    Args:
        predictor: from `predictor_like`.
        images: frames uint8[H, W, 3], RGB.
        prompts: masks on the first frame.

    Returns:
        For each frame bool[M, H, W], which may overlap.
    """
    size = (images[0].shape[0], images[0].shape[1])
    frames = [
        normalize_images(torch.from_numpy(np.ascontiguousarray(image))[None], predictor.image_size)
        for image in images
    ]
    with _in_memory([frame[0] for frame in frames], size):
        state = predictor.init_state("frames in memory")
        for prompt in prompts:
            predictor.add_new_mask(state, 0, prompt.track_id, prompt.mask)
        steps = predictor.propagate_in_video(state)
        return [(logits[:, 0] > 0).cpu() for _, _, logits in steps]
