"""Given masks on the command line: alone, and beside what the overseer sees."""

import numpy as np
import pytest
from PIL import Image

from pipeline.annotation_set import AnnotationSet
from pipeline.masks import decode_mask
from pipeline.records import Origin, PromptReason


def test_given_masks_go_with_first_frame_but_not_with_framewise(scopeline, scene, tmp_path):
    job = ("annotate", scene / "video.mp4", "--prompts", scene / "truth.annset")
    out = tmp_path / "first"
    kind = ("--prompt-frames", "first", "--prompt-kind", "box")
    options = ("--policy", "first-frame", "--max-frames", 3, "--out", out)
    code, _, err = scopeline(*job, *kind, *options)
    assert code == 0, err
    first = next(AnnotationSet(out / "video.annset").frames())
    assert {(prompt.reason, prompt.kind) for prompt in first.prompts} == {
        (PromptReason.HUMAN, "box")
    }
    code, _, err = scopeline(*job, "--policy", "framewise", "--out", tmp_path / "alone")
    assert code == 2
    assert "leave out --prompts" in err
    assert not (tmp_path / "alone").exists()


def test_given_masks_from_a_set_and_from_a_folder(scopeline, scene, tmp_path):
    truth = AnnotationSet(scene / "truth.annset")
    first = next(truth.frames())
    options = ("--policy", "given", "--max-frames", 4)
    code, _, err = scopeline(
        "annotate", scene / "video.mp4", "--prompts", truth.path, "--out", tmp_path / "a", *options
    )
    assert code == 0, err
    start = next(AnnotationSet(tmp_path / "a" / "video.annset").frames())
    assert {track.track_id for track in start.tracks} <= {t.track_id for t in first.tracks}

    folder = tmp_path / "masks"
    folder.mkdir()
    largest = max(first.tracks, key=lambda track: decode_mask(track.rle).sum())
    values = decode_mask(largest.rle).astype(np.uint8) * 255
    Image.fromarray(values).save(folder / "0.png")
    labels = tmp_path / "labels.json"
    labels.write_text('{"classes": [{"id": 1, "name": "Organ", "kind": "stuff", "value": 255}]}')
    code, _, err = scopeline(
        "annotate", scene / "video.mp4", "--prompts", folder, "--labels", labels,
        "--out", tmp_path / "b", *options,
    )  # fmt: skip
    assert code == 0, err
    found = AnnotationSet(tmp_path / "b" / "video.annset")
    assert found.label_set[1].name == "Organ"
    (track,) = next(found.frames()).tracks
    mask = decode_mask(track.rle)
    assert (mask & (values > 0)).sum() / (mask | (values > 0)).sum() > 0.8


@pytest.fixture
def plain_masks(scene, tmp_path):
    """The largest object of the first frame, as a plain mask of 255."""
    first = next(AnnotationSet(scene / "truth.annset").frames())
    largest = max(first.tracks, key=lambda track: decode_mask(track.rle).sum())
    folder = tmp_path / "masks"
    folder.mkdir()
    Image.fromarray(decode_mask(largest.rle).astype(np.uint8) * 255).save(folder / "0.png")
    return folder


def drawn_classes(found):
    """The names of the classes that given masks have in a set."""
    return {
        found.label_set[track.class_id].name
        for frame in found.frames()
        for track in frame.tracks
        if track.origin is Origin.HUMAN
    }


@pytest.mark.parametrize("policy", ["first-frame", "constellation"])
def test_beside_the_overseer_a_class_of_its_name_is_the_overseers(
    scopeline, scene, plain_masks, tmp_path, policy
):
    labels = tmp_path / "labels.json"
    labels.write_text('{"classes": [{"id": 9, "name": "Liver", "kind": "stuff", "value": 255}]}')
    out = tmp_path / "out"
    given = ("--prompts", plain_masks, "--prompt-frames", 0, "--labels", labels)
    options = ("--policy", policy, "--max-frames", 2, "--out", out)
    code, _, err = scopeline("annotate", scene / "video.mp4", *given, *options)
    assert code == 0, err
    found = AnnotationSet(out / "video.annset")
    assert drawn_classes(found) == {"Liver"}
    assert sum(label.name == "Liver" for label in found.label_set.classes) == 1


def test_beside_the_overseer_a_class_that_it_does_not_know_is_one_more(
    scopeline, scene, plain_masks, tmp_path
):
    out = tmp_path / "out"
    given = ("--prompts", plain_masks, "--prompt-frames", 0)
    code, _, err = scopeline(
        "annotate", scene / "video.mp4", *given, "--max-frames", 2, "--out", out
    )
    assert code == 0, err
    found = AnnotationSet(out / "video.annset")
    assert drawn_classes(found) == {"class 255"}
    assert "Liver" in {label.name for label in found.label_set.classes}
    exported = ("--format", "davis", "--out", tmp_path / "exported")
    assert scopeline("export", out / "video.annset", *exported)[0] == 0
