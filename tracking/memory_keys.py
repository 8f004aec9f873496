"""What SAM-2's memory attention attends to of memories: keys and values, made once and kept.

What they are does not change as long as a memory is kept, but for its age, which enters as an
encoding that is added: attention projects and rotates linearly, so that keys are those of the
memory plus those of its age.
"""

import math
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from sam2.modeling.memory_attention import MemoryAttentionLayer
from sam2.modeling.position_encoding import apply_rotary_enc
from sam2.modeling.sam.transformer import RoPEAttention
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor
from torch.nn.functional import avg_pool2d

from tracking.memory import FrameMemory
from tracking.sam2_internals import by_head, of_all_heads

# Places along each side of a memory that are read as one where it is read coarsely.
COARSE = 2
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
    side = math.isqrt(places)
    grid = tokens.reshape(-1, side, side, width).permute(0, 3, 1, 2)
    # A mean over two dimensions at once takes twenty times as long.
    means = avg_pool2d(grid, COARSE).permute(0, 2, 3, 1)
    return means.reshape(*others, places // COARSE**2, width)


class FineKeys:
    """Keys and values of memories, place by place.

    Args:
        network: a SAM-2 network.
        device: where it runs.

    Attributes:
        places: of a memory.
        keeps: whether they are small enough to be kept as long as their memory.
    """

    def __init__(self, network: SAM2Base, device: torch.device) -> None:
        self._network = network
        self._position = _spatial_position(network, device)
        self.layers: list[MemoryAttentionLayer] = list(network.memory_attention.layers)
        self.places = len(self._position)
        width = self.layers[0].cross_attn_image.internal_dim
        self.keeps = len(self.layers) * 2 * self.places * width * 4 <= _MOST_KEPT_BYTES
        self._kept: WeakKeyDictionary[FrameMemory, list[KeysAndValues]] = WeakKeyDictionary()
        self._kept_ages = [self._project_ages(layer) for layer in self.layers if self.keeps]

    def of(self, memory: FrameMemory, number: int) -> KeysAndValues:
        """Return what a layer attends to of a memory, but for its age."""
        if not self.keeps:
            return self._projected(memory, self.layers[number])
        if memory not in self._kept:
            self._kept[memory] = self.released(memory)
        return self._kept[memory][number]

    def released(self, memory: FrameMemory) -> list[KeysAndValues]:
        """Return what each layer attends to of a memory, and keep it no longer."""
        known = self._kept.pop(memory, None)
        return known or [self._projected(memory, layer) for layer in self.layers]

    def of_age(self, number: int) -> Tensor:
        """Return what each age adds to a layer's keys, float32[ages, places, C].

        Age 0 marks a prompted frame, which has the last of the temporal encodings.
        """
        return self._kept_ages[number] if self.keeps else self._project_ages(self.layers[number])

    def _projected(self, memory: FrameMemory, layer: MemoryAttentionLayer) -> KeysAndValues:
        return project_memory(layer, memory.features, self._position)

    @torch.inference_mode()
    def _project_ages(self, layer: MemoryAttentionLayer) -> Tensor:
        cross = layer.cross_attn_image
        encodings = self._network.maskmem_tpos_enc[:, 0, 0].roll(1, 0)
        if not layer.pos_enc_at_cross_attn_keys:
            encodings = torch.zeros_like(encodings)
        added = torch.nn.functional.linear(encodings, cross.k_proj.weight)
        return rotated(cross, added[:, None].expand(-1, self.places, -1))


class CoarseKeys:
    """Keys and values of memories, the mean of each 2 x 2 places.

    Args:
        fine: those of the single places, which are no longer kept of what is read coarsely.

    Attributes:
        places: of the coarser grid.
    """

    def __init__(self, fine: FineKeys) -> None:
        self._fine = fine
        self.places = fine.places // COARSE**2
        self._kept: WeakKeyDictionary[FrameMemory, list[KeysAndValues]] = WeakKeyDictionary()
        numbers = range(len(fine.layers)) if fine.keeps else ()
        self._kept_ages = [coarse_places(fine.of_age(number)) for number in numbers]

    def of(self, memory: FrameMemory, number: int) -> KeysAndValues:
        """Return what a layer attends to of a memory, but for its age."""
        if not self._fine.keeps:
            return self._fine.of(memory, number).coarse()
        if memory not in self._kept:
            self._kept[memory] = [one.coarse() for one in self._fine.released(memory)]
        return self._kept[memory][number]

    def of_age(self, number: int) -> Tensor:
        """Return what each age adds to a layer's keys, float32[ages, places, C]."""
        if self._fine.keeps:
            return self._kept_ages[number]
        return coarse_places(self._fine.of_age(number))


def project_memory(
    layer: MemoryAttentionLayer, features: Tensor, position: Tensor
) -> KeysAndValues:
    """Return what a layer of the memory attention attends to of one memory, but for its age.

    Args:
        layer: of the network's memory attention.
        features: bfloat16[M, h, w], the memory.
        position: float32[hw, M], the position encoding of its places.
    """
    tokens = features.float().flatten(1).T
    cross = layer.cross_attn_image
    return KeysAndValues(
        keys=rotated(cross, cross.k_proj(placed(layer, tokens, position))),
        values=cross.v_proj(tokens),
    )


def placed(layer: MemoryAttentionLayer, tokens: Tensor, position: Tensor) -> Tensor:
    """Return tokens as a layer's keys are made of them: with their position encoding or without."""
    return tokens + position if layer.pos_enc_at_cross_attn_keys else tokens


def rotated(cross: RoPEAttention, tokens: Tensor) -> Tensor:
    """Turn the tokens [..., HW, C] of a picture's places by where they are."""
    flat = tokens.reshape(-1, *tokens.shape[-2:])
    split = by_head(cross, flat)
    places = split.shape[-2]
    # A table that is made while nothing learns could not be learned through afterwards.
    with torch.inference_mode(False):
        if cross.freqs_cis.shape[0] != places:
            side = int(places**0.5)
            cross.freqs_cis = cross.compute_cis(end_x=side, end_y=side)
        cross.freqs_cis = cross.freqs_cis.to(tokens.device)
    turned, _ = apply_rotary_enc(split, split[:, :, :0], freqs_cis=cross.freqs_cis)
    return of_all_heads(cross, turned).reshape(tokens.shape)


def _spatial_position(network: SAM2Base, device: torch.device) -> Tensor:
    """Return the spatial position encoding of a memory, float32[hw, M]; always the same."""
    side = network.sam_image_embedding_size
    dummy = torch.zeros(1, network.mem_dim, side, side, device=device)
    with torch.inference_mode():
        encoded: Tensor = network.memory_encoder.position_encoding(dummy)
    return encoded[0].flatten(1).T
