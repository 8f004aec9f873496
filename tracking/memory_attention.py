"""SAM-2's memory attention, for tracks whose memories differ in length, without repeating work.

The `sam2` package attends to all memories of all rows, and so can only batch tracks with equally
many; here shorter rows are padded, and the padding is masked out. It also makes keys and values of
every memory anew for each frame. What they are does not change as long as a memory is kept, but for
its age, which enters as an encoding that is added: attention projects and rotates linearly, so that
keys are those of the memory plus those of its age. And as long as tracks have not looked at their
memories, they all see the same picture, which is attended to once.

What is farther back can be read coarsely: the mean of each 2 x 2 places of a memory for the four
of them, after Efficient Track Anything (Xiong et al., arXiv 2411.18933), which does so for all
memories. A mean has the weight of four places, so that no training is needed for it.
"""

import math
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from sam2.modeling.memory_attention import MemoryAttention, MemoryAttentionLayer
from sam2.modeling.position_encoding import apply_rotary_enc
from sam2.modeling.sam.transformer import RoPEAttention
from sam2.modeling.sam2_base import SAM2Base
from sam2.modeling.sam2_utils import get_1d_sine_pe
from torch import Tensor

from tracking.memory import FrameMemory, GatheredMemories

_POINTER_AGE_SCALE = 15
# Places along each side of a memory that are read as one where it is read coarsely.
_COARSE = 2
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

    def coarse(self) -> "KeysAndValues":
        """Return those of the places of a coarser grid."""
        return KeysAndValues(keys=coarse_places(self.keys), values=coarse_places(self.values))


def coarse_places(tokens: Tensor) -> Tensor:
    """Return the mean of each 2 x 2 places of tokens [..., HW, C] of a square grid."""
    *others, places, width = tokens.shape
    side = math.isqrt(places) // _COARSE
    blocks = tokens.reshape(*others, side, _COARSE, side, _COARSE, width)
    return blocks.mean((-4, -2)).reshape(*others, side * side, width)


