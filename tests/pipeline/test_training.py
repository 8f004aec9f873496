"""Training: it learns, it stops and goes on, and the commands write models that load."""

from contextlib import suppress
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from torch import nn

from overseer.config import OverseerConfig
from overseer.networks import build_network
from overseer.pseudo_labels import PseudoLabels
from overseer.train import FrameTrainer, train_overseer
from pipeline.errors import InputError
from pipeline.labelled_clip import LabelledClip
from pipeline.labels import CHOLECSEG8K, INSTRUMENTS
from pipeline.training import loop as training
from pipeline.training.curves import best_scores, last_scores, read_record
from pipeline.training.loop import TrainingPlan, learning_rate_at, train
from tracking.training.prompts import degrade_mask, make_prompts


def fit_a_line(folder, steps, stop_after=None):
    torch.manual_seed(0)
    model = nn.Linear(1, 1)
    seen = []

    def losses(step):
        if step == stop_after:
            raise KeyboardInterrupt
        seen.append(step)
        x = torch.from_numpy(np.random.default_rng(step).normal(size=(16, 1))).float()
        return {"square": ((model(x) - (3 * x + 1)) ** 2).mean()}

    plan = TrainingPlan(steps=steps, learning_rate=0.1, checkpoint_every=10)
    with suppress(KeyboardInterrupt):
        train(model=model, plan=plan, losses_of_step=losses, folder=folder, on_step=lambda *_: None)
    return model, seen


def test_a_training_leaves_the_processor_as_it_found_it(tmp_path):
    """Numbers below the normal range are zero while it runs alone; others count on them."""
    small = torch.tensor(1e-40)
    seen = []
    model = nn.Linear(1, 1)

    def losses_of_step(step):
        seen.append(float(small * 1))
        if step == 1:
            raise FloatingPointError("stopped")
        return {"loss": model(torch.ones(1, 1)).sum()}

    plan = TrainingPlan(steps=2, learning_rate=1e-3)
    with pytest.raises(FloatingPointError):
        train(
            model=model,
            plan=plan,
            losses_of_step=losses_of_step,
            folder=tmp_path,
            on_step=lambda *_: None,
        )
    assert seen == [0, 0]
    assert float(small * 1) > 0


def test_training_learns(tmp_path):
    model, _ = fit_a_line(tmp_path, 150)
    assert model.weight.item() == pytest.approx(3, abs=0.1)
    assert len((tmp_path / "losses.csv").read_text().splitlines()) == 151


def test_a_stopped_run_goes_on_and_ends_the_same(tmp_path):
    whole, _ = fit_a_line(tmp_path / "whole", 60)
    fit_a_line(tmp_path / "parts", 60, stop_after=35)
    resumed, seen = fit_a_line(tmp_path / "parts", 60)
    assert seen[0] == 30
    assert resumed.weight.item() == pytest.approx(whole.weight.item(), abs=1e-6)


def test_half_written_files_of_killed_processes_do_not_pile_up(tmp_path):
    (tmp_path / "features").mkdir()
    drafts = (
        ".checkpoint.pt-17.tmp",
        ".best.pt-18.tmp",
        ".losses.csv-18.tmp",
        ".seconds.txt-17.tmp",
    )
    for name in (*drafts, "features/.known.npy-17.tmp"):
        (tmp_path / name).write_bytes(b"half")
    fit_a_line(tmp_path, 3)
    assert not list(tmp_path.rglob(".*"))


def test_slow_steps_are_saved_before_so_many_are_done(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "_CHECKPOINT_EVERY_S", 0.0)
    fit_a_line(tmp_path, 60, stop_after=35)
    _, seen = fit_a_line(tmp_path, 60)
    assert seen[0] == 35


def test_in_bfloat16_the_network_computes_coarsely_but_its_weights_stay_fine(tmp_path):
    model = nn.Linear(4, 1)
    computed_in = []

    def losses(step):
        answer = model(torch.ones(2, 4))
        computed_in.append(answer.dtype)
        return {"square": (answer - 1).square().mean()}

    plan = TrainingPlan(steps=2, learning_rate=0.1, precision="bfloat16")
    train(model=model, plan=plan, losses_of_step=losses, folder=tmp_path, on_step=lambda *_: None)
    assert computed_in == [torch.bfloat16] * 2
    assert model.weight.dtype == torch.float32


def test_validation_happens_now_and_then_and_at_the_end(tmp_path):
    model = nn.Linear(1, 1)
    scores = iter([0.25, 0.5, 0.75])
    train(
        model=model,
        plan=TrainingPlan(steps=5, learning_rate=0.1, validate_every=2),
        losses_of_step=lambda _: {"loss": model.weight.square().sum()},
        folder=tmp_path,
        on_step=lambda *_: None,
        validate=lambda: {"j": next(scores)},
    )
    record = read_record(tmp_path / "validation.csv")
    assert record["step"].tolist() == [1, 3, 4]
    assert record["j"].tolist() == [0.25, 0.5, 0.75]
    assert last_scores(tmp_path) == {"j": 0.75}


