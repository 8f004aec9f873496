"""The losses of following a mask: SAM-2's (arXiv 2408.00714, appendix D.2).

Focal and dice on the best of the masks, an L1 loss on the predicted IoU, cross-entropy on presence,
weighted 20 : 1 : 1 : 1.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

_SURE_OF_NOTHING = -20.0


def mask_losses(
    logits: Tensor, ious: Tensor, presence: Tensor, target: Tensor, counted: Tensor | None = None
) -> dict[str, Tensor]:
    """Compute SAM-2's losses for one frame.

    Args:
        logits: float32[B, M, h, w], masks before the sigmoid.
        ious: float32[B, M], predicted IoU 0..1.
        presence: float32[B, 1], logit of the object being visible.
        target: float32[B, h, w], covered share of each pixel 0..1.
        counted: float32[B, h, w], 1 where the target says something and 0 where it is ignored; None
            if nothing is.

    Returns:
        Named scalar losses, weighted.
    """
    visible = (target.flatten(1).amax(1) > 0.5).float()
    goal = target[:, None].expand_as(logits)
    if counted is not None:
        # Where nothing is known the logit is taken for sure of nothing, and moves nobody.
        logits = torch.where(counted[:, None] > 0, logits, _SURE_OF_NOTHING)
        goal = goal * counted[:, None]
    probability = logits.sigmoid()
    plain = F.binary_cross_entropy_with_logits(logits, goal, reduction="none")
    focal = (plain * (probability - goal).abs().square()).mean((2, 3))
    overlap = (probability * goal).sum((2, 3))
    dice = 1 - (2 * overlap + 1) / (probability.sum((2, 3)) + goal.sum((2, 3)) + 1)
    combined = 20 * focal + dice
    best = combined.argmin(1, keepdim=True)
    weight = visible / visible.sum().clamp(min=1)
    with torch.no_grad():
        hard, true = logits > 0, goal > 0.5
        union = (hard | true).sum((2, 3)).clamp(min=1)
        actual_iou = (hard & true).sum((2, 3)) / union
    return {
        "focal": (20 * focal.gather(1, best)[:, 0] * weight).sum(),
        "dice": (dice.gather(1, best)[:, 0] * weight).sum(),
        "iou": ((ious - actual_iou).abs().mean(1) * weight).sum(),
        "presence": F.binary_cross_entropy_with_logits(presence[:, 0], visible),
    }
