"""How the command line is used: help, wrong use, and what it says of itself."""

import hashlib
import json
import re
from dataclasses import replace
from importlib.metadata import version

import pytest
import typer

from flows import cli
from flows.settings import AnnotateSettings
from tracking.official_checkpoints import CHECKPOINTS


def test_it_says_which_version_it_is(scopeline):
    assert scopeline("--version") == (0, f"scopeline {version('scopeline')}\n", "")


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (("annotate", "VIDEO", "--out", "OUT", "--overseer", "yolo"), 1, "unknown overseer yolo"),
        (("annotate", "VIDEO", "--out", "OUT", "--tracker", "sam9"), 1, "unknown tracker sam9"),
        (("annotate", "VIDEO", "--out", "OUT", "--tracker", "sam2.1_hiera_tiny"), 1, "pull"),
        (("annotate", "VIDEO", "--out", "VIDEO"), 1, "cannot be written"),
        (("annotate", "VIDEO", "--out", "OUT", "--policy", "given"), 2, "--prompts"),
        (("annotate", "VIDEO", "--out", "OUT", "--policy", "wild"), 2, "wild"),
        (("annotate", "VIDEO", "--out", "OUT", "--prompt-frames", "1,x"), 2, "0,30,60 nor first"),
        (("annotate", "VIDEO", "--out", "OUT", "--device", "tpu"), 2, "unknown device tpu"),
        (("annotate", "VIDEO", "--out", "OUT", "--overseer-every", "0"), 2, "overseer-every"),
        (("annotate", "VIDEO", "--out", "OUT", "--steady", "1"), 2, "steady"),
        (("annotate", "VIDEO", "VIDEO", "--out", "OUT"), 2, "two videos are named"),
        (("annotate", "VIDEO", "--out", "OUT", "--labels", "x"), 2, "--labels goes with --prompts"),
        (("annotate", "VIDEO", "--out", "OUT", "--workers", "2"), 2, "go with --segments"),
        (("annotate", "VIDEO", "--out", "OUT", "--runner", "ray"), 2, "go with --segments"),
        (
            ("annotate", "VIDEO", "--out", "OUT", "--corrections", "x", "--segments", "2"),
            2,
            "--segments goes with whole videos",
        ),
        (("annotate", "VIDEO"), 2, "missing option '--out'; `scopeline annotate --help`"),
        (("annotate", "VIDEO", "--out", "OUT", "--polic", "given"), 2, "--policy"),
        (("annotate", "VIDEO", "--out", "OUT", "--max-frames", "0"), 2, "'--max-frames'"),
        (("export", "VIDEO", "--format", "x", "--out", "OUT"), 2, "'--format': 'x' is not one of"),
        (("export", "VIDEO", "--out", "OUT"), 2, "'--format', choose from: coco, csv, cvat"),
        (("data", "chek"), 2, "`scopeline data --help`"),
        (("render", "--seed", "1", "--frames", "2", "--size", "5x5", "--out", "OUT"), 2, "5x5"),
        (("evaluate", "OUT", "--truth", "OUT"), 1, "does not exist"),
        (("export", "VIDEO", "--format", "mp4", "--out", "OUT"), 1, "not an annotation set"),
        (
            ("info", "OUT"),
            1,
            "does not exist; give a video, a folder of frames or an annotation set",
        ),
        (("weights", "pull", "sam9"), 1, "unknown checkpoint sam9"),
        (("weights", "verify", "sam2.1_hiera_tiny"), 1, "weights pull sam2.1_hiera_tiny"),
        (("train", "overseer", "--data", "x", "--out", "OUT"), 1, "x does not exist"),
        (("train", "tracker", "--data", "x", "--out", "OUT"), 1, "x does not exist"),
        (("data", "check", "x", "--layout", "coco"), 1, "x does not exist"),
    ],
)
def test_wrong_use_is_one_sentence(
    scopeline, scene, tmp_path, monkeypatch, arguments, code, problem
):
    monkeypatch.setenv("SCOPELINE_WEIGHTS", str(tmp_path / "weights"))
    places = {"VIDEO": scene / "video.mp4", "OUT": tmp_path / "out"}
    given = [str(places.get(argument, argument)) for argument in arguments]
    found, out, err = scopeline(*given)
    assert found == code
    assert problem in err
    (sentence,) = err.splitlines()
    assert sentence.startswith("scopeline: ")
    assert out == ""
    assert not list(tmp_path.rglob("manifest.json"))


