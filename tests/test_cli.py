"""The command line end to end: what it writes, what it says, and its exit codes."""

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
from PIL import Image

from pipeline.annotation_set import AnnotationSet
from pipeline.frames import open_video
from pipeline.masks import decode_mask

CLIP = Path(__file__).parents[1] / "samples" / "clips" / "theatre.mp4"


def test_annotate_evaluate_export_and_info(scopeline, scene, tmp_path):
    code, out, err = scopeline("annotate", scene / "video.mp4", "--out", tmp_path, "--json")
    assert code == 0, err
    (result,) = json.loads(out)["videos"]
    assert (result["state"], result["frames"]) == ("complete", 16)
    found = tmp_path / "video.annset"
    assert result["set"] == str(found)
    assert len(list(AnnotationSet(found).frames())) == 16

    truth = scene / "truth.annset"
    code, out, _ = scopeline("evaluate", found, "--truth", truth, "--json")
    scores = json.loads(out)
    assert code == 0
    assert {"j", "f", "j_and_f", "miou", "dice", "per_class", "frames"} <= scores.keys()
    assert scores["frames"] == 16
    assert all(0 <= scores[key] <= 1 for key in ("j", "f", "j_and_f", "miou", "dice"))

    overlay = tmp_path / "overlay.mp4"
    assert scopeline("export", found, "--format", "mp4", "--out", overlay)[0] == 0
    with av.open(str(overlay)) as container:
        pictures = list(container.decode(video=0))
    assert (len(pictures), pictures[0].width, pictures[0].height) == (16, 240, 136)

    assert scopeline("export", found, "--format", "davis", "--out", tmp_path / "davis")[0] == 0
    assert len(list((tmp_path / "davis").glob("*.png"))) == 16

    code, out, _ = scopeline("info", found, "--json")
    assert code == 0
    described = json.loads(out)
    assert described["counts"]["frames"] == 16
    assert len(described["prompts"]) == described["counts"]["prompts"] > 0
    assert described["prompts"][0]["reason"] == "entered"
    _, out, _ = scopeline("info", found)
    said = [line for line in out.splitlines() if line.startswith("frame ")]
    assert len(said) == len(described["prompts"])
    assert said[0].startswith("frame 0: track 1, ")
    assert re.search(r", prompted with mask, entered, score [01]\.\d\d$", said[0])
    assert sum(track["frames"] for track in described["tracks"]) == described["counts"]["masks"]
    assert f"{described['tracks'][0]['class']} " in out
    assert "16 frames, " in out
    assert "settings" in out
    code, out, _ = scopeline("info", scene / "video.mp4", "--json")
    assert (json.loads(out)["frames"], json.loads(out)["width"]) == (16, 240)


def test_the_truth_evaluates_as_perfect(scopeline, scene):
    truth = scene / "truth.annset"
    code, out, _ = scopeline("evaluate", truth, "--truth", truth, "--json")
    assert (code, json.loads(out)["j_and_f"], json.loads(out)["miou"]) == (0, 1.0, 1.0)
    assert "j 1.000" in scopeline("evaluate", truth, "--truth", truth)[1]


def test_what_the_labels_leave_open_counts_neither_way(scopeline, scene, tmp_path):
    truth = AnnotationSet(scene / "truth.annset")
    for frame in truth.frames():
        values = np.zeros((truth.manifest.video.height, truth.manifest.video.width), np.uint8)
        for track in frame.tracks:
            values[decode_mask(track.rle)] = truth.label_set[track.class_id].value
        # CholecSeg8k's ignored values, over objects and what is around them.
        values[:, :40] = 255
        values[:, 40:80] = 0
        Image.fromarray(values).save(tmp_path / f"{frame.index}.png")
    code, out, err = scopeline("evaluate", truth.path, "--truth", tmp_path, "--json")
    assert code == 0, err
    assert json.loads(out)["miou"] == 1.0


def test_classes_that_cannot_be_found_by_their_name_are_said(scopeline, scene, tmp_path):
    """Else a truth with other names looks like an annotation that missed everything."""
    labels = {"classes": [{"id": 1, "name": "Instrument", "value": 255}]}
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    (tmp_path / "masks").mkdir()
    for index in range(16):
        values = np.full((136, 240), 255, np.uint8)
        Image.fromarray(values).save(tmp_path / "masks" / f"{index}.png")
    given = ("--truth", tmp_path / "masks", "--labels", tmp_path / "labels.json")
    said = f"scopeline: {tmp_path / 'masks'} shows Instrument, but what is judged has no class"
    code, out, err = scopeline("evaluate", scene / "truth.annset", *given, "--json")
    assert (code, json.loads(out)["miou"]) == (0, 0.0)
    assert err.startswith(said)
    once = ("--policies", "first-frame", "--max-frames", 1)
    code, _, err = scopeline("compare", scene / "video.mp4", *given, *once)
    assert code == 0
    assert said in err
    truth = scene / "truth.annset"
    assert scopeline("evaluate", truth, "--truth", truth)[2] == ""


