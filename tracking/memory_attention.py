"""SAM-2's memory attention for tracks whose memories are of different length.

The `sam2` package attends to all memories of all rows and so can only batch tracks with
equally many. Here shorter rows are padded, and the padding is masked out.
"""

import torch
from sam2.modeling.memory_attention import MemoryAttention, MemoryAttentionLayer
from sam2.modeling.position_encoding import apply_rotary_enc
from sam2.modeling.sam.transformer import RoPEAttention
from sam2.modeling.sam2_base import SAM2Base
from sam2.modeling.sam2_utils import get_1d_sine_pe
from torch import Tensor

from tracking.memory import GatheredMemories

_POINTER_AGE_SCALE = 15


def spatial_memory_position(network: SAM2Base, device: torch.device) -> Tensor:
    """Return the spatial position encoding of a memory, float32[hw, M]; always the same."""
    side = network.sam_image_embedding_size
    dummy = torch.zeros(1, network.mem_dim, side, side, device=device)
    with torch.inference_mode():
        encoded: Tensor = network.memory_encoder.position_encoding(dummy)
    return encoded[0].flatten(1).T


def lay_out_memories(
    network: SAM2Base, gathered: GatheredMemories, spatial_position: Tensor
) -> tuple[Tensor, Tensor, int, Tensor]:
    """Lay the memories of several tracks out as tokens, spatial memories first.

    Args:
        network: knows how times and pointers are encoded.
        gathered: the memories.
        spatial_position: float32[hw, M], position encoding of one memory.

    Returns:
        tokens float32[L, B, M], their positions float32[L, B, M], how many at the end are
        object pointers, and bool[B, L], False for padding.
    """
    batch = len(gathered.ages)
    spatial = gathered.features.flatten(3).permute(1, 3, 0, 2)
    tokens_per_slot = spatial.shape[1]
    # A prompted frame has the last temporal encoding, a tracked one that of its age.
    encoding_of_age = torch.where(gathered.ages == 0, network.num_maskmem, gathered.ages) - 1
    temporal = network.maskmem_tpos_enc[encoding_of_age.T, 0, 0]
    position = spatial_position[None, :, None] + temporal[:, None]
    pieces = network.hidden_dim // network.mem_dim
    pointer_slots = gathered.pointers.shape[1]
    pointers = gathered.pointers.reshape(batch, pointer_slots * pieces, network.mem_dim)
    sine = get_1d_sine_pe(gathered.pointer_ages / _POINTER_AGE_SCALE, dim=network.hidden_dim)
    pointer_position = network.obj_ptr_tpos_proj(sine).repeat_interleave(pieces, 1)
    valid = torch.cat(
        [
            gathered.features_valid.repeat_interleave(tokens_per_slot, 1),
            gathered.pointers_valid.repeat_interleave(pieces, 1),
        ],
        1,
    )
    memory = torch.cat([spatial.reshape(-1, batch, network.mem_dim), pointers.transpose(0, 1)])
    positions = torch.cat(
        [position.reshape(-1, batch, network.mem_dim), pointer_position.transpose(0, 1)]
    )
    return memory, positions, pointer_slots * pieces, valid


def attend_to_memories(
    attention: MemoryAttention,
    *,
    current: Tensor,
    current_position: Tensor,
    memory: Tensor,
    memory_position: Tensor,
    pointer_tokens: int,
    valid: Tensor,
) -> Tensor:
    """Condition a frame's features on memories, all tracks in one pass.

    Args:
        attention: the network's memory attention.
        current: float32[HW, B, C], the frame's features, one copy for each track.
        current_position: float32[HW, B, C].
        memory: float32[L, B, M], spatial memories first, then object pointers.
        memory_position: float32[L, B, M].
        pointer_tokens: how many of the L tokens at the end are object pointers.
        valid: bool[B, L], False for padding.

    Returns:
        float32[HW, B, C].
    """
    if bool(valid.all()):
        attended: Tensor = attention(
            curr=current,
            curr_pos=current_position,
            memory=memory,
            memory_pos=memory_position,
            num_obj_ptr_tokens=pointer_tokens,
        )
        return attended
    output = current
    if attention.pos_enc_at_input:
        output = output + 0.1 * current_position
    output = output.transpose(0, 1)
    position = current_position.transpose(0, 1)
    keys = memory.transpose(0, 1)
    keys_position = memory_position.transpose(0, 1)
    for layer in attention.layers:
        output = layer._forward_sa(output, position)
        output = output + _cross_attend(
            layer, output, keys, position, keys_position, pointer_tokens, valid
        )
        hidden = layer.linear1(layer.norm3(output))
        output = output + layer.linear2(layer.activation(hidden))
    normed: Tensor = attention.norm(output)
    return normed.transpose(0, 1)


def _cross_attend(
    layer: MemoryAttentionLayer,
    output: Tensor,
    memory: Tensor,
    position: Tensor,
    memory_position: Tensor,
    pointer_tokens: int,
    valid: Tensor,
) -> Tensor:
    cross: RoPEAttention = layer.cross_attn_image
    queries = layer.norm2(output)
    if layer.pos_enc_at_cross_attn_queries:
        queries = queries + position
    keys = memory + memory_position if layer.pos_enc_at_cross_attn_keys else memory
    q = cross._separate_heads(cross.q_proj(queries), cross.num_heads)
    k = cross._separate_heads(cross.k_proj(keys), cross.num_heads)
    v = cross._separate_heads(cross.v_proj(memory), cross.num_heads)
    side = int(q.shape[-2] ** 0.5)
    if cross.freqs_cis.shape[0] != q.shape[-2]:
        cross.freqs_cis = cross.compute_cis(end_x=side, end_y=side)
    cross.freqs_cis = cross.freqs_cis.to(q.device)
    spatial = k.shape[-2] - pointer_tokens
    q, rotated = apply_rotary_enc(
        q, k[:, :, :spatial], freqs_cis=cross.freqs_cis, repeat_freqs_k=cross.rope_k_repeat
    )
    k = torch.cat([rotated, k[:, :, spatial:]], 2)
    attended = torch.nn.functional.scaled_dot_product_attention(
        q, k, v, attn_mask=valid[:, None, None, :]
    )
    projected: Tensor = cross.out_proj(cross._recombine_heads(attended))
    return projected