def test_all_pulled_checkpoints_are_verified_and_each_that_differs_is_named(
    scopeline, tmp_path, monkeypatch
):
    monkeypatch.setenv("SCOPELINE_WEIGHTS", str(tmp_path))
    code, _, err = scopeline("weights", "verify")
    assert (code, err) == (
        1,
        "scopeline: no checkpoint is pulled; run `scopeline weights pull NAME`\n",
    )
    small, tiny = "sam2.1_hiera_small", "sam2.1_hiera_tiny"
    whole = replace(CHECKPOINTS[tiny], size_bytes=0, sha256=hashlib.sha256().hexdigest())
    monkeypatch.setitem(CHECKPOINTS, tiny, whole)
    for name in (small, tiny):
        (tmp_path / f"{name}.pt").touch()
    code, _, err = scopeline("weights", "verify")
    assert code == 1
    assert f"{small}.pt has 0 bytes" in err
    assert f"{tiny}.pt is {tiny}" in err
    assert scopeline("weights", "verify", tiny)[0] == 0


def test_every_command_has_help_with_an_example(scopeline):
    for command in (
        [], ["annotate"], ["archive"], ["serve"], ["status"],
        ["info"], ["report"], ["export"], ["import"],
        ["evaluate"], ["compare"], ["bench"], ["render"],
        ["train", "overseer"], ["train", "tracker"], ["data", "check"],
        ["weights", "list"], ["weights", "pull"], ["weights", "verify"],
        ["train"], ["data"], ["weights"],
    ):  # fmt: skip
        code, out, _ = scopeline(*command, "--help")
        assert code == 0
        assert "Example" in out, command


@pytest.mark.parametrize(
    ("command", "names"),
    [
        (("export",), ["label-studio", "youtube-vis", "dicom-seg"]),
        (("import",), ["label-studio"]),
        (("train", "overseer"), ["detectron2_resnet101", "laparoscopic", "first-mask"]),
        (("train", "tracker"), ["laparoscopic", "first-mask"]),
        (("render",), ["laparoscopic", "photographs"]),
    ],
)
def test_names_to_choose_from_are_whole_in_eighty_columns(scopeline, monkeypatch, command, names):
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = scopeline(*command, "--help")
    assert set(names) <= set(re.findall(r"[\w-]+", out))


def test_help_tells_the_defaults_of_the_settings():
    settings = {
        name.replace("overseer_weights", "weights"): field.default
        for name, field in AnnotateSettings.model_fields.items()
    }
    commands = typer.main.get_command(cli.app).commands
    told = {
        (name, option.name): default.group(1)
        for name in ("annotate", "archive", "serve")
        for option in commands[name].params
        if (default := re.search(r"\[default: (.*)\]", getattr(option, "help", "") or ""))
    }
    assert {("annotate", "policy"), ("archive", "overseer_every"), ("serve", "device")} <= set(told)
    for (_, option), default in told.items():
        known = settings[option]
        assert default == (str(*known) if isinstance(known, tuple) else str(known)), option


def test_weights_list_is_json(scopeline, tmp_path, monkeypatch):
    monkeypatch.setenv("SCOPELINE_WEIGHTS", str(tmp_path))
    code, out, _ = scopeline("weights", "list", "--json")
    assert code == 0
    names = [row["name"] for row in json.loads(out)["checkpoints"]]
    assert names == [f"sam2.1_hiera_{size}" for size in ("tiny", "small", "base_plus", "large")]
    _, out, _ = scopeline("weights", "list")
    assert out.count("not pulled") == len(names)


@pytest.mark.parametrize(
    "options",
    [
        ("--policy", "framewise", "--overseer-every", 5),
        ("--policy", "framewise", "--tracker", "scopeline"),
        ("--policy", "sasvi", "--steady", 0.5),
        ("--policy", "first-frame", "--overseer-every", "adaptive"),
    ],
)
def test_options_that_a_policy_does_not_read_are_wrong_use(scopeline, scene, tmp_path, options):
    code, _, err = scopeline("annotate", scene / "video.mp4", "--out", tmp_path, *options)
    assert code == 2
    assert f"{options[2]} has no effect with --policy {options[1]}" in err
    assert not list(tmp_path.glob("*"))


def test_an_empty_argument_is_not_the_current_folder(scopeline, scene):
    code, _, err = scopeline("annotate", scene / "video.mp4", "--out", "")
    assert code == 2
    assert "an argument is empty" in err
