"""What a mask costs while the tracker learns."""

import torch

from tracking.training.losses import mask_losses


def test_a_right_mask_costs_less_than_a_wrong_one():
    target = torch.zeros(1, 16, 16)
    target[:, 4:12, 4:12] = 1
    sure = torch.tensor([[20.0]])
    right = mask_losses((target[:, None] - 0.5) * 20, torch.ones(1, 1), sure, target)
    wrong = mask_losses((0.5 - target[:, None]) * 20, torch.ones(1, 1), sure, target)
    for name in ("focal", "dice", "iou"):
        assert right[name] < 0.05 < wrong[name]


def test_what_the_labels_leave_open_moves_no_logit():
    target, counted = torch.zeros(1, 16, 16), torch.ones(1, 16, 16)
    target[:, 4:12, 4:12] = 1
    counted[:, 8:] = 0
    logits = torch.zeros(1, 1, 16, 16, requires_grad=True)
    iou, presence = torch.ones(1, 1), torch.tensor([[20.0]])
    losses = mask_losses(logits, iou, presence, target, counted)
    (losses["focal"] + losses["dice"]).backward()
    assert not logits.grad[:, :, 8:].any()
    assert logits.grad[:, :, :8].all()
    of_known = (target[:, None] - 0.5) * 20
    of_known[:, :, 8:] = 20
    right = mask_losses(of_known, iou, presence, target, counted)
    assert all(float(right[name]) < 0.05 for name in ("focal", "dice", "iou"))
