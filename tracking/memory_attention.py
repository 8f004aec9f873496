"""SAM-2's memory attention, for tracks whose memories differ in length, without repeating work.

The `sam2` package attends to all memories of all rows, and so can only batch tracks with equally
many; here shorter rows are padded, and the padding is masked out. It also makes keys and values of
every memory anew for each frame, which are kept here. And as long as tracks have not looked at
their memories, they all see the same picture, which is attended to once.

What is farther back can be read coarsely: the mean of each 2 x 2 places of a memory for the four
of them, after Efficient Track Anything (Xiong et al., arXiv 2411.18933), which does so for all
memories. A mean has the weight of four places, so that no training is needed for it.
"""

import math

import torch
from sam2.modeling.memory_attention import MemoryAttention, MemoryAttentionLayer
from sam2.modeling.sam.transformer import RoPEAttention
from sam2.modeling.sam2_base import SAM2Base
from sam2.modeling.sam2_utils import get_1d_sine_pe
from torch import Tensor

from pipeline.networks.devices import moved
from tracking.memory import GatheredMemories
from tracking.memory_keys import CoarseKeys, FineKeys, KeysAndValues, placed, rotated
from tracking.sam2_internals import attend_to_itself, by_head, of_all_heads

_POINTER_AGE_SCALE = 15


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
        self._fine = FineKeys(network, device)
        self._coarse = None if in_detail is None else CoarseKeys(self._fine)
        self._room = torch.zeros(0, device=device)

    def read(self, current: Tensor, position: Tensor, gathered: GatheredMemories) -> Tensor:
        """Return a frame's features as each track's memories have them, float32[HW, B, C].

        Args:
            current: float32[HW, 1, C], the frame's features.
            position: float32[HW, 1, C], their position encoding.
            gathered: the memories of B tracks.
        """
        output = current + 0.1 * position if self._attention.pos_enc_at_input else current
        output, position = output.transpose(0, 1), position.transpose(0, 1)
        spatial = max(sum(self._grid(age).places for age in ages) for ages in gathered.ages)
        weights = self._weights(gathered, spatial)
        for number, layer in enumerate(self._layers):
            # Layer by layer: with SAM-2's own networks, one takes 60 MB a track.
            memories = self._lay_out(gathered, spatial, number)
            output = attend_to_memories(layer, output, position, memories, weights)
        normed: Tensor = self._attention.norm(output)
        return normed.transpose(0, 1)

    def _grid(self, age: int) -> FineKeys | CoarseKeys:
        """Return on which grid a memory of this age is read; 0 marks a prompted frame."""
        if self._coarse is None or self._in_detail is None or age <= self._in_detail:
            return self._fine
        return self._coarse

    def _lay_out(self, gathered: GatheredMemories, spatial: int, number: int) -> KeysAndValues:
        """Lay out what a layer attends to: spatial memories first, padded, then pointers.

        It lies where the layer before had its own, and is good until the next one needs the room.
        """
        into = self._room_before(self._project_pointers(gathered, self._layers[number]), spatial)
        grids = (self._fine,) if self._coarse is None else (self._fine, self._coarse)
        added = {grid: grid.of_age(number) for grid in grids}
        for row, (memories, ages) in enumerate(zip(gathered.memories, gathered.ages, strict=True)):
            end = 0
            for memory, age in zip(memories, ages, strict=True):
                grid = self._grid(age)
                one = grid.of(memory, number)
                place = slice(end, end + grid.places)
                torch.add(one.keys, added[grid][age], out=into.keys[row, place])
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
                places = self._grid(age).places
                weights[row, end : end + places] = math.log(self._fine.places / places)
                end += places
            weights[row, spatial : spatial + gathered.pointer_counts[row] * pieces] = 0.0
        return moved(weights, self._room.device) if weights.any() else None

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
            keys=cross.k_proj(placed(layer, pointers, position)), values=cross.v_proj(pointers)
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
    output = attend_to_itself(layer, current, position)
    queries = layer.norm2(output)
    if layer.pos_enc_at_cross_attn_queries:
        queries = queries + position
    mask = None if weights is None else weights[:, None, None]
    output = output + _attended(layer.cross_attn_image, queries, memories, mask)
    hidden = layer.linear1(layer.norm3(output))
    attended: Tensor = output + layer.linear2(layer.activation(hidden))
    return attended


def _attended(
    cross: RoPEAttention, queries: Tensor, memory: KeysAndValues, mask: Tensor | None
) -> Tensor:
    q = by_head(cross, rotated(cross, cross.q_proj(queries)))
    k = by_head(cross, memory.keys)
    v = by_head(cross, memory.values)
    attended = torch.nn.functional.scaled_dot_product_attention(
        q.expand(len(k), -1, -1, -1), k, v, attn_mask=mask
    )
    projected: Tensor = cross.out_proj(of_all_heads(cross, attended))
    return projected
