"""SAM-2 memory tracking as a stream: one frame in, the masks of all tracks out.

Built on the `sam2` package's `SAM2Base` network (Ravi et al., arXiv 2408.00714), not on its
`SAM2VideoPredictor`, which holds every frame of the video, follows one object after the
other and replaces a track's memory when it is prompted again.
"""

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor

from pipeline.networks.devices import Precision, computing, moved
from pipeline.records import ChangedFrame, FrameBatch, Prompt, TrackedMasks, require_pictures
from tracking.drawn_prompts import DrawnPromptSam2
from tracking.frame_features import FrameFeatures, PictureEncoder, TrackOutput
from tracking.mask_choice import MaskChoice, likely_masks, surest_masks
from tracking.mask_heads import follow_heads, given_masks, track_outputs
from tracking.memory import LATEST_IN_DETAIL, FrameMemory, MemoryBank, MemoryRule
from tracking.memory_attention import MemoryReader
from tracking.memory_writing import encode_memories
from tracking.past_frames import PastFrame, PastFrames
from tracking.place_heads import FirstMasks, place_heads, without_memory
from tracking.prompt_inputs import require_mask_of
from tracking.prompt_views import Views, as_masks
from tracking.tracked_masks import masks_of_outputs
from tracking.tracker_state import (
    Arrays,
    bank_arrays,
    output_arrays,
    restored_bank,
    restored_outputs,
)

# An object that is prompted was mostly there a moment before: one second at 25 frames/s.
_LOOK_BACK_FRAMES = 25