class MemoryReader:
    """Conditions a frame's features on what is remembered of tracks.

    Args:
        network: a SAM-2 network.
        device: where it runs.
        in_detail: how many of the latest memories are read place by place, besides those of
            prompted frames; those before them coarsely. None: all.
    """

    def __init__(
        self, network: SAM2Base, device: torch.device, in_detail: int | None = None
    ) -> None:
        self._network = network
        self._in_detail = in_detail
        self._attention: MemoryAttention = network.memory_attention
        self._layers: list[MemoryAttentionLayer] = list(self._attention.layers)
        self._position = _spatial_position(network, device)
        self._kept: WeakKeyDictionary[FrameMemory, list[KeysAndValues]] = WeakKeyDictionary()
        self._kept_coarse: WeakKeyDictionary[FrameMemory, list[KeysAndValues]] = WeakKeyDictionary()
        width = self._layers[0].cross_attn_image.internal_dim
        kept_bytes = len(self._layers) * 2 * len(self._position) * width * 4
        self._keeps = kept_bytes <= _MOST_KEPT_BYTES
        self._kept_ages = [self._project_ages(layer) for layer in self._layers if self._keeps]
        self._kept_coarse_ages = [coarse_places(added) for added in self._kept_ages]
        self._room = self._position.new_zeros(0)

    def read(self, current: Tensor, position: Tensor, gathered: GatheredMemories) -> Tensor:
        """Return a frame's features as each track's memories have them, float32[HW, B, C].

        Args:
            current: float32[HW, 1, C], the frame's features.
            position: float32[HW, 1, C], their position encoding.
            gathered: the memories of B tracks.
        """
        output = current + 0.1 * position if self._attention.pos_enc_at_input else current
        output, position = output.transpose(0, 1), position.transpose(0, 1)
        spatial = max(sum(map(self._token_count, ages)) for ages in gathered.ages)
        weights = self._weights(gathered, spatial)
        for number, layer in enumerate(self._layers):
            # Layer by layer: with SAM-2's own networks, one takes 60 MB a track.
            memories = self._lay_out(gathered, spatial, number)
            output = attend_to_memories(layer, output, position, memories, weights)
        normed: Tensor = self._attention.norm(output)
        return normed.transpose(0, 1)

    def _is_coarse(self, age: int) -> bool:
        """Return whether a memory of this age is read coarsely; 0 marks a prompted frame."""
        return self._in_detail is not None and age > self._in_detail

    def _token_count(self, age: int) -> int:
        places = len(self._position)
        return places // _COARSE**2 if self._is_coarse(age) else places

    def _lay_out(self, gathered: GatheredMemories, spatial: int, number: int) -> KeysAndValues:
        """Lay out what a layer attends to: spatial memories first, padded, then pointers.

        It lies where the layer before had its own, and is good until the next one needs the room.
        """
        into = self._room_before(self._project_pointers(gathered, self._layers[number]), spatial)
        added = self._keys_of_age(number, coarse=False)
        added_coarse = self._keys_of_age(number, coarse=True)
        for row, (memories, ages) in enumerate(zip(gathered.memories, gathered.ages, strict=True)):
            end = 0
            for memory, age in zip(memories, ages, strict=True):
                coarse = self._is_coarse(age)
                one = self._keys_and_values(memory, number, coarse=coarse)
                place = slice(end, end + len(one.keys))
                of_age = added_coarse[age] if coarse else added[age]
                torch.add(one.keys, of_age, out=into.keys[row, place])
                into.values[row, place] = one.values
                end = place.stop
            into.keys[row, end:spatial] = into.values[row, end:spatial] = 0
        return into

    def _room_before(self, pointers: KeysAndValues, spatial: int) -> KeysAndValues:
        """Return keys and values with room for so many tokens before those of the pointers.

        The room is that of the frame before if it is large enough: to ask the system for tens of
        megabytes takes longer than to fill them.
        """
        batch, pointer_tokens, width = pointers.keys.shape
        shape = (2, batch, spatial + pointer_tokens, width)
        size = math.prod(shape)
        if self._room.numel() < size:
            self._room = pointers.keys.new_zeros(size)
        keys, values = self._room[:size].view(shape)
        keys[:, spatial:], values[:, spatial:] = pointers.keys, pointers.values
        return KeysAndValues(keys=keys, values=values)

    def _weights(self, gathered: GatheredMemories, spatial: int) -> Tensor | None:
        """Return float32[B, L], the logarithm of how many places each token stands for.

        It is -inf for padding; None where each token stands for itself.
        """
        pieces = self._network.hidden_dim // self._network.mem_dim
        pointers = max(gathered.pointer_counts) * pieces
        weights = torch.full((len(gathered.ages), spatial + pointers), -math.inf)
        for row, ages in enumerate(gathered.ages):
            end = 0
            for age in ages:
                place = slice(end, end + self._token_count(age))
                weights[row, place] = math.log(_COARSE**2) if self._is_coarse(age) else 0.0
                end = place.stop
            weights[row, spatial : spatial + gathered.pointer_counts[row] * pieces] = 0.0
        return weights.to(self._position.device) if weights.any() else None

    def _keys_and_values(self, memory: FrameMemory, number: int, *, coarse: bool) -> KeysAndValues:
        if not self._keeps:
            one = project_memory(self._layers[number], memory.features, self._position)
            return one.coarse() if coarse else one
        kept = self._kept_coarse if coarse else self._kept
        if memory not in kept:
            kept[memory] = self._projected(memory, coarse=coarse)
        return kept[memory][number]

    def _projected(self, memory: FrameMemory, *, coarse: bool) -> list[KeysAndValues]:
        """Return what each layer attends to of a memory; once coarse, it seldom turns back."""
        layers = self._kept.pop(memory, None) or [
            project_memory(layer, memory.features, self._position) for layer in self._layers
        ]
        return [one.coarse() for one in layers] if coarse else layers

    def _keys_of_age(self, number: int, *, coarse: bool) -> Tensor:
        if self._keeps:
            return (self._kept_coarse_ages if coarse else self._kept_ages)[number]
        added = self._project_ages(self._layers[number])
        return coarse_places(added) if coarse else added

    @torch.inference_mode()
    def _project_ages(self, layer: MemoryAttentionLayer) -> Tensor:
        """Return what each age adds to a layer's keys, float32[ages, HW, C].

        Age 0 marks a prompted frame, which has the last of the temporal encodings.
        """
        cross = layer.cross_attn_image
        encodings = self._network.maskmem_tpos_enc[:, 0, 0].roll(1, 0)
        if not layer.pos_enc_at_cross_attn_keys:
            encodings = torch.zeros_like(encodings)
        added = torch.nn.functional.linear(encodings, cross.k_proj.weight)
        return _rotated(cross, added[:, None].expand(-1, len(self._position), -1))

    def _project_pointers(
        self, gathered: GatheredMemories, layer: MemoryAttentionLayer
    ) -> KeysAndValues:
        """Return what a layer makes of the object pointers, which have an age but no place."""
        network = self._network
        batch, slots = gathered.pointer_ages.shape
        pieces = network.hidden_dim // network.mem_dim
        pointers = gathered.pointers.reshape(batch, slots * pieces, network.mem_dim)
        sine = get_1d_sine_pe(gathered.pointer_ages / _POINTER_AGE_SCALE, dim=network.hidden_dim)
        position = network.obj_ptr_tpos_proj(sine).repeat_interleave(pieces, 1)
        cross = layer.cross_attn_image
        return KeysAndValues(
            keys=cross.k_proj(_placed(layer, pointers, position)), values=cross.v_proj(pointers)
        )


