"""Trainings of two steps: jobs, and data sets of a few small pictures."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from flows.training.job import TrainingJob
from overseer.config import OverseerConfig
from pipeline.training.loop import TrainingPlan
from samples.theatre.looks import PLAIN_SCENERY


@pytest.fixture(scope="module")
def drawn_clips(tmp_path_factory):
    """The cache of the theatre's clips, so that each is drawn once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def job(tmp_path, monkeypatch, drawn_clips):
    monkeypatch.setenv("XDG_CACHE_HOME", str(drawn_clips))
    plan = TrainingPlan(steps=2, learning_rate=1e-4)
    return TrainingJob(
        data="theatre",
        out=tmp_path / "model",
        clips=2,
        validation_clips=1,
        scenery=PLAIN_SCENERY,
        plan=plan,
    )


TINY = OverseerConfig(channels=16, image_size=128)


def write_data_set(folder, frames, brightness=0):
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(frames):
        values = np.zeros((64, 96), np.uint8)
        values[10:40, 10 + number : 50 + number] = 255
        picture = np.repeat(np.maximum(values, brightness + number)[..., None], 3, -1)
        Image.fromarray(picture).save(folder / f"images/{number}.png")
        Image.fromarray(values).save(folder / f"masks/{number}.png")


LABELS = '{"name": "tools", "classes": [{"id": 1, "name": "Tool", "value": 255}]}'


@pytest.fixture
def data_job(job, tmp_path):
    write_data_set(tmp_path / "data", 3)
    (tmp_path / "labels.json").write_text(LABELS)
    return replace(job, data=str(tmp_path / "data"), labels=tmp_path / "labels.json")