def test_the_same_job_again_changes_nothing(scopeline, scene, tmp_path):
    job = ("annotate", scene / "video.mp4", "--out", tmp_path, "--policy", "first-frame")
    assert scopeline(*job, "--max-frames", 4)[0] == 0
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert scopeline(*job, "--max-frames", 4)[0] == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == stamps
    code, _, err = scopeline(*job, "--max-frames", 5)
    assert code == 1
    assert "other settings" in err
    assert scopeline(*job, "--max-frames", 5, "--no-resume")[0] == 0
    assert AnnotationSet(tmp_path / "video.annset").manifest.counts.frames == 5


def test_framewise_and_first_frame(scopeline, scene, tmp_path):
    for policy in ("framewise", "first-frame"):
        out = tmp_path / policy
        options = ("--policy", policy, "--max-frames", 3, "--out", out)
        assert scopeline("annotate", scene / "video.mp4", *options)[0] == 0
        assert AnnotationSet(out / "video.annset").manifest.settings["policy"] == policy


def test_a_finished_job_needs_no_network(scopeline, scene, tmp_path, monkeypatch):
    job = ("annotate", scene / "video.mp4", "--out", tmp_path, "--max-frames", 2)
    assert scopeline(*job)[0] == 0

    def unexpected(*_):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("flows.annotation_loops.open_overseer", unexpected)
    monkeypatch.setattr("flows.annotation_loops.open_tracker", unexpected)
    assert scopeline(*job)[0] == 0


