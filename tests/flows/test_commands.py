"""What the commands offer is what the code behind them knows."""

from typing import get_args

import pytest

from flows.commands.annotate import PolicyChoice, PromptKindChoice
from flows.commands.archive import RunnerChoice
from flows.commands.corrections import ImportFormat
from flows.commands.sets import ExportFormat
from flows.commands.setting_options import (
    BadFrameChoice,
    PicturesChoice,
    PrecisionChoice,
    RuntimeChoice,
    ViewsChoice,
)
from flows.commands.train import train_overseer
from flows.commands.training_options import (
    AdaptChoice,
    AugmentationChoice,
    Backbone,
    FamilyChoice,
    LayoutOption,
    LearnChoice,
    LookChoice,
    TrainingPrecisionChoice,
    TrunkChoice,
)
from flows.given_prompts import PromptKind
from flows.runners import RunnerName
from flows.settings import POLICIES, OverseerViews, PictureSize, PrecisionName, Runtime
from flows.training.label_budget import _TRACKER_STEPS
from overseer.augmentation import Augmentation
from overseer.config import Learning
from overseer.datasets import LAYOUTS
from overseer.networks import BACKBONES
from pipeline.exports import EXPORTERS, SPLITTERS
from pipeline.frames import OnBadFrame
from pipeline.imports import IMPORTERS
from pipeline.networks.devices import Precision
from samples.theatre.looks import FAMILIES, LOOKS
from tracking.adapters import Method
from tracking.train import Trunk


@pytest.mark.parametrize(
    ("choice", "known"),
    [
        (AdaptChoice, [*get_args(Method), "first-mask"]),
        (AugmentationChoice, get_args(Augmentation)),
        (Backbone, BACKBONES),
        (BadFrameChoice, get_args(OnBadFrame)),
        (ExportFormat, EXPORTERS | SPLITTERS),
        (ImportFormat, IMPORTERS),
        (FamilyChoice, FAMILIES),
        (LearnChoice, get_args(Learning)),
        (LookChoice, [*LOOKS, "photographs"]),
        (PicturesChoice, get_args(PictureSize)),
        (PolicyChoice, POLICIES),
        (PrecisionChoice, get_args(PrecisionName)),
        (PromptKindChoice, get_args(PromptKind)),
        (RunnerChoice, get_args(RunnerName)),
        (RuntimeChoice, get_args(Runtime)),
        (TrainingPrecisionChoice, get_args(Precision)),
        (TrunkChoice, get_args(Trunk)),
        (ViewsChoice, get_args(OverseerViews)),
    ],
)
def test_the_choices_of_an_option_are_those_that_are_known(choice, known):
    assert {member.value for member in choice} == set(known)


def test_the_help_says_for_how_long_a_label_budgets_tracker_learns():
    (option,) = train_overseer.__annotations__["adapt"].__metadata__
    assert f"for {_TRACKER_STEPS} steps whatever --steps says" in option.help


def test_the_help_of_layout_names_each_one():
    (option,) = LayoutOption.__metadata__
    assert [name for name in LAYOUTS if name not in option.help] == []
