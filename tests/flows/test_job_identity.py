"""What makes an annotation another one: its settings, models, given masks and their labels."""

import json
import os
import shutil

import pytest

from flows.job_identity import describe_overseer, describe_tracker, job_identity, labels_of
from flows.settings import AnnotateSettings
from overseer.model_folders import find_overseer, overseer_labels
from pipeline.annotation_set.writer import AnnotationSetWriter, new_manifest
from pipeline.errors import InputError, ModelError, UsageError
from pipeline.networks.model_folder import sha256_of
from tests.conftest import annotated_frame, rectangle
from tests.small_data import save
from tracking.model_folders import find_tracker

LABELS = {"name": "one", "classes": [{"id": 1, "name": "Clip", "kind": "thing", "value": 255}]}


@pytest.fixture
def given(tmp_path):
    """Settings of an annotation with two masks and a file of labels."""
    for number in range(2):
        save(tmp_path / "masks" / f"{number}.png", 255 * rectangle(4, 4, 14, 14))
    (tmp_path / "labels.json").write_text(json.dumps(LABELS))
    return AnnotateSettings(
        policy="given",
        prompts=tmp_path / "masks",
        prompt_frames=(0,),
        labels=tmp_path / "labels.json",
    )


@pytest.mark.parametrize(
    ("policy", "models"),
    [
        ("constellation", {"overseer", "tracker"}),
        ("sasvi", {"overseer", "tracker"}),
        ("first-frame", {"overseer", "tracker"}),
        ("framewise", {"overseer"}),
        ("given", {"tracker"}),
    ],
)
def test_a_job_is_of_the_models_that_its_policy_asks(given, policy, models):
    settings = given if policy == "given" else AnnotateSettings(policy=policy)
    assert job_identity(settings)["models"].keys() == models


def test_models_are_told_by_all_files_that_they_are_loaded_from():
    overseer, tracker = find_overseer("scopeline"), find_tracker("scopeline")
    assert job_identity(AnnotateSettings())["models"] == {
        "overseer": {
            "name": "scopeline",
            "sha256": sha256_of(overseer / "weights.safetensors"),
            "description_sha256": sha256_of(overseer / "model.json"),
        },
        "tracker": {
            "name": "scopeline",
            "sha256": sha256_of(tracker / "weights.safetensors"),
            "description_sha256": sha256_of(tracker / "model.json"),
            "first_mask_sha256": sha256_of(tracker / "first-mask" / "weights.safetensors"),
        },
    }


def test_a_tracker_without_a_network_for_first_masks_is_another_one(tmp_path):
    folder = tmp_path / "tracker"
    shutil.copytree(find_tracker("scopeline"), folder)
    assert describe_tracker(str(folder)) == describe_tracker("scopeline") | {"name": str(folder)}
    shutil.rmtree(folder / "first-mask")
    assert "first_mask_sha256" not in describe_tracker(str(folder))


def test_a_checkpoint_has_no_description(tmp_path):
    checkpoint = tmp_path / "published.pth"
    checkpoint.write_bytes(b"weights")
    expected = {"name": "sasvi/cadis", "sha256": sha256_of(checkpoint)}
    assert describe_overseer("sasvi/cadis", checkpoint) == expected


def test_an_overseer_without_weights_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"weights\.safetensors does not exist; check the model's"):
        describe_overseer(str(tmp_path))
    with pytest.raises(UsageError, match="--weights does not go with the overseer scopeline"):
        describe_overseer("scopeline", tmp_path)


def test_another_mask_or_another_order_is_another_job(given):
    before = job_identity(given)
    assert job_identity(given) == before
    first, second = (given.prompts / f"{number}.png" for number in range(2))
    save(second, 255 * rectangle(4, 4, 14, 15))
    changed = job_identity(given)
    assert changed != before
    first.rename(given.prompts / "2.png")
    assert job_identity(given) not in (before, changed)


def test_other_labels_are_another_job(given):
    before = job_identity(given)
    hook = LABELS | {"classes": [LABELS["classes"][0] | {"name": "Hook"}]}
    given.labels.write_text(json.dumps(hook))
    assert job_identity(given) != before
    assert labels_of(given).foreground[0].name == "Hook"


def test_masks_of_a_set_are_told_by_its_content(tmp_path, clip_info, labels):
    def identity(mask):
        path = tmp_path / "true.annset"
        shutil.rmtree(path, ignore_errors=True)
        with AnnotationSetWriter(path, new_manifest(clip_info, labels)) as writer:
            writer.add(annotated_frame(0, t1_c1=mask))
        return job_identity(AnnotateSettings(policy="given", prompts=path, prompt_frames="first"))

    before = identity(rectangle(4, 4, 14, 14))
    assert identity(rectangle(4, 4, 14, 14)) == before
    assert identity(rectangle(4, 4, 14, 15)) != before


def test_names_of_masks_need_not_be_unicode(given):
    before = job_identity(given)
    (given.prompts / "0.png").rename(given.prompts / os.fsdecode(b"\xff0.png"))
    assert job_identity(given) != before


def test_masks_that_are_not_there_are_named(given):
    shutil.rmtree(given.prompts)
    with pytest.raises(InputError, match="masks"):
        job_identity(given)


def test_the_classes_of_a_set_are_those_of_the_overseer_and_of_given_masks(given):
    own = overseer_labels("scopeline")
    assert labels_of(AnnotateSettings()) == own
    assert [label.name for label in labels_of(given).classes] == ["Clip"]
    beside = labels_of(given.model_copy(update={"policy": "constellation"}))
    names = [label.name for label in beside.classes]
    assert names == [*(label.name for label in own.classes), "Clip"]


def test_where_and_how_a_job_is_computed_makes_no_other_one():
    settings = AnnotateSettings()
    elsewhere = settings.model_copy(update={"device": "cuda", "precision": "half"})
    assert job_identity(elsewhere) == job_identity(settings)
    assert job_identity(settings.model_copy(update={"max_frames": 8})) != job_identity(settings)
