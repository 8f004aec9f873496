"""SAM-2's memory attention, for tracks whose memories differ in length, without repeating work.

The `sam2` package attends to all memories of all rows, and so can only batch tracks with equally
many; here shorter rows are padded, and the padding is masked out. It also makes keys and values of
every memory anew for each frame. What they are does not change as long as a memory is kept, but for
its age, which enters as an encoding that is added: attention projects and rotates linearly, so that
keys are those of the memory plus those of its age. And as long as tracks have not looked at their
memories, they all see the same picture, which is attended to once.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from sam2.modeling.memory_attention import MemoryAttention
from sam2.modeling.position_encoding import apply_rotary_enc
from sam2.modeling.sam.transformer import RoPEAttention
from sam2.modeling.sam2_base import SAM2Base
from sam2.modeling.sam2_utils import get_1d_sine_pe
from torch import Tensor

from tracking.memory import FrameMemory, GatheredMemories

_POINTER_AGE_SCALE = 15
# Keys and values of SAM-2's own networks take some 30 MB a memory, too much to keep.
_MOST_KEPT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysAndValues:
    """What one layer of the memory attention attends to.

    Attributes:
        keys: float32[..., L, C], rotated where they have a place in the picture.
        values: float32[..., L, C].
    """

    keys: Tensor
    values: Tensor


class MemoryReader:
    """Conditions a frame's features on what is remembered of tracks.

    Args:
        network: a SAM-2 network.
        device: where it runs.
    """

    def __init__(self, network: SAM2Base, device: torch.device) -> None:
        self._network = network
        self._attention: MemoryAttention = network.memory_attention
        self._position = _spatial_position(network, device)
        self._kept: WeakKeyDictionary[FrameMemory, list[KeysAndValues]] = WeakKeyDictionary()
        layers = self._attention.layers
        width = layers[0].cross_attn_image.internal_dim
        kept_bytes = len(layers) * 2 * len(self._position) * width * 4
        self._keeps = kept_bytes <= _MOST_KEPT_BYTES
        self._keys_of_age = self._project_ages()
        self._room = self._position.new_zeros(0)

    def read(self, current: Tensor, position: Tensor, gathered: GatheredMemories) -> Tensor:
        """Return a frame's features as each track's memories have them, float32[HW, B, C].

        Args:
            current: float32[HW, 1, C], the frame's features.
            position: float32[HW, 1, C], their position encoding.
            gathered: the memories of B tracks.
        """
        return attend_to_memories(
            self._attention,
            current,
            position,
            self._lay_out(gathered),
            self._valid(gathered),
        )

    def _lay_out(self, gathered: GatheredMemories) -> list[KeysAndValues]:
        """Lay out what each layer attends to: spatial memories first, padded, then pointers."""
        tokens = len(self._position)
        spatial = max(len(row) for row in gathered.memories) * tokens
        pointers = self._project_pointers(gathered)
        laid_out = self._room_before(pointers, spatial)
        for row, (memories, ages) in enumerate(zip(gathered.memories, gathered.ages, strict=True)):
            for slot, (memory, age) in enumerate(zip(memories, ages, strict=True)):
                place = slice(slot * tokens, (slot + 1) * tokens)
                layers = zip(
                    laid_out, self._keys_and_values(memory), self._keys_of_age, strict=True
                )
                for into, one, keys_of_age in layers:
                    torch.add(one.keys, keys_of_age[age], out=into.keys[row, place])
                    into.values[row, place] = one.values
            padding = slice(len(memories) * tokens, spatial)
            for into in laid_out:
                into.keys[row, padding] = into.values[row, padding] = 0
        return laid_out

    def _room_before(self, pointers: list[KeysAndValues], spatial: int) -> list[KeysAndValues]:
        """Return keys and values with room for so many tokens before those of the pointers.

        The room is that of the frame before if it is large enough: to ask the system for tens of
        megabytes takes longer than to fill them.
        """
        batch, pointer_tokens, width = pointers[0].keys.shape
        shape = (len(pointers), 2, batch, spatial + pointer_tokens, width)
        size = math.prod(shape)
        if self._room.numel() < size:
            self._room = pointers[0].keys.new_zeros(size)
        layers = self._room[:size].view(shape)
        laid_out = []
        for (keys, values), of_pointers in zip(layers, pointers, strict=True):
            keys[:, spatial:], values[:, spatial:] = of_pointers.keys, of_pointers.values
            laid_out.append(KeysAndValues(keys=keys, values=values))
        return laid_out

    def _valid(self, gathered: GatheredMemories) -> Tensor | None:
        """Return bool[B, L], False for padding; None where there is none."""
        counts = [len(row) for row in gathered.memories]
        pointer_counts = gathered.pointer_counts
        if len(set(counts)) == len(set(pointer_counts)) == 1:
            return None
        device = gathered.pointers.device
        pieces = self._network.hidden_dim // self._network.mem_dim
        return torch.cat(
            [
                _first(counts, len(self._position), device),
                _first(pointer_counts, pieces, device),
            ],
            1,
        )

    def _keys_and_values(self, memory: FrameMemory) -> list[KeysAndValues]:
        kept = self._kept.get(memory)
        if kept is None:
            kept = project_memory(self._attention, memory.features, self._position)
            if self._keeps:
                self._kept[memory] = kept
        return kept

    def _project_ages(self) -> list[Tensor]:
        """Return what each age adds to each layer's keys, float32[ages, HW, C].

        Age 0 marks a prompted frame, which has the last of the temporal encodings.
        """
        with torch.inference_mode():
            encodings = self._network.maskmem_tpos_enc[:, 0, 0].roll(1, 0)
            return [
                _rotated(
                    cross,
                    torch.nn.functional.linear(encodings, cross.k_proj.weight)[:, None].expand(
                        -1, len(self._position), -1
                    ),
                )
                for cross in _cross_attentions(self._attention)
            ]

    def _project_pointers(self, gathered: GatheredMemories) -> list[KeysAndValues]:
        """Return what each layer makes of the object pointers, which have an age but no place."""
        network = self._network
        batch, slots = gathered.pointer_ages.shape
        pieces = network.hidden_dim // network.mem_dim
        pointers = gathered.pointers.reshape(batch, slots * pieces, network.mem_dim)
        sine = get_1d_sine_pe(gathered.pointer_ages / _POINTER_AGE_SCALE, dim=network.hidden_dim)
        position = network.obj_ptr_tpos_proj(sine).repeat_interleave(pieces, 1)
        return [
            KeysAndValues(keys=cross.k_proj(pointers + position), values=cross.v_proj(pointers))
            for cross in _cross_attentions(self._attention)
        ]


def project_memory(
    attention: MemoryAttention, features: Tensor, position: Tensor
) -> list[KeysAndValues]:
    """Return what each layer attends to of one memory, but for its age.

    Args:
        attention: the network's memory attention.
        features: bfloat16[M, h, w], the memory.
        position: float32[hw, M], the position encoding of its places.
    """
    memory = features.float().flatten(1).T
    return [
        KeysAndValues(
            keys=_rotated(cross, cross.k_proj(memory + position)), values=cross.v_proj(memory)
        )
        for cross in _cross_attentions(attention)
    ]


def attend_to_memories(
    attention: MemoryAttention,
    current: Tensor,
    position: Tensor,
    memories: Sequence[KeysAndValues],
    valid: Tensor | None,
) -> Tensor:
    """Let tracks attend to their memories, all in one pass.

    Args:
        attention: the network's memory attention.
        current: float32[HW, 1, C], the frame's features.
        position: float32[HW, 1, C].
        memories: for each layer the keys and values float32[B, L, C] of B tracks.
        valid: bool[B, L], False for padding; None where there is none.

    Returns:
        float32[HW, B, C].
    """
    output = current + 0.1 * position if attention.pos_enc_at_input else current
    output, position = output.transpose(0, 1), position.transpose(0, 1)
    mask = None if valid is None else valid[:, None, None]
    for layer, memory in zip(attention.layers, memories, strict=True):
        # Of one row until the tracks have seen their memories, then of one for each track.
        output = layer._forward_sa(output, position)
        queries = layer.norm2(output)
        if layer.pos_enc_at_cross_attn_queries:
            queries = queries + position
        output = output + _attended(layer.cross_attn_image, queries, memory, mask)
        hidden = layer.linear1(layer.norm3(output))
        output = output + layer.linear2(layer.activation(hidden))
    normed: Tensor = attention.norm(output)
    return normed.transpose(0, 1)


def _attended(
    cross: RoPEAttention, queries: Tensor, memory: KeysAndValues, mask: Tensor | None
) -> Tensor:
    heads = cross.num_heads
    q = cross._separate_heads(_rotated(cross, cross.q_proj(queries)), heads)
    k = cross._separate_heads(memory.keys, heads)
    v = cross._separate_heads(memory.values, heads)
    attended = torch.nn.functional.scaled_dot_product_attention(
        q.expand(len(k), -1, -1, -1), k, v, attn_mask=mask
    )
    projected: Tensor = cross.out_proj(cross._recombine_heads(attended))
    return projected


def _cross_attentions(attention: MemoryAttention) -> list[RoPEAttention]:
    return [layer.cross_attn_image for layer in attention.layers]


def _rotated(cross: RoPEAttention, tokens: Tensor) -> Tensor:
    """Turn the tokens [..., HW, C] of a picture's places by where they are."""
    flat = tokens.reshape(-1, *tokens.shape[-2:])
    split = cross._separate_heads(flat, cross.num_heads)
    places = split.shape[-2]
    if cross.freqs_cis.shape[0] != places:
        side = int(places**0.5)
        cross.freqs_cis = cross.compute_cis(end_x=side, end_y=side)
    cross.freqs_cis = cross.freqs_cis.to(tokens.device)
    turned, _ = apply_rotary_enc(split, split[:, :, :0], freqs_cis=cross.freqs_cis)
    joined: Tensor = cross._recombine_heads(turned)
    return joined.reshape(tokens.shape)


def _spatial_position(network: SAM2Base, device: torch.device) -> Tensor:
    """Return the spatial position encoding of a memory, float32[hw, M]; always the same."""
    side = network.sam_image_embedding_size
    dummy = torch.zeros(1, network.mem_dim, side, side, device=device)
    with torch.inference_mode():
        encoded: Tensor = network.memory_encoder.position_encoding(dummy)
    return encoded[0].flatten(1).T


def _first(counts: Sequence[int], times: int, device: torch.device) -> Tensor:
    """Return bool[B, max * times] that is True for the first count * times places of each row."""
    places = torch.arange(max(counts) * times, device=device)
    return places < torch.tensor(counts, device=device)[:, None] * times
