"""Several policies on one video, with the same models, against the truth."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.annotation_loops import open_models
from flows.complaints import complain_of_classes
from flows.frame_progress import counted
from flows.job_identity import labels_of
from flows.settings import ADAPTIVE, POLICIES, AnnotateSettings
from flows.video_job import VideoJob, annotate_job
from pipeline.annotation_set import AnnotationSet
from pipeline.class_regions import comparable_frames, true_frames
from pipeline.errors import UsageError
from pipeline.frame_pairs import common_frames
from pipeline.frames import open_video
from pipeline.identity import IdentityEvaluator
from pipeline.mask_folder import MaskFolder, masks_of_video
from pipeline.metrics import Evaluator
from pipeline.policies.constellation.settings import Rule
from pipeline.records import FrameAnnotation
from pipeline.single_frames import numbered_frames
from pipeline.temporal import temporal_consistency
from pipeline.truth import Truth, look_over

COMPARABLE = tuple(policy for policy in POLICIES if policy != "given")
_Image = NDArray[np.uint8]
_TRUTH = "truth"
_MEASURING = "measuring steadiness"
_ADAPTIVE = "constellation-adaptive"
_EVERY, _WITHOUT = "constellation-every-", "constellation-without-"
# What `constellation-without-` may stand before, and what it means.
LEFT_OUT: dict[str, dict[str, Any]] = {
    **{rule.value: {"without": (rule.value,)} for rule in Rule},
    "steadying": {"steady": 0.0},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What to compare.

    Attributes:
        video: file or folder of frames.
        truth: its true masks.
        policies: names of policies, each of `COMPARABLE`, or `constellation-adaptive` and
            `constellation-every-N`, to see what looks are worth, or `constellation-without-RULE`,
            to see what a rule is worth.
        settings: everything but the policy.
        out: folder that receives a set for each policy.

    Raises:
        UsageError: a policy is unknown, or cannot be compared.
    """

    video: Path
    truth: AnnotationSet | MaskFolder
    policies: tuple[str, ...]
    settings: AnnotateSettings
    out: Path

    def __post_init__(self) -> None:
        """Check the policies."""
        for policy in self.policies:
            _settings_of(policy)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedPolicies:
    """How policies did on one video.

    Attributes:
        policies: for each policy the figures of `evaluate`, `temporal_consistency` and
            `identity_scores`, and `overseer_calls`, `prompts` and `seconds` (of annotating,
            without loading the models).
        truth: how steady the true masks are themselves, which no policy can be expected to
            exceed: the figures of `temporal_consistency`; empty if they are not of every frame.
    """

    policies: dict[str, dict[str, Any]]
    truth: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return all figures by name."""
        return asdict(self)


def _nothing(_title: str, _done: int, _total: int) -> None:
    pass


def compare(
    comparison: Comparison, on_frame: Callable[[str, int, int], None] = _nothing
) -> ComparedPolicies:
    """Annotate a video by each policy in turn and measure the results.

    Args:
        comparison: what to compare.
        on_frame: is called with (policy, or what is measured, frames done, frames in all).

    Raises:
        ScopelineError: the video, a model or the truth is not usable.
    """
    open_models(comparison.settings)
    video = open_video(comparison.video)
    right = masks_of_video(comparison.truth, video.info.frame_count, comparison.video)
    # To find a damaged mask, or a class by another name, may not take hours of annotating.
    size = (video.info.height, video.info.width)
    seen = look_over(right.frames(), right.path, size, comparison.video)
    judged = labels_of(comparison.settings)
    complain_of_classes(seen.classes_without_match(right.label_set, judged), right.path)
    measured, annotated = {}, {}
    for policy in comparison.policies:
        started = time.monotonic()
        annotated[policy] = _annotate(comparison, policy, partial(on_frame, policy))
        seconds = time.monotonic() - started
        measured[policy] = {
            **_compare_with_truth(annotated[policy], right),
            "prompts": annotated[policy].manifest.counts.prompts,
            "seconds": round(seconds, 3),
        }
    length = max(found.manifest.counts.frames for found in annotated.values())
    images = counted(
        (image for _, image in numbered_frames(video, comparison.settings.max_frames)),
        lambda done: on_frame(_MEASURING, done, length),
    )
    steadiness = _measure_steadiness(images, annotated, right, seen)
    return ComparedPolicies(
        policies={policy: measured[policy] | steadiness[policy] for policy in measured},
        truth=steadiness.get(_TRUTH, {}),
    )


def _annotate(
    comparison: Comparison, policy: str, on_frame: Callable[[int, int], None]
) -> AnnotationSet:
    settings = AnnotateSettings(**(comparison.settings.model_dump() | _settings_of(policy)))
    out = comparison.out / policy
    job = VideoJob(video=comparison.video, out=out, settings=settings, resume=False)
    return annotate_job(job, on_frame)


def _compare_with_truth(
    annotated: AnnotationSet, truth: AnnotationSet | MaskFolder
) -> dict[str, Any]:
    found = comparable_frames(annotated.frames(), truth)
    true, classes = true_frames(truth.frames(), truth.label_set, annotated.label_set)
    accuracy, identity = Evaluator(classes), IdentityEvaluator()
    for pair in common_frames(found, true):
        accuracy.add(*pair)
        identity.add(*pair)
    parts = range(annotated.manifest.parts)
    looks = (annotated.rows("frames", part, ["overseer_ran"]) for part in parts)
    return {
        **accuracy.evaluation().to_json(),
        **identity.scores().to_json(),
        "overseer_calls": sum(row["overseer_ran"] for rows in looks for row in rows),
    }


def _measure_steadiness(
    images: Iterable[_Image],
    annotated: dict[str, AnnotationSet],
    truth: AnnotationSet | MaskFolder,
    seen: Truth,
) -> dict[str, dict[str, float]]:
    """Return the temporal figures of each policy and, if it has every frame, of the truth."""
    frames: dict[str, Iterable[FrameAnnotation]] = {
        policy: found.frames() for policy, found in annotated.items()
    }
    length = max(found.manifest.counts.frames for found in annotated.values())
    if list(seen.flags)[:length] == list(range(length)):
        frames[_TRUTH] = truth.frames()
    measured = temporal_consistency(frames, images, _cuts(seen.flags))
    return {name: figures.to_json() for name, figures in measured.items()}


def _settings_of(policy: str) -> dict[str, Any]:
    """Return the settings that a name in `Comparison.policies` stands for."""
    if policy in COMPARABLE:
        return {"policy": policy}
    if policy == _ADAPTIVE:
        return {"policy": "constellation", "overseer_every": ADAPTIVE}
    every = policy.removeprefix(_EVERY)
    if every != policy and every.isdecimal() and int(every) > 0:
        return {"policy": "constellation", "overseer_every": int(every)}
    rule = policy.removeprefix(_WITHOUT)
    if rule != policy and rule in LEFT_OUT:
        return {"policy": "constellation", **LEFT_OUT[rule]}
    raise UsageError(
        f"--policies has {policy!r}; choose among {', '.join(COMPARABLE)}, {_ADAPTIVE}, "
        f"{_EVERY}N and {_WITHOUT}RULE, where RULE is one of {', '.join(LEFT_OUT)}"
    )


def _cuts(flags: Mapping[int, tuple[str, ...]]) -> frozenset[int]:
    """Return the frames at which another picture begins, as far as the truth says it."""
    return frozenset(
        index
        for (_, before), (index, after) in pairwise(flags.items())
        if "cut" in after or ("out_of_body" in before) is not ("out_of_body" in after)
    )
