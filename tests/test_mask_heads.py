"""The heads of followed tracks against the network's own way to compute them."""

import torch

from tracking.mask_heads import follow_heads
from tracking.sam2_model import build_network


@torch.inference_mode()
def test_equal_those_of_the_network():
    torch.manual_seed(2)
    network = build_network("scopeline_small")
    conditioned = torch.randn(6, 128, 16, 16)
    fine = [torch.randn(6, 16, 64, 64), torch.randn(6, 32, 32, 32)]
    scores = follow_heads(network, conditioned, fine).presence
    # A random network says of all objects or of none that they are visible.
    network.sam_mask_decoder.pred_obj_score_head.layers[-1].bias -= scores.median()
    heads = follow_heads(network, conditioned, fine)
    _, _, ious, low_res, _, pointers, presence = network._forward_sam_heads(
        backbone_features=conditioned, high_res_features=fine, multimask_output=True
    )
    assert 0 < int((presence > 0).sum()) < 6
    assert torch.equal(heads.logits, low_res[:, 0])
    assert torch.equal(heads.quality, ious.amax(1))
    assert torch.equal(heads.presence, presence)
    assert torch.allclose(heads.pointers, pointers, atol=1e-6)
