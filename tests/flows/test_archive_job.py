"""What tells a job on an archive from another one."""

import shutil
from pathlib import Path

import pytest

from flows.archive.job import job_key, settings_key
from flows.settings import AnnotateSettings
from overseer.model_folders import find_overseer


def with_overseer(name):
    return AnnotateSettings(policy="framewise", overseer=str(name))


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A copy of an overseer in the folder where commands are started."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(find_overseer("scopeline"), tmp_path / "mine")
    return tmp_path / "mine"


def test_a_model_is_the_same_by_whichever_path(mine):
    Path("newest").symlink_to(mine)
    names = ("mine", "./mine/", mine, "newest", "scopeline")
    (key,) = {job_key(with_overseer(name)) for name in names}
    (mine / "model.json").write_text((mine / "model.json").read_text() + "\n")
    assert job_key(with_overseer("mine")) != key


def test_commands_that_name_one_model_otherwise_have_the_same_settings(mine):
    Path("below").mkdir()
    names = ("mine", "./mine/", "below/../mine", mine)
    assert len({settings_key(with_overseer(name)) for name in names}) == 1
    assert settings_key(with_overseer("mine")) != settings_key(with_overseer("scopeline"))


def test_the_settings_of_a_command_stay_when_its_model_is_trained_anew(mine, tmp_path):
    Path("newest").symlink_to(mine)
    before = settings_key(with_overseer("newest"))
    shutil.copytree(mine, tmp_path / "next")
    Path("newest").unlink()
    Path("newest").symlink_to(tmp_path / "next")
    assert settings_key(with_overseer("newest")) == before
