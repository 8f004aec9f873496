"""What annotates a video as its settings say: the models, the policy and the loop around them."""

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, assert_never

import torch

from flows.given_prompts import given_policy, open_given
from flows.job_identity import describe_overseer, describe_tracker, labels_beside, labels_of
from flows.memory_pools import share_memory_pools
from flows.models import numbers_of, open_overseer, open_tracker
from flows.settings import BATCH_FRAMES, AnnotateSettings, Runtime
from pipeline.annotate import AnnotationLoop, PromptedTracking
from pipeline.frames import VideoInfo
from pipeline.labels import LabelSet
from pipeline.networks.devices import Precision
from pipeline.optical_flow import shrunk_size
from pipeline.policies.constellation.looks import Adaptive, EveryNth
from pipeline.policies.constellation.policy import Constellation
from pipeline.policies.constellation.settings import ConstellationSettings, Rule
from pipeline.policies.first_frame import FirstFrame
from pipeline.policies.framewise import Framewise
from pipeline.policies.given import WithGivenPrompts
from pipeline.policies.sasvi import Sasvi
from pipeline.policy import AdoptingPolicy, Policy
from pipeline.steadying.averaged_frames import LONGER_SIDE_PX
from pipeline.steadying.steadied import Steadied
from tracking.mask_choice import MaskChoice, surest_masks

# Pictures that are hardly larger than what is needed are taken as they are.
_WORTH_SHRINKING = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    """A model to be loaded; those of equal fields are one and the same.

    Attributes:
        name: of the model, or its folder or checkpoint.
        content: the hashes of its files, which may be replaced while a process lives.
        device: where it runs.
        precision: of its numbers.
        runtime: what computes it.
        weights: checkpoint of a published overseer.
    """

    name: str
    content: tuple[tuple[str, str], ...]
    device: torch.device
    precision: Precision
    runtime: Runtime
    weights: Path | None = None


@lru_cache(maxsize=1)
def _open_overseer(model: _Model) -> Any:
    share_memory_pools()
    return open_overseer(model.name, model.device, model.weights, model.runtime, model.precision)


@lru_cache(maxsize=2)
def _open_tracker(model: _Model, choice: MaskChoice | None) -> Any:
    share_memory_pools()
    return open_tracker(model.name, model.device, model.runtime, model.precision, choice)


def open_models(settings: AnnotateSettings) -> tuple[Any, Any]:
    """Return overseer and tracker, loaded once a process; None where the policy needs none.

    Raises:
        ModelError: one is unknown or does not load.
        UsageError: the device or the runtime is not there.
    """
    device, precision = numbers_of(settings)
    how: dict[str, Any] = {"device": device, "precision": precision, "runtime": settings.runtime}
    overseer = tracker = choice = None
    if settings.policy != "given":
        name, weights = settings.overseer, settings.overseer_weights
        content = tuple(describe_overseer(name, weights).items())
        overseer = _open_overseer(_Model(name=name, content=content, weights=weights, **how))
        # It errs now and then: a track that holds on to what it was holds on to that as well.
        choice = surest_masks
    if settings.policy != "framewise":
        content = tuple(describe_tracker(settings.tracker).items())
        tracker = _open_tracker(_Model(name=settings.tracker, content=content, **how), choice)
    if overseer is not None and settings.overseer_views == "mirrored":
        return overseer.mirrored, tracker
    return overseer, tracker


def open_loop(info: VideoInfo, settings: AnnotateSettings) -> tuple[AnnotationLoop, Any]:
    """Load what a video needs, so that a bad model or prompt is found before there is a set.

    Returns:
        What annotates, and the tracker in it, which knows this video alone; None if it has none, or
        none that takes pictures that were encoded ahead.

    Raises:
        ScopelineError: a model, a prompt or a setting is not usable.
    """
    overseer, loaded = open_models(settings)
    if settings.policy == "framewise":
        return Framewise(overseer), None
    tracker = loaded.beside()
    if settings.policy == "sasvi":
        # Its tracker is ten frames behind, when what was encoded of them is given up.
        return Sasvi(overseer=overseer, tracker=tracker), None
    policy = _policy(info, settings)
    loop = PromptedTracking(overseer=overseer, tracker=tracker, policy=policy)
    if _is_steadied(settings):
        size = info.height, info.width
        steadied = Steadied(loop, settings.steady, batch_frames=BATCH_FRAMES, frame_size=size)
        return steadied, tracker
    return loop, tracker


def _is_steadied(settings: AnnotateSettings) -> bool:
    # The other policies are what is compared with, and given masks stay as they were drawn.
    own = settings.policy == "constellation" and settings.prompts is None
    return own and settings.steady > 0


def picture_size(info: VideoInfo, settings: AnnotateSettings) -> tuple[int, int]:
    """Return the height and width that pictures are decoded to.

    Steadied outlines are drawn at the video's size from what is known of them at a smaller one;
    where outlines are not steadied, they are the networks' at the video's size from the beginning.
    """
    size = info.height, info.width
    if settings.pictures == "full" or not _is_steadied(settings):
        return size
    overseer, tracker = open_models(settings)
    needed = (overseer.input_size(*size), tracker.input_size, shrunk_size(size, LONGER_SIDE_PX))
    share = max(max(height / size[0], width / size[1]) for height, width in needed)
    if share > _WORTH_SHRINKING:
        return size
    return math.ceil(info.height * share), math.ceil(info.width * share)


def _policy(info: VideoInfo, settings: AnnotateSettings) -> Policy:
    given = None
    if settings.prompts is None:
        labels = labels_of(settings)
    else:
        masks = open_given(settings.prompts, settings.labels)
        labels, frames = labels_beside(settings, masks), settings.prompt_frames
        # An overseer knows more of what comes between them, and `first` of what came before.
        whole = () if settings.policy != "given" or frames == "first" else frames
        given = given_policy(
            masks,
            info,
            labels,
            frames=frames,
            kind=settings.prompt_kind,
            whole_frames=whole,
        )
        if settings.policy == "given":
            return given
    policy = _deciding_policy(labels, settings)
    return policy if given is None else WithGivenPrompts(policy, given)


def _deciding_policy(labels: LabelSet, settings: AnnotateSettings) -> AdoptingPolicy:
    """Return the policy of a name that decides by what overseer and tracker see.

    Raises:
        ValueError: the policy has a loop of its own.
    """
    match settings.policy:
        case "constellation":
            return _constellation(labels, settings)
        case "first-frame":
            return FirstFrame()
        case "sasvi" | "framewise" | "given":
            raise ValueError(f"{settings.policy} does not decide between overseer and tracker")
        case unknown:
            # A policy that is only named must not be measured as another one.
            assert_never(unknown)


def _constellation(labels: LabelSet, settings: AnnotateSettings) -> Constellation:
    every = settings.overseer_every
    return Constellation(
        labels,
        ConstellationSettings(rules=frozenset(Rule) - set(settings.without)),
        EveryNth(every) if isinstance(every, int) else Adaptive(),
    )