def project_memory(
    layer: MemoryAttentionLayer, features: Tensor, position: Tensor
) -> KeysAndValues:
    """Return what a layer of the memory attention attends to of one memory, but for its age.

    Args:
        layer: of the network's memory attention.
        features: bfloat16[M, h, w], the memory.
        position: float32[hw, M], the position encoding of its places.
    """
    memory = features.float().flatten(1).T
    cross = layer.cross_attn_image
    return KeysAndValues(
        keys=_rotated(cross, cross.k_proj(_placed(layer, memory, position))),
        values=cross.v_proj(memory),
    )


def attend_to_memories(
    layer: MemoryAttentionLayer,
    current: Tensor,
    position: Tensor,
    memories: KeysAndValues,
    weights: Tensor | None,
) -> Tensor:
    """Let tracks attend to their memories in one layer, all in one pass.

    Args:
        layer: of the network's memory attention.
        current: float32[1 or B, HW, C], the frame's features: of one row until the tracks have
            seen their memories, then of one for each track.
        position: float32[1, HW, C].
        memories: the keys and values float32[B, L, C] of B tracks.
        weights: float32[B, L], the logarithm of how many places each token stands for, -inf for
            padding; None where each stands for itself.

    Returns:
        float32[B, HW, C].
    """
    output = layer._forward_sa(current, position)
    queries = layer.norm2(output)
    if layer.pos_enc_at_cross_attn_queries:
        queries = queries + position
    mask = None if weights is None else weights[:, None, None]
    output = output + _attended(layer.cross_attn_image, queries, memories, mask)
    hidden = layer.linear1(layer.norm3(output))
    attended: Tensor = output + layer.linear2(layer.activation(hidden))
    return attended


def _placed(layer: MemoryAttentionLayer, tokens: Tensor, position: Tensor) -> Tensor:
    """Return tokens as a layer's keys are made of them: with their position encoding or without."""
    return tokens + position if layer.pos_enc_at_cross_attn_keys else tokens


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
