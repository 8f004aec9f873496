"""The heads of followed tracks against the network's own way to compute them."""

import numpy as np
import torch

from tracking.frame_features import TrackOutput
from tracking.mask_choice import surest_masks
from tracking.mask_heads import follow_heads
from tracking.sam2_model import build_network


def network_and_features(tracks):
    torch.manual_seed(2)
    network = build_network("scopeline_small")
    fine = [torch.randn(tracks, 16, 64, 64), torch.randn(tracks, 32, 32, 32)]
    return network, torch.randn(tracks, 128, 16, 16), fine


@torch.inference_mode()
def test_equal_those_of_the_network():
    network, conditioned, fine = network_and_features(6)
    never_seen = [None] * 6
    scores = follow_heads(network, conditioned, fine, never_seen, surest_masks).presence
    # A random network says of all objects or of none that they are visible.
    network.sam_mask_decoder.pred_obj_score_head.layers[-1].bias -= scores.median()
    heads = follow_heads(network, conditioned, fine, never_seen, surest_masks)
    _, _, ious, low_res, _, pointers, presence = network._forward_sam_heads(
        backbone_features=conditioned, high_res_features=fine, multimask_output=True
    )
    assert 0 < int((presence > 0).sum()) < 6
    assert torch.equal(heads.logits, low_res[:, 0])
    assert torch.equal(heads.quality, ious.amax(1))
    assert torch.equal(heads.presence, presence)
    assert torch.allclose(heads.pointers, pointers, atol=1e-6)


@torch.inference_mode()
def test_the_chosen_mask_goes_with_its_predicted_iou_and_its_pointer():
    network, conditioned, fine = network_and_features(2)
    seen = {}

    def last_of_all(offered, quality, is_visible, before):
        seen.update(offered=offered, quality=quality, before=before)
        return torch.full((len(offered),), offered.shape[1] - 1)

    network.sam_mask_decoder.pred_obj_score_head.layers[-1].bias += 100
    earlier = TrackOutput(logits=np.ones((64, 64), np.float32), quality=0.5, presence=0.9)
    heads = follow_heads(network, conditioned, fine, [None, earlier], last_of_all)
    surest = follow_heads(network, conditioned, fine, [None, earlier], surest_masks)
    assert torch.equal(heads.logits, seen["offered"][:, -1])
    assert torch.equal(heads.quality, seen["quality"][:, -1])
    assert not torch.equal(heads.pointers, surest.pointers)
    assert not (seen["before"][0] > 0).any() and (seen["before"][1] == 1).all()