def make_bad_videos(folder: Path, good: bytes) -> dict[str, Path]:
    paths = {name: folder / f"{name}.mp4" for name in ("empty", "text", "truncated", "corrupted")}
    paths["empty"].touch()
    paths["text"].write_text("no video here")
    paths["truncated"].write_bytes(good[: len(good) // 2])
    middle = len(good) // 3
    paths["corrupted"].write_bytes(good[:middle] + bytes(middle) + good[2 * middle :])
    paths["missing"] = folder / "missing.mp4"
    paths["folder"] = folder / "folder"
    paths["folder"].mkdir()
    return paths


AWKWARD_NAMES = ("2026-11-26T10:30:00.mp4", "op [2].mp4", "op :smile:.mp4", "op %03d.mp4")


def test_a_video_may_have_any_name(scopeline, scene, tmp_path, monkeypatch):
    """Also relative to the working directory, where a time is taken for an address."""
    monkeypatch.chdir(tmp_path)
    for name in AWKWARD_NAMES:
        shutil.copy(scene / "video.mp4", tmp_path / name)
    options = ("--policy", "first-frame", "--max-frames", 2, "--out", "sets")
    code, _, error = scopeline("annotate", *AWKWARD_NAMES, *options)
    assert code == 0
    for name in AWKWARD_NAMES:
        written = f"sets/{Path(name).stem}.annset"
        assert AnnotationSet(tmp_path / written).is_complete
        assert written in error
    overlay = "overlay 10:30 [x].mp4"
    export = ("export", f"sets/{Path(AWKWARD_NAMES[0]).stem}.annset", "--format", "mp4")
    code, _, error = scopeline(*export, "--out", overlay)
    assert (code, error.strip()) == (0, overlay)
    assert open_video(Path(overlay)).info.frame_count == 2


def test_bad_videos_get_one_sentence_and_the_others_go_on(scopeline, scene, tmp_path):
    bad = make_bad_videos(tmp_path, (scene / "video.mp4").read_bytes())
    options = ("--policy", "first-frame", "--out", tmp_path / "out", "--json")
    code, out, err = scopeline("annotate", *bad.values(), scene / "video.mp4", *options)
    assert code == 1
    lines = [line for line in err.splitlines() if line.startswith("scopeline: ")]
    assert len(lines) == len(bad)
    for path, line in zip(bad.values(), lines, strict=True):
        assert str(path) in line
        assert ";" in line
    assert "Traceback" not in err
    results = json.loads(out)["videos"]
    assert [("error" in result) for result in results] == [True] * len(bad) + [False]
    for name in bad:
        manifest = tmp_path / "out" / f"{name}.annset" / "manifest.json"
        assert not manifest.exists() or json.loads(manifest.read_text())["state"] == "failed"


def test_a_bad_label_set_is_named(scopeline, scene, tmp_path):
    labels = tmp_path / "labels.json"
    labels.write_text('{"classes": [{"id": 1, "name": "Tool", "value": 255}]}')
    masks = tmp_path / "masks"
    masks.mkdir()
    Image.fromarray(np.full((136, 240), 7, np.uint8)).save(masks / "0.png")
    code, _, err = scopeline(
        "annotate", scene / "video.mp4", "--out", tmp_path / "out", "--policy", "given",
        "--prompts", masks, "--labels", labels,
    )  # fmt: skip
    assert code == 1
    assert "0.png has the value 7" in err


def test_a_full_disk_leaves_nothing_that_looks_finished(scene, tmp_path):
    """A limit on the size of files stops the writing half-way, as a full disk does."""

    def allow_small_files_only():
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    command = [sys.executable, "-m", "flows.cli", "annotate", str(scene / "video.mp4")]
    ended = subprocess.run(
        [*command, "--out", str(tmp_path), "--policy", "framewise", "--device", "cpu"],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=allow_small_files_only,
        cwd=Path(__file__).parents[1],
        env={**os.environ, "PREFECT_LOGGING_TO_API_ENABLED": "false"},
    )
    assert ended.returncode == 1
    assert "cannot be written" in ended.stderr
    assert "Traceback" not in ended.stderr
    for manifest in tmp_path.rglob("manifest.json"):
        assert json.loads(manifest.read_text())["state"] != "complete"


def test_a_real_operation(scopeline, real_video, tmp_path):
    options = ("--max-frames", 12, "--out", tmp_path, "--json")
    code, out, err = scopeline("annotate", real_video, *options)
    assert code == 0, err
    assert json.loads(out)["videos"][0]["frames"] == 12
    frame = next(AnnotationSet(tmp_path / "up.annset").frames())
    assert all(track.rle.size == (1080, 1920) for track in frame.tracks)


def test_what_a_finished_set_differs_in_is_said(scopeline, scene, tmp_path):
    job = ("annotate", scene / "video.mp4", "--out", tmp_path, "--max-frames", 1, "--policy")
    assert scopeline(*job, "first-frame")[0] == 0
    code, _, err = scopeline(*job, "first-frame")
    assert code == 0
    assert "has been made before" in err
    code, _, err = scopeline(*job, "framewise")
    assert code == 1
    assert "policy is first-frame there, framewise here" in " ".join(err.split())


def test_a_video_that_nobody_has_thought_of_does_not_stop_the_others(
    scopeline, scene, tmp_path, monkeypatch
):
    shutil.copy(scene / "video.mp4", tmp_path / "..mp4")
    options = ("--out", tmp_path / "out", "--policy", "first-frame", "--max-frames", 1)
    videos = (tmp_path / "..mp4", scene / "video.mp4")
    code, _, err = scopeline("annotate", *videos, *options)
    assert code == 1
    assert "..mp4" in err
    assert AnnotationSet(tmp_path / "out" / "video.annset").is_complete


def test_nothing_to_compare_with_is_said_and_labels_say_what_there_is(scopeline, scene, tmp_path):
    job = ("annotate", scene / "video.mp4", "--out", tmp_path, "--max-frames", 2)
    assert scopeline(*job, "--policy", "first-frame")[0] == 0
    (tmp_path / "masks").mkdir()
    for index in range(2):
        mask = np.zeros((136, 240), np.uint8)
        mask[40:80, 60:120] = 255
        Image.fromarray(mask).save(tmp_path / "masks" / f"{index}.png")
    evaluate = ("evaluate", tmp_path / "video.annset", "--truth", tmp_path / "masks")
    code, _, err = scopeline(*evaluate)
    assert code == 1
    assert "shows no object of the classes that are compared; say by --labels" in err
    classes = [{"id": 5, "name": "Grasper", "value": 255}]
    (tmp_path / "labels.json").write_text(json.dumps({"name": "tools", "classes": classes}))
    code, out, err = scopeline(*evaluate, "--labels", tmp_path / "labels.json", "--json")
    assert code == 0, err
    assert json.loads(out)["objects"] == 1


def test_corrections_are_told_which_option_does_not_go_with_them(scopeline, tmp_path):
    corrections = ["--corrections", tmp_path / "none.annset", "--out", tmp_path]
    code, _, error = scopeline("annotate", CLIP, *corrections, "--weights", CLIP)
    assert code == 2
    assert "leave out --weights" in error
