"""What `scopeline info` tells people about a set."""

import pytest
from typer.testing import CliRunner

from flows.cli import app
from pipeline.annotation_set.writer import AnnotationSetWriter, new_manifest
from pipeline.errors import InputError
from tests.conftest import annotated_frame, rectangle


def told_of(path):
    result = CliRunner().invoke(app, ["info", str(path)])
    assert result.exit_code == 0
    return {line.split("  ")[0]: line for line in result.stdout.splitlines()}, result.stdout


def test_facts_and_tracks(tmp_path, clip_info, labels):
    path = tmp_path / "clip.annset"
    settings = {
        "policy": "constellation", "on_bad_frame": "stop", "prompts": None, "prompt_kind": "mask",
    }  # fmt: skip
    with AnnotationSetWriter(path, new_manifest(clip_info, labels, settings=settings)) as writer:
        for index in range(3):
            writer.add(annotated_frame(index, t7_c1=rectangle(2, 2, 9, 9)))
    facts, out = told_of(path)
    assert str(path) in facts["annotation set"]
    assert facts["state"].endswith("complete")
    assert f"{clip_info.width}x{clip_info.height}" in facts["pictures"]
    assert facts["annotated"].endswith("3 frames, 3 masks")
    assert facts["settings"].endswith("  policy constellation, on-bad-frame stop")
    (row,) = [line for line in out.splitlines() if line.startswith("│")]
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        "7", labels[1].name, "3", "0", "2", "0",
    ]  # fmt: skip


def test_sets_are_named_where_the_folder_around_them_was_given(tmp_path, clip_info, labels):
    path = tmp_path / "clip.annset"
    with AnnotationSetWriter(path, new_manifest(clip_info, labels)) as writer:
        writer.add(annotated_frame(0, t7_c1=rectangle(2, 2, 9, 9)))
    result = CliRunner().invoke(app, ["info", str(tmp_path)])
    assert isinstance(result.exception, InputError)
    assert f"such as {path}" in str(result.exception)


def test_why_a_set_failed(tmp_path, clip_info, labels):
    path = tmp_path / "clip.annset"
    with (
        pytest.raises(InputError),
        AnnotationSetWriter(path, new_manifest(clip_info, labels)) as writer,
    ):
        writer.add(annotated_frame(0))
        raise InputError("frame 1 cannot be decoded")
    facts, _ = told_of(path)
    assert facts["state"].endswith("failed: frame 1 cannot be decoded")
