"""SAM-2's memory attention for tracks whose memories are of different length.

The `sam2` package attends to all memories of all rows and so can only batch tracks with
equally many. Here shorter rows are padded, and the padding is masked out.
"""

import torch
from sam2.modeling.memory_attention import MemoryAttention, MemoryAttentionLayer
from sam2.modeling.position_encoding import apply_rotary_enc
from sam2.modeling.sam.transformer import RoPEAttention
from torch import Tensor


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