def climb(folder, scores, steps=20, patience=2):
    """Train one number upwards, one step a validation; returns it and the steps that were done."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    heard = iter(scores)
    done = []
    train(
        model=model,
        plan=TrainingPlan(steps=steps, learning_rate=1.0, validate_every=1, patience=patience),
        losses_of_step=lambda _: {"loss": -model.weight.sum()},
        folder=folder,
        on_step=lambda step, _: done.append(step),
        validate=lambda: {"map": next(heard), "ap50": model.weight.item()},
    )
    return model.weight.item(), done


def test_a_training_that_gets_no_better_ends_with_its_best_weights(tmp_path):
    weight, done = climb(tmp_path, [0.1, 0.5, 0.4, 0.6, 0.6, 0.3, 0.9])
    assert done == [0, 1, 2, 3, 4, 5]
    weights = read_record(tmp_path / "validation.csv")["ap50"]
    assert weight == pytest.approx(weights[3], abs=1e-4)
    assert weights[5] > weights[3] + 0.01
    assert best_scores(tmp_path)["map"] == 0.6
    again, more = climb(tmp_path, [])
    assert (again, more) == (weight, [])


def test_without_patience_all_steps_are_done(tmp_path):
    weight, done = climb(tmp_path, [0.5, 0.4, 0.3, 0.2], steps=4, patience=0)
    assert done == [0, 1, 2, 3]
    assert weight == pytest.approx(read_record(tmp_path / "validation.csv")["ap50"][-1], abs=1e-4)


def test_of_a_repeated_step_the_later_counts(tmp_path):
    (tmp_path / "losses.csv").write_text("step,loss\n0,3\n1,2\n1,1.5\n2,1\n")
    assert read_record(tmp_path / "losses.csv")["loss"].tolist() == [3, 1.5, 1]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_stays_no_number_stops_the_run(bad, tmp_path):
    model = nn.Linear(1, 1)
    with pytest.raises(FloatingPointError, match="step 3 and the 3 before it"):
        train(
            model=model,
            plan=TrainingPlan(steps=9, learning_rate=0.1),
            losses_of_step=lambda _: {"bad": model.weight.sum() * bad},
            folder=tmp_path,
            on_step=lambda *_: None,
        )


def test_nothing_is_learned_from_a_single_loss_or_gradient_that_is_no_number(tmp_path):
    model = nn.Linear(1, 1)
    weights = []

    def losses_of_step(step):
        weights.append(model.weight.item())
        if step == 1:
            return {"bad": model.weight.sum() * float("nan")}
        if step == 3:
            # Finite itself, its gradient is not.
            return {"bad": (model.weight.sum() * 0).sqrt()}
        return {"good": model(torch.ones(1, 1)).square().sum()}

    train(
        model=model,
        plan=TrainingPlan(steps=5, learning_rate=0.1),
        losses_of_step=losses_of_step,
        folder=tmp_path,
        on_step=lambda *_: None,
    )
    assert weights[1] == weights[2] and weights[3] == weights[4]
    assert weights[0] != weights[1] and weights[2] != weights[3]


def test_the_learning_rate_warms_up_and_fades():
    plan = TrainingPlan(steps=100, learning_rate=1.0)
    rates = [learning_rate_at(step, plan) for step in range(100)]
    assert rates[0] < 0.3
    assert max(rates) == pytest.approx(1.0, abs=1e-6)
    assert rates[-1] < 0.02


def test_degraded_masks_stay_near_the_mask():
    mask = np.zeros((256, 256), np.float32)
    mask[60:160, 40:200] = 1
    for seed in range(20):
        rough = degrade_mask(np.random.default_rng(seed), mask)
        both, either = np.minimum(rough, mask).sum(), np.maximum(rough, mask).sum()
        assert both / either > 0.7
        assert set(np.unique(rough)) <= {0.0, 1.0}


def test_prompts_lie_on_the_object():
    random = np.random.default_rng(0)
    target = torch.zeros(2, 64, 64)
    target[:, 20:40, 10:30] = 1
    points = make_prompts(random, target, "points")["point_inputs"]["point_coords"]
    assert bool(((points >= torch.tensor([10, 20])) & (points < torch.tensor([30, 40]))).all())
    box = make_prompts(random, target, "box")["point_inputs"]
    assert box["point_labels"].tolist() == [[2, 3], [2, 3]]
    true = torch.tensor([[10.0, 20], [30, 40]])
    assert torch.allclose(box["point_coords"][0], true, atol=4)
    drawn = [make_prompts(random, target, "box")["point_inputs"] for _ in range(20)]
    exact = [torch.equal(each["point_coords"][0], true) for each in drawn]
    assert 0 < sum(exact) < 20
    assert make_prompts(random, target, "mask")["mask_inputs"].shape == (2, 1, 64, 64)


def test_training_without_a_known_class_is_refused(tmp_path):
    clip = LabelledClip(
        images=np.zeros((1, 64, 64, 3), np.uint8),
        track_maps=np.ones((1, 64, 64), np.uint8),
        class_of_track={1: 77},
    )
    with pytest.raises(InputError, match="no object of label set"):
        train_overseer(
            clips=[clip],
            validation_clips=[clip],
            label_set=CHOLECSEG8K,
            config=OverseerConfig(channels=16),
            plan=TrainingPlan(steps=1, learning_rate=1e-4),
            batch_size=1,
            folder=tmp_path,
            on_step=lambda *_: None,
        )


def clip_of(track_map, **classes):
    images = np.full((1, *track_map.shape, 3), 90, np.uint8)
    tracks = {int(name[1:]): class_id for name, class_id in classes.items()}
    return LabelledClip(images=images, track_maps=track_map[None], class_of_track=tracks)


def test_frames_without_objects_are_learned_from():
    object_map = np.zeros((64, 96), np.uint8)
    object_map[10:40, 10:60] = 1
    clips = [clip_of(object_map, t1=1), *(clip_of(np.zeros((64, 96), np.uint8)) for _ in range(3))]
    network = build_network(OverseerConfig(channels=16, image_size=128), 1).train()
    trainer = FrameTrainer(network, clips, INSTRUMENTS, 4, 0)
    counts = [
        len(target["boxes"]) for step in range(5) for target in trainer.batch_of_step(step)[1]
    ]
    assert {0, 1} == set(counts)
    assert all(torch.isfinite(value) for value in trainer.losses_of_step(0).values())


def test_objects_that_are_too_small_to_learn_are_said_instead_of_drawn_for_ever():
    speck = np.zeros((270, 480), np.uint8)
    speck[100:104, 100:104] = 1
    trainer = FrameTrainer(None, [clip_of(speck, t1=1)], INSTRUMENTS, 2, 0)
    with pytest.raises(InputError, match="label larger objects"):
        trainer.batch_of_step(0)


def test_what_is_too_small_to_learn_beside_another_object_is_not_learned_as_background():
    object_map = np.zeros((180, 320), np.uint8)
    object_map[100:, :] = 1
    object_map[20:24, 20:24] = 2
    trainer = FrameTrainer(None, [clip_of(object_map, t1=1, t2=1)], INSTRUMENTS, 1, 0)
    _, target = trainer._example(torch.zeros(3, 180, 320), object_map, {1: 1, 2: 1})
    assert target["masks"].sum((1, 2)).tolist() == [80 * 320]
    assert torch.equal(target["ignored"], torch.from_numpy(object_map == 2))


def test_a_step_learns_the_same_whatever_was_drawn_before():
    object_map = np.zeros((64, 96), np.uint8)
    object_map[10:40, 10:60] = 1
    network = build_network(OverseerConfig(channels=16, image_size=128), 1).train()
    trainer = FrameTrainer(network, [clip_of(object_map, t1=1)], INSTRUMENTS, 2, 0)
    first = trainer.losses_of_step(3)
    torch.rand(5)
    again = trainer.losses_of_step(3)
    assert {name: float(value.detach()) for name, value in first.items()} == {
        name: float(value.detach()) for name, value in again.items()
    }


def test_every_second_frame_is_one_without_labels_drawn_by_its_weight():
    marked = [
        LabelledClip(
            images=np.full((1, 64, 96, 3), 90, np.uint8),
            track_maps=np.full((1, 64, 96), 1, np.uint8),
            class_of_track={1: class_id},
        )
        for class_id in (1, 2, 3)
    ]
    pseudo = PseudoLabels(clips=marked[1:], weights=np.array([0.0, 0.6]), left_out=())
    trainer = FrameTrainer(None, marked[:1], CHOLECSEG8K, 4, 0, pseudo)
    random = np.random.default_rng(0)
    drawn = [trainer._drawn(random, place)[2] for place in range(6)]
    assert drawn == [{1: 1}, {1: 3}] * 3


def assert_is_a_drawing(path):
    assert ElementTree.parse(path).getroot().tag.endswith("svg")


def test_a_damaged_checkpoint_is_named(tmp_path):
    for content in (b"", b"PK\x03\x04 cut off", b"no zip at all"):
        (tmp_path / "checkpoint.pt").write_bytes(content)
        with pytest.raises(InputError, match=r"checkpoint\.pt is damaged .*; remove"):
            fit_a_line(tmp_path, 5)