class Sam2Tracker:
    """Carries the masks of any number of tracks through a video.

    Call `track` with each frame in order, then `prompt` for tracks that should start or be
    corrected on that frame, and `result` for the masks. Memory does not grow with the video.

    Args:
        network: a SAM-2 network.
        device: where it runs.
        look_back: how many frames before the current one are kept for `back_fill`.
        memory_rule: which tracked frames are worth remembering, and how they are read.
        views: in how many views a box or points are asked: `one`, as SAM-2 does, or `several`; if
            None, that with Scopeline's own configuration or a `first_mask_network`.
        precision: of the network's convolutions and products; the answer to a prompt is always
            computed in float32.
        first_mask_network: answers boxes and points in several views instead of `network`.
        mask_choice: which of the masks that are offered for a track is taken; `likely_masks` for
            networks of Scopeline's own configuration, else `surest_masks`, if None.

    Attributes:
        encoder: encodes pictures; trackers from `beside` share it.
        mask_choice: which of the masks that are offered is taken.
    """

    def __init__(
        self,
        network: SAM2Base,
        device: torch.device,
        look_back: int = _LOOK_BACK_FRAMES,
        memory_rule: MemoryRule | None = None,
        views: Views | None = None,
        precision: Precision = "float32",
        first_mask_network: SAM2Base | None = None,
        mask_choice: MaskChoice | None = None,
    ) -> None:
        is_own = isinstance(network, DrawnPromptSam2)
        sees_near = is_own or first_mask_network is not None
        self._memory_rule = memory_rule or (LATEST_IN_DETAIL if is_own else MemoryRule())
        self.mask_choice = mask_choice or (likely_masks if is_own else surest_masks)
        self._views = views or ("several" if sees_near else "one")
        self.look_back = look_back
        self._network = network.eval().to(device)
        self._device = device
        self.encoder = PictureEncoder(self._network, device, precision)
        self._first_masks = FirstMasks(first_mask_network or network, device, precision)
        self._computing = partial(computing, device, precision)
        self._bank = MemoryBank()
        self._frame_index = -1
        self._frame_size = (0, 0)
        self._image: NDArray[np.uint8] | None = None
        self._features: FrameFeatures | None = None
        self._encoded_ahead: dict[int, FrameFeatures] = {}
        self._outputs: dict[int, TrackOutput] = {}
        self._past = PastFrames(look_back)
        self._reader = MemoryReader(self._network, device, self._memory_rule.in_detail)

    @property
    def network(self) -> SAM2Base:
        """The SAM-2 network."""
        return self._network

    @property
    def input_size(self) -> tuple[int, int]:
        """The height and width that frames are brought to."""
        return self._network.image_size, self._network.image_size

    @property
    def outputs(self) -> dict[int, TrackOutput]:
        """What the network says of each track in the current frame."""
        return dict(self._outputs)

    def beside(self) -> "Sam2Tracker":
        """Return a tracker of the same networks that knows nothing yet, for another video."""
        other = copy(self)
        other._bank, other._past = MemoryBank(), PastFrames(self.look_back)
        other.reset()
        return other

    def encode_ahead(self, frame_indices: Sequence[int], images: NDArray[np.uint8]) -> None:
        """Encode the images of the next frames in one batch, for `track` to use.

        That needs no memory of the past, and fills a GPU as single frames do not. Frames that
        `encode_together` has encoded are not encoded again.

        Args:
            frame_indices: of the N frames; `track` must be given the same images under them.
            images: uint8[N, H, W, 3], RGB.
        """
        if not self._encoded_ahead.keys() >= set(frame_indices):
            self.take_encoded(frame_indices, self.encoder.encode(images))

    def take_encoded(self, frame_indices: Sequence[int], features: Iterable[FrameFeatures]) -> None:
        """Take the features of the next frames, for `track` to use."""
        self._encoded_ahead = dict(zip(frame_indices, features, strict=True))

    @torch.inference_mode()
    def track(self, frame_index: int, image: NDArray[np.uint8]) -> None:
        """Take the next frame and follow all tracks into it, in one batched pass.

        Args:
            frame_index: larger than that of the frame before.
            image: uint8[H, W, 3], RGB.

        Raises:
            ValueError: the frame comes out of order, or is of another shape or dtype.
        """
        require_pictures(image[None])
        if frame_index <= self._frame_index:
            raise ValueError(f"frame {frame_index} comes after frame {self._frame_index}")
        before = {} if self._features is None else self._outputs
        self._see(frame_index, image)
        features, track_ids = self._current_features(), self._bank.track_ids
        if track_ids:
            self._outputs = self._follow(features, self._bank, track_ids, frame_index, before)

    def _see(self, frame_index: int, image: NDArray[np.uint8]) -> None:
        """Make a frame the current one, in which no track is known yet."""
        if self._features is not None:
            self._past.append(
                PastFrame(
                    frame_index=self._frame_index,
                    features=self._features,
                    outputs=self._outputs,
                    size=self._frame_size,
                )
            )
        self._frame_index = frame_index
        self._frame_size = (image.shape[0], image.shape[1])
        self._image = image
        ahead = self._encoded_ahead.pop(frame_index, None)
        self._features = ahead or self.encoder.encode(image[None])[0]
        self._outputs = {}

    @torch.inference_mode()
    def prompt(self, prompts: Sequence[Prompt]) -> None:
        """Start or correct tracks on the current frame; other tracks are not touched.

        Raises:
            ValueError: a prompt is for another frame or has a mask of another size, or there is no
                current frame.
        """
        for prompt in prompts:
            if self._features is None or prompt.frame_index != self._frame_index:
                raise ValueError(
                    f"a prompt for frame {prompt.frame_index} came on frame {self._frame_index}"
                )
            require_mask_of(prompt, self._frame_size)
        if self._views == "several" and self._image is not None:
            prompts = as_masks(self._first_masks.answer, self._image, prompts, self._outputs)
        with_mask = [prompt for prompt in prompts if prompt.mask is not None]
        if with_mask:
            self._prompt_masks(with_mask)
        for prompt in prompts:
            if prompt.mask is None:
                self._prompt_place(prompt)

    @torch.inference_mode()
    def back_fill(
        self, track_ids: Sequence[int], revised_since: Mapping[int, int]
    ) -> list[ChangedFrame]:
        """Follow tracks that were prompted on the current frame back through the frames before.

        A track is followed for as long as it is visible and no mere speck of what was prompted.
        What is remembered for the frames to come is not touched.

        Args:
            track_ids: tracks prompted on the current frame, to follow into frames without them.
            revised_since: others, to follow back in place of what was tracked, and the first frame
                of each that may change.

        Returns:
            The frames that changed, the latest first.
        """
        following = [*track_ids, *revised_since]
        scratch = self._bank.last_prompts(following)

        def follow(
            past: PastFrame, following: list[int], before: Mapping[int, TrackOutput]
        ) -> dict[int, TrackOutput]:
            # Time runs mirrored: a frame before the prompt is as old as one after it.
            mirrored_index = 2 * self._frame_index - past.frame_index
            return self._follow(past.features, scratch, following, mirrored_index, before)

        return self._past.follow_back(following, revised_since, self._outputs, follow)

    @torch.inference_mode()
    def appearances(self, masks: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return the mean features of the current frame under masks bool[N, H, W].

        Returns:
            float32[N, C], at unit length; 0 under an empty mask.
        """
        return self._current_features().under(masks)

    def hide(self, track_ids: Sequence[int]) -> None:
        """Let tracks not be visible in the current frame, and not be remembered as seen in it."""
        for track_id in track_ids:
            self._bank[track_id].forget_frame(self._frame_index)
            self._outputs[track_id] = self._outputs[track_id].hidden()

    def forget_past(self) -> None:
        """Let no track be followed back beyond the next frame: another picture begins."""
        self._past.clear()
        self._features = None

    def end(self, track_ids: Sequence[int]) -> None:
        """Stop following tracks and forget them; they stay in the frames before."""
        for track_id in track_ids:
            self._bank.end(track_id)
            self._outputs.pop(track_id, None)

    def withdraw(self, track_ids: Sequence[int]) -> list[ChangedFrame]:
        """Stop following tracks that were none, and take them out of the frames before.

        Returns:
            The frames that changed, the oldest first.
        """
        self.end(track_ids)
        return self._past.withdraw(track_ids)

    def reset(self) -> None:
        """Forget everything, to begin another video."""
        self._bank.clear()
        self._frame_index = -1
        self._image = None
        self._features = None
        self._encoded_ahead, self._outputs = {}, {}
        self._past.clear()

    def state(self) -> Arrays:
        """Return what is remembered, as arrays by name; none of it is a picture."""
        frames = [(past.frame_index, past.outputs) for past in self._past]
        if self._features is not None:
            frames.append((self._frame_index, self._outputs))
        return {
            **bank_arrays(self._bank),
            **output_arrays(frames),
            "last-frame": np.array([self._frame_index], np.int64),
        }

    @torch.inference_mode()
    def restore(self, state: Mapping[str, NDArray[Any]], past: Iterable[FrameBatch]) -> None:
        """Go on from a state, as if the frames before it had just been tracked.

        Args:
            state: from `state` of a tracker with the same network.
            past: the batches before, which hold at least the current frame and `look_back`
                frames before it.
        """
        self.reset()
        self._bank = restored_bank(state, self._device)
        outputs = restored_outputs(state)
        for batch in past:
            for frame_index, image in batch.numbered():
                if frame_index in outputs:
                    self._see(frame_index, image)
                    self._outputs = outputs[frame_index]
        if not outputs:
            self._frame_index = int(state["last-frame"][0])

    @torch.inference_mode()
    def result(self) -> TrackedMasks:
        """Return the masks of all tracks in the current frame, at the video's size.

        A pixel that several tracks claim goes to the one with the highest logit.
        """
        return masks_of_outputs(self._outputs, self._frame_size, self._past.latest_outputs())

    def _follow(
        self,
        features: FrameFeatures,
        bank: MemoryBank,
        track_ids: list[int],
        frame_index: int,
        before: Mapping[int, TrackOutput],
    ) -> dict[int, TrackOutput]:
        """Follow tracks from the frame before into another, and remember what is found."""
        conditioned = self._condition_on_memory(features, bank, track_ids, frame_index)
        fine, rows = features.high_resolution(len(track_ids)), [before.get(i) for i in track_ids]
        with self._computing():
            heads = follow_heads(self._network, conditioned, fine, rows, self.mask_choice)
        memories = self._encode_memories(
            features, heads.logits[:, None], heads.presence, prompted=False
        )
        outputs = heads.outputs(track_ids)
        for row, track_id in enumerate(track_ids):
            if self._memory_rule.keeps(outputs[track_id].presence):
                memory = FrameMemory(
                    frame_index=frame_index, features=memories[row], pointer=heads.pointers[row]
                )
                bank[track_id].remember_tracked(memory)
        return outputs

    def _condition_on_memory(
        self, features: FrameFeatures, bank: MemoryBank, track_ids: list[int], frame_index: int
    ) -> Tensor:
        gathered = bank.gather(track_ids, frame_index)
        with self._computing():
            read = self._reader.read(features.vision[-1], features.positions[-1], gathered)
        return read.float().permute(1, 2, 0).reshape(len(track_ids), -1, *features.sizes[-1])

    def _prompt_masks(self, prompts: list[Prompt]) -> None:
        low_res, pointers, presence = given_masks(self._network, self._current_features(), prompts)
        scores = moved(torch.tensor([prompt.score for prompt in prompts]), self._device)
        self._store_prompted(prompts, low_res, pointers, presence, scores)

    def _prompt_place(self, prompt: Prompt) -> None:
        """Take a prompt by a box or points.

        Where views of the frame are asked and see nothing, memory knows no better: no training
        has shown it boxes and points.
        """
        is_new = self._views == "several" or prompt.track_id not in self._bank
        features = self._current_features()
        if is_new:
            conditioned = without_memory(self._network, features)
        else:
            conditioned = self._condition_on_memory(
                features, self._bank, [prompt.track_id], self._frame_index
            )
        answer = place_heads(
            self._network, prompt, self._frame_size, conditioned, features, is_new=is_new
        )
        self._store_prompted(
            [prompt], answer.logits, answer.pointers, answer.presence, answer.quality
        )

    def _store_prompted(
        self,
        prompts: list[Prompt],
        low_res: Tensor,
        pointers: Tensor,
        presence: Tensor,
        quality: Tensor,
    ) -> None:
        memories = self._encode_memories(self._current_features(), low_res, presence, prompted=True)
        track_ids, visible = [prompt.track_id for prompt in prompts], presence[:, 0].sigmoid()
        for row, prompt in enumerate(prompts):
            memory = FrameMemory(
                frame_index=self._frame_index, features=memories[row], pointer=pointers[row]
            )
            self._bank[prompt.track_id].remember_prompted(memory)
        self._outputs.update(track_outputs(track_ids, low_res[:, 0], quality, visible))

    def _encode_memories(
        self, features: FrameFeatures, logits: Tensor, presence: Tensor, *, prompted: bool
    ) -> Tensor:
        with self._computing():
            return encode_memories(self._network, features, logits, presence, prompted=prompted)

    def _current_features(self) -> FrameFeatures:
        if self._features is None:
            raise ValueError("there is no current frame; call track first")
        return self._features
