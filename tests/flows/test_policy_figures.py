"""The comparison of policies over several scenes."""

import pytest

from flows import policy_figures
from pipeline.policies.constellation.settings import Rule


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    out = tmp_path_factory.mktemp("figures")
    return policy_figures.compare_on_scene(
        9201, out=out, policies=("constellation", "framewise"), frames=8
    )


def test_every_policy_is_measured_on_the_scene(figures):
    assert list(figures) == ["constellation", "framewise", "truth"]
    for policy in ("constellation", "framewise"):
        assert {*policy_figures._SHOWN} <= figures[policy].keys()


def test_the_adaptive_overseer_looks_at_fewer_frames(figures):
    assert 1 <= figures["constellation"]["overseer_calls"] <= 4
    assert figures["framewise"]["overseer_calls"] == 8


def test_the_ablation_leaves_each_rule_out_once():
    assert {
        "constellation",
        "constellation-without-merged",
        "constellation-without-steadying",
    } <= set(policy_figures.ABLATION)
    assert len(set(policy_figures.ABLATION)) == len(policy_figures.ABLATION) == 2 + len(Rule)
