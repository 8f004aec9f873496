"""What SAM-2 says of tracks that are followed without a prompt, or prompted with a mask."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sam2.modeling.sam2_base import NO_OBJ_SCORE, SAM2Base
from torch import Tensor

from pipeline.networks.devices import moved
from pipeline.records import Prompt
from tracking.frame_features import FrameFeatures, TrackOutput
from tracking.mask_choice import MaskChoice
from tracking.prompt_inputs import mask_input
from tracking.sam2_internals import decode_given_masks, offers_several


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackHeads:
    """What the network says of each track in a frame.

    Attributes:
        logits: float32[B, h, w], the mask that was chosen, before the sigmoid.
        quality: float32[B], its predicted IoU.
        presence: float32[B, 1], whether the object is visible, before the sigmoid.
        pointers: float32[B, D], the object pointers.
    """

    logits: Tensor
    quality: Tensor
    presence: Tensor
    pointers: Tensor

    def outputs(self, track_ids: Sequence[int]) -> dict[int, TrackOutput]:
        """Return what is said of each track, by the track ids of the rows."""
        quality = self.quality.clamp(0, 1)
        return track_outputs(track_ids, self.logits, quality, self.presence[:, 0].sigmoid())


def track_outputs(
    track_ids: Sequence[int], logits: Tensor, quality: Tensor, presence: Tensor
) -> dict[int, TrackOutput]:
    """Fetch what the network says of B tracks, with one transfer, by their track ids.

    Args:
        track_ids: of the B rows.
        logits: float32[B, h, w], their masks before the sigmoid.
        quality: float32[B], the predicted IoUs, 0..1.
        presence: float32[B], the probabilities of being visible, 0..1.
    """
    columns = [logits.float().flatten(1), quality[:, None].float(), presence[:, None].float()]
    fetched = torch.cat(columns, 1).cpu().numpy()
    return {
        track_id: TrackOutput(
            logits=row[:-2].reshape(logits.shape[1:]),
            quality=float(row[-2]),
            presence=float(row[-1]),
        )
        for track_id, row in zip(track_ids, fetched, strict=True)
    }


def follow_heads(
    network: SAM2Base,
    conditioned: Tensor,
    high_resolution: list[Tensor],
    before: Sequence[TrackOutput | None],
    choose: MaskChoice,
) -> TrackHeads:
    """Decode the masks of tracks from features that are conditioned on their memories.

    The same as the network's own `_forward_sam_heads` where `choose` is `surest_masks`. That
    enlarges all the masks that the decoder offers for a track before it takes the best: this
    takes a quarter of its time for 16 tracks.

    Args:
        network: a SAM-2.1 network.
        conditioned: float32[B, C, h, w].
        high_resolution: float32[B, C, h, w] of the finer levels.
        before: what was said of each of the B tracks in the frame before, where it was followed.
        choose: says which of the masks that are offered for a track is taken.
    """
    batch = len(conditioned)
    nowhere = conditioned.new_zeros(batch, 1, 2)
    no_point = torch.full((batch, 1), -1, dtype=torch.int32, device=conditioned.device)
    sparse, dense = network.sam_prompt_encoder(points=(nowhere, no_point), boxes=None, masks=None)
    offered, ious, tokens, presence = network.sam_mask_decoder(
        image_embeddings=conditioned,
        image_pe=network.sam_prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=offers_several(network, None, is_new=False),
        repeat_image=False,
        high_res_features=high_resolution,
    )
    # In lower precision, what the decoder offers is so too.
    offered, ious, presence = offered.float(), ious.float(), presence.float()
    visible = presence > 0
    best = choose(offered, ious, visible[:, 0], _masks_before(before, offered))
    rows = torch.arange(batch, device=conditioned.device)
    token = tokens[rows, best] if tokens.shape[1] > 1 else tokens[:, 0]
    logits = torch.where(visible[:, :, None], offered[rows, best], NO_OBJ_SCORE)
    share = visible.float()
    pointers = network.obj_ptr_proj(token).float()
    if network.fixed_no_obj_ptr:
        pointers = share * pointers
    pointers = pointers + (1 - share) * network.no_obj_ptr
    return TrackHeads(logits=logits, quality=ious[rows, best], presence=presence, pointers=pointers)


def _masks_before(before: Sequence[TrackOutput | None], offered: Tensor) -> Tensor:
    """Return the logits float32[B, h, w] of the frame before, of the size of those offered."""
    nowhere = np.full(offered.shape[2:], NO_OBJ_SCORE, np.float32)
    logits = [nowhere if output is None else output.logits for output in before]
    return moved(torch.from_numpy(np.stack(logits)), offered.device)


def given_masks(
    network: SAM2Base, features: FrameFeatures, prompts: Sequence[Prompt]
) -> tuple[Tensor, Tensor, Tensor]:
    """Take masks that tracks are prompted with for what the decoder says.

    Args:
        network: a SAM-2 network.
        features: of the frame.
        prompts: B prompts by masks.

    Returns:
        float32[B, 1, h, w], the masks before the sigmoid; float32[B, D], the object pointers; and
        float32[B, 1], the logit of each being visible.
    """
    size, device = network.image_size, network.device
    masks = torch.stack([mask_input(prompt, size, device) for prompt in prompts])
    count = len(prompts)
    decoded = decode_given_masks(
        network, features.coarse(count), features.high_resolution(count), masks
    )
    return decoded.logits, decoded.pointers, decoded.presence
