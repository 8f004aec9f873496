"""What determines an annotation set but the video: settings and models, none of them loaded."""

import hashlib
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from flows.given_prompts import open_given
from flows.settings import AnnotateSettings
from overseer.model_folders import find_overseer, overseer_labels, published_checkpoint
from pipeline.annotation_set import AnnotationSet
from pipeline.errors import ModelError
from pipeline.labels import LabelSet, joined
from pipeline.mask_folder import MaskFolder, open_masks
from pipeline.networks.model_folder import DESCRIPTION, WEIGHTS, sha256_of
from pipeline.picture_files import list_images
from tracking.model_folders import describe_base, find_first_mask, find_tracker

# Beside a setting that is a path, this names the hash of what lies there.
_HASH = "_sha256"
_DESCRIPTION = "description_sha256"


def job_identity(settings: AnnotateSettings) -> dict[str, Any]:
    """Return what determines a set but the video: settings, and the models with their hashes.

    Raises:
        ModelError: a model is unknown or is not on this machine.
        InputError: given masks are missing.
    """
    models = {}
    if settings.policy != "given":
        models["overseer"] = describe_overseer(settings.overseer, settings.overseer_weights)
    if settings.policy != "framewise":
        models["tracker"] = describe_tracker(settings.tracker)
    return {"models": models, "settings": {**settings.identity(), **_given_contents(settings)}}


def _given_contents(settings: AnnotateSettings) -> dict[str, str]:
    """Return the hashes of given masks and their labels: under the same paths they may change."""
    if settings.prompts is None:
        return {}
    contents = {"prompts_sha256": _content_of(settings.prompts)}
    if settings.labels is not None and settings.labels.is_file():
        contents["labels_sha256"] = sha256_of(settings.labels)
    return contents


def _content_of(masks: Path) -> str:
    given = open_masks(masks)
    if isinstance(given, AnnotationSet):
        return given.fingerprint()
    digest = hashlib.sha256()
    for file in list_images(masks):
        # Names of files need not be UTF-8.
        digest.update(os.fsencode(file.name) + f" {sha256_of(file)}\n".encode())
    return digest.hexdigest()


def labels_of(settings: AnnotateSettings) -> LabelSet:
    """Return the classes of the set that an annotation writes; no weights are loaded.

    Raises:
        ModelError: the overseer is unknown.
        InputError: the given masks or their labels are damaged.
    """
    if settings.prompts is None:
        return overseer_labels(settings.overseer)
    return labels_beside(settings, open_given(settings.prompts, settings.labels))


def labels_beside(settings: AnnotateSettings, given: AnnotationSet | MaskFolder) -> LabelSet:
    """Return the classes of the set that an annotation with given masks writes.

    Args:
        settings: of the annotation.
        given: the masks, opened; plain ones without a description are all read for their values.

    Raises:
        ModelError: the overseer is unknown.
        InputError: the given masks are damaged.
    """
    if settings.policy == "given":
        return given.label_set
    return joined(overseer_labels(settings.overseer), given.label_set)[0]


def describe_overseer(name: str, weights: Path | None = None) -> dict[str, str]:
    """Return an overseer's name and the hash of its weights, for the manifest.

    Args:
        name: of the overseer, or its folder.
        weights: checkpoint of a published overseer.

    Raises:
        ModelError: it is unknown, or has no weights.
        UsageError: a published overseer has no weights, or another one has.
    """
    path = published_checkpoint(name, weights)
    if path is None:
        folder = find_overseer(name)
        path = folder / WEIGHTS if folder.is_dir() else folder
    if not path.is_file():
        raise ModelError(f"{path} does not exist; check the model's name or path")
    return {"name": name, "sha256": sha256_of(path), **_described_by(path.parent)}


def _described_by(folder: Path) -> dict[str, str]:
    """Return the hash of what a model folder says of the network and its classes, if it does."""
    description = folder / DESCRIPTION
    return {"description_sha256": sha256_of(description)} if description.is_file() else {}


def describe_tracker(name: str) -> dict[str, str]:
    """Return a tracker's name and the hashes of its weights, for the manifest.

    Raises:
        ModelError: it is unknown, or has no weights.
    """
    described = {"name": name, "sha256": describe_base(name).sha256}
    described |= _described_by(find_tracker(name))
    first_mask = find_first_mask(name)
    if first_mask is not None:
        described["first_mask_sha256"] = describe_base(str(first_mask)).sha256
    return described


def told_by_content(
    settings: Mapping[str, Any], models: Mapping[str, Mapping[str, str]]
) -> set[str]:
    """Return the settings that name what is noted by its hash as well.

    The same model can be `models/mine`, `./models/mine/`, or elsewhere on another machine.

    Args:
        settings: of a job, as `job_identity` or a manifest has them.
        models: likewise.
    """
    named = {name.removesuffix(_HASH) for name in settings if name.endswith(_HASH)}
    # Without its description an overseer is what its name says of its weights, as published ones
    # are; of which network a tracker's checkpoint is, its tensors say.
    named |= {role for role, noted in models.items() if _DESCRIPTION in noted or role == "tracker"}
    if settings.get("overseer_weights"):
        named.add("overseer_weights")
    return named


def without_names(
    settings: Mapping[str, Any],
    models: Mapping[str, Mapping[str, str]],
    by_content: Collection[str],
) -> dict[str, Any]:
    """Return settings and models of a job, without the names of what is told by its content.

    Args:
        settings: of the job.
        models: of the job, by role; of those that are told by content the name is empty.
        by_content: see `told_by_content`.
    """
    others = {name: value for name, value in settings.items() if name not in by_content}
    unnamed = {
        role: {**noted, "name": ""} if role in by_content else {**noted}
        for role, noted in models.items()
    }
    return {"settings": others, "models": unnamed}
