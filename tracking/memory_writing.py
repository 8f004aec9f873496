"""What is remembered of tracks in a frame, from their masks in it."""

import torch
import torch.nn.functional as F
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor

from tracking.frame_features import FrameFeatures
from tracking.sam2_internals import write_memory

# Half the room of what is computed in, and what SAM-2's predictor keeps.
KEPT_DTYPE = torch.bfloat16


def encode_memories(
    network: SAM2Base,
    features: FrameFeatures,
    logits: Tensor,
    presence: Tensor,
    *,
    prompted: bool,
) -> Tensor:
    """Encode memories of a frame as SAM-2 does.

    Args:
        network: a SAM-2 network.
        features: of the frame.
        logits: float32[B, 1, h, w], the masks of B tracks before the sigmoid.
        presence: float32[B, 1], logit of each being visible.
        prompted: whether the masks are what the tracker was told.

    Returns:
        bfloat16[B, M, h, w].
    """
    size = network.image_size
    enlarged = F.interpolate(logits, (size, size), mode="bilinear", align_corners=False)
    levels = features.rows(len(enlarged))
    written = write_memory(network, levels, features.sizes, enlarged, presence, prompted=prompted)
    return written.to(KEPT_DTYPE)
