"""The `sam2` package's underscored methods, which it does not promise: called here alone.

A release that changes one of them is met in this module. `tracking.drawn_prompts` overrides one
besides, since a network of ours is a `SAM2Base`.
"""

from dataclasses import dataclass
from typing import Any

from sam2.modeling.memory_attention import MemoryAttentionLayer
from sam2.modeling.sam.transformer import RoPEAttention
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLevels:
    """The features of N pictures as SAM-2 hands them on, the finest level first.

    Attributes:
        vision: float32[HW, N, C] of each level.
        positions: float32[HW, N, C], their position encodings.
        sizes: (H, W) of each level.
    """

    vision: list[Tensor]
    positions: list[Tensor]
    sizes: list[tuple[int, int]]

    def of(self, rows: Tensor) -> "ImageLevels":
        """Return the pictures of some rows int64[B], which may repeat."""
        return ImageLevels(
            vision=[level[:, rows] for level in self.vision],
            positions=[level[:, rows] for level in self.positions],
            sizes=self.sizes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedMasks:
    """What SAM-2 answers for B tracks in a frame.

    Attributes:
        logits: float32[B, 1, h, w], the best mask before the sigmoid.
        enlarged: float32[B, 1, H, W], the same at the size of the network's input.
        offered: float32[B, M, h, w], all masks that the decoder offers.
        ious: float32[B, M], their predicted IoUs.
        pointers: float32[B, D], the object pointers.
        presence: float32[B, 1], the logit of each being visible.
    """

    logits: Tensor
    enlarged: Tensor
    offered: Tensor
    ious: Tensor
    pointers: Tensor
    presence: Tensor


def image_levels(network: SAM2Base, backbone: dict[str, list[Tensor]]) -> ImageLevels:
    """Return the levels of what the image encoder made of N pictures."""
    _, vision, positions, sizes = network._prepare_backbone_features(backbone)
    return ImageLevels(vision=vision, positions=positions, sizes=sizes)


def offers_several(
    network: SAM2Base, point_inputs: dict[str, Tensor] | None, *, is_new: bool
) -> bool:
    """Return whether the mask decoder is asked for more than one mask."""
    return bool(network._use_multimask(is_new, point_inputs))


def decode_prompt(
    network: SAM2Base,
    conditioned: Tensor,
    high_resolution: list[Tensor],
    point_inputs: dict[str, Tensor],
    *,
    is_new: bool,
) -> DecodedMasks:
    """Ask the mask decoder for the objects of boxes or points.

    Args:
        network: a SAM-2 network.
        conditioned: features float32[B, C, h, w], with what is remembered or without.
        high_resolution: float32[B, C, h, w] of the finer levels.
        point_inputs: where the boxes' corners or the points are, and what each is.
        is_new: whether nothing is remembered of the objects yet.
    """
    heads = network._forward_sam_heads(
        backbone_features=conditioned,
        point_inputs=point_inputs,
        high_res_features=high_resolution,
        multimask_output=offers_several(network, point_inputs, is_new=is_new),
    )
    return _decoded(heads)


def decode_given_masks(
    network: SAM2Base, coarse: Tensor, high_resolution: list[Tensor], masks: Tensor
) -> DecodedMasks:
    """Take masks float32[B, 1, H, W] that tracks are prompted with for what the decoder says."""
    return _decoded(network._use_mask_as_output(coarse, high_resolution, masks))


def write_memory(
    network: SAM2Base,
    levels: list[Tensor],
    sizes: list[tuple[int, int]],
    masks: Tensor,
    presence: Tensor,
    *,
    prompted: bool,
) -> Tensor:
    """Return memories float32[B, M, h, w] of masks in a frame.

    Args:
        network: a SAM-2 network.
        levels: the frame's features, a row for each track.
        sizes: (H, W) of each level.
        masks: float32[B, 1, H, W] before the sigmoid, of the size of the network's input.
        presence: float32[B, 1], the logit of each being visible.
        prompted: whether the masks are what the tracker was told.
    """
    memories, _ = network._encode_new_memory(
        current_vision_feats=levels,
        feat_sizes=sizes,
        pred_masks_high_res=masks,
        object_score_logits=presence,
        is_mask_from_pts=prompted,
    )
    written: Tensor = memories
    return written


def learn_to_follow(
    network: SAM2Base,
    seen: ImageLevels,
    inputs: dict[str, Any],
    memory: dict[str, dict[int, Any]],
    frame: int,
    frames: int,
    *,
    is_prompted: bool,
) -> DecodedMasks:
    """Follow tracks into one of so many frames as SAM-2 is trained, and remember it.

    The last frame is not encoded as a memory, which would serve nobody.

    Args:
        network: a SAM-2 network.
        seen: of the frame, a row for each track.
        inputs: `point_inputs` and `mask_inputs`, either may be None.
        memory: of the frames before, as SAM-2 holds it; this frame's is added.
        frame: its index.
        frames: how many there are.
        is_prompted: whether the tracks are prompted in it.
    """
    output, heads, _, _ = network._track_step(
        frame_idx=frame,
        is_init_cond_frame=is_prompted,
        current_vision_feats=seen.vision,
        current_vision_pos_embeds=seen.positions,
        feat_sizes=seen.sizes,
        output_dict=memory,
        num_frames=frames,
        track_in_reverse=False,
        prev_sam_mask_logits=None,
        **inputs,
    )
    decoded = _decoded(heads)
    output["pred_masks"], output["obj_ptr"] = decoded.logits, decoded.pointers
    if frame + 1 < frames:
        network._encode_memory_in_output(
            seen.vision,
            seen.sizes,
            inputs["point_inputs"],
            True,
            decoded.enlarged,
            decoded.presence,
            output,
        )
    memory["cond_frame_outputs" if is_prompted else "non_cond_frame_outputs"][frame] = output
    return decoded


def attend_to_itself(layer: MemoryAttentionLayer, current: Tensor, position: Tensor) -> Tensor:
    """Let the places of a frame float32[B, HW, C] attend to each other, as a layer begins."""
    attended: Tensor = layer._forward_sa(current, position)
    return attended


def by_head(attention: RoPEAttention, tokens: Tensor) -> Tensor:
    """Divide tokens [B, L, C] among the heads: [B, heads, L, C / heads]."""
    divided: Tensor = attention._separate_heads(tokens, attention.num_heads)
    return divided


def of_all_heads(attention: RoPEAttention, tokens: Tensor) -> Tensor:
    """Join what the heads made, [B, heads, L, C / heads], to tokens [B, L, C]."""
    joined: Tensor = attention._recombine_heads(tokens)
    return joined


def _decoded(heads: tuple[Tensor, ...]) -> DecodedMasks:
    offered, _, ious, logits, enlarged, pointers, presence = heads
    return DecodedMasks(
        logits=logits,
        enlarged=enlarged,
        offered=offered,
        ious=ious,
        pointers=pointers,
        presence=presence,
    )
