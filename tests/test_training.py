"""Training: it learns, it stops and goes on, and the commands write models that load."""

import re
import struct
from contextlib import suppress
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tensorboardX.proto import event_pb2
from torch import nn

from flows.training import adapt_tracker_job, train_overseer_job, train_tracker_job
from flows.training_job import TrainingJob
from overseer.mask_rcnn import (
    MaskRCNNOverseer,
    copy_weights,
    load_overseer,
    read_label_set,
)
from overseer.networks import OverseerConfig, build_network
from overseer.pseudo_labels import PseudoLabels
from overseer.train import FrameTrainer, train_overseer
from pipeline.annotation_set import AnnotationSet
from pipeline.annotation_set_writer import AnnotationSetWriter, new_manifest
from pipeline.errors import InputError, ModelError, UsageError
from pipeline.frames import open_video
from pipeline.labelled_clip import IGNORED, LabelledClip
from pipeline.labels import CHOLECSEG8K, INSTRUMENTS
from pipeline.training import TrainingPlan, learning_rate_at, train
from pipeline.training_curves import best_scores, last_scores, read_record
from samples.theatre.looks import PLAIN_SCENERY
from tests.conftest import annotated_frame, rectangle
from tracking.adapted_weights import find_tracker
from tracking.adapters import Adaptation
from tracking.train import mask_losses
from tracking.training_prompts import degrade_mask, make_prompts
from tracking.weights import load_network


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


def board_steps(folder):
    """Read TensorBoard's own file format: records of a length, its check, an event, its check."""
    steps = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        content = path.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            event = event_pb2.Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]
            for value in event.summary.value:
                steps.setdefault(value.tag, []).append(event.step)
    return steps


def test_tensorboard_shows_the_losses_of_each_step(tmp_path):
    fit_a_line(tmp_path, 30)
    assert board_steps(tmp_path / "tensorboard") == {"losses/square": list(range(30))}


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
    assert torch.allclose(box["point_coords"][0], torch.tensor([[10.0, 20], [30, 40]]), atol=4)
    assert make_prompts(random, target, "mask")["mask_inputs"].shape == (2, 1, 64, 64)


def test_a_right_mask_costs_less_than_a_wrong_one():
    target = torch.zeros(1, 16, 16)
    target[:, 4:12, 4:12] = 1
    sure = torch.tensor([[20.0]])
    right = mask_losses((target[:, None] - 0.5) * 20, torch.ones(1, 1), sure, target)
    wrong = mask_losses((0.5 - target[:, None]) * 20, torch.ones(1, 1), sure, target)
    for name in ("focal", "dice", "iou"):
        assert right[name] < 0.05 < wrong[name]


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


@pytest.fixture
def job(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    plan = TrainingPlan(steps=2, learning_rate=1e-4)
    return TrainingJob(
        data="theatre",
        out=tmp_path / "model",
        clips=2,
        validation_clips=1,
        scenery=PLAIN_SCENERY,
        plan=plan,
    )


def test_an_overseer_is_trained_on_the_theatre(job):
    config = OverseerConfig(channels=16, image_size=128)
    wide = replace(job, augmentation="wide")
    folder = train_overseer_job(wide, config=config, batch_size=1)
    assert load_overseer(folder, torch.device("cpu")).config == config
    card = (folder / "README.md").read_text()
    assert "scopeline train overseer" in card
    assert "--augmentation wide" in card
    assert re.search(r"MAP 0\.\d+, AP50 0\.\d+", card)
    assert_is_a_drawing(folder / "training.svg")


def test_a_tracker_is_trained_on_the_theatre(job):
    folder = train_tracker_job(job)
    assert load_network(folder).image_size == 256
    card = (folder / "README.md").read_text()
    assert "Apache-2.0" in card
    for measured in ("mask held still", "mask warped by optical flow", "training.svg"):
        assert re.search(rf"{measured}.*: J 0\.\d+", card)
    assert_is_a_drawing(folder / "training.svg")


def test_a_tracker_needs_the_theatre(job):
    with pytest.raises(UsageError, match="theatre"):
        train_tracker_job(replace(job, data="elsewhere"))


TINY = OverseerConfig(channels=16, image_size=128)


def write_data_set(folder, frames, brightness=0):
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for number in range(frames):
        values = np.zeros((64, 96), np.uint8)
        values[10:40, 10 + number : 50 + number] = 255
        picture = np.repeat(np.maximum(values, brightness + number)[..., None], 3, -1)
        Image.fromarray(picture).save(folder / f"images/{number}.png")
        Image.fromarray(values).save(folder / f"masks/{number}.png")


def test_an_overseer_is_trained_on_a_data_set(job, tmp_path, capfd):
    write_data_set(tmp_path / "data", 3)
    (tmp_path / "data/masks/2.png").write_bytes(b"damaged")
    (tmp_path / "labels.json").write_text(LABELS)
    job = replace(job, data=str(tmp_path / "data"), labels=tmp_path / "labels.json")
    folder = train_overseer_job(job, config=TINY, batch_size=1)
    assert [label.name for label in read_label_set(folder).classes] == ["Tool"]
    card = (folder / "README.md").read_text()
    assert "not measured on other frames" in card
    assert "--layout masks" in card
    assert_is_a_drawing(folder / "training.svg")
    report = (folder / "report.html").read_text()
    assert "on the frames that it learned from" in report
    assert "images/1.png: mean IoU" in report
    said = " ".join(capfd.readouterr().err.split())
    assert "2.png is not a readable mask PNG" in said
    assert "data: 2 frames" in said


LABELS = '{"name": "tools", "classes": [{"id": 1, "name": "Tool", "value": 255}]}'


@pytest.fixture
def data_job(job, tmp_path):
    write_data_set(tmp_path / "data", 3)
    (tmp_path / "labels.json").write_text(LABELS)
    return replace(job, data=str(tmp_path / "data"), labels=tmp_path / "labels.json")


def test_a_tracker_is_fine_tuned_on_a_data_set(data_job, tmp_path, scopeline):
    labels = tmp_path / "labels.json"
    arguments = ("--data", data_job.data, "--labels", labels, "--adapt", "lora", "--steps", 2)
    model = tmp_path / "model"
    code, _, err = scopeline("train", "tracker", *arguments, "--clips", 4, "--out", model)
    assert code == 0, err
    card = (model / "README.md").read_text()
    assert "fine-tuned from scopeline" in card
    assert re.search(r"lora, [\d,]+ parameters trained, [34]\.\d%", card)
    assert "--adapt lora --rank 4" in card
    code, _, err = scopeline(
        *("annotate", f"{data_job.data}/images", "--out", tmp_path, "--policy", "given"),
        *("--prompts", f"{data_job.data}/masks", "--labels", labels, "--tracker", model),
    )
    assert code == 0, err
    assert AnnotationSet(tmp_path / "images.annset").manifest.counts.masks == 3


def test_fine_tuning_is_measured_on_other_videos(data_job, tmp_path):
    write_data_set(tmp_path / "other", 3, brightness=50)
    job = replace(data_job, validation_data=tmp_path / "other", clips=2)
    adaptation = Adaptation(method="decoder", rank=0)
    folder = adapt_tracker_job(job, adaptation=adaptation, base="scopeline")
    assert re.search(r"J 0\.\d+", (folder / "README.md").read_text())


def test_an_overseer_learns_from_annotation_sets_too(data_job, tmp_path, capfd):
    plan = TrainingPlan(steps=80, learning_rate=2e-3)
    teacher = train_overseer_job(replace(data_job, plan=plan), config=TINY, batch_size=2)
    write_data_set(tmp_path / "unlabelled", 2)
    info = open_video(tmp_path / "unlabelled/images").info
    models = {"overseer": {"name": str(teacher), "sha256": "0" * 64}}
    manifest = new_manifest(info, read_label_set(teacher), models=models)
    with AnnotationSetWriter(tmp_path / "images.annset", manifest) as writer:
        for index in range(2):
            mask = rectangle(10 + index, 10, 50 + index, 40, size=(64, 96))
            frame = annotated_frame(index, t1_c1=mask)
            track = replace(frame.tracks[0], quality=0.95)
            writer.add(replace(frame, tracks=(track,)))
    job = replace(data_job, out=tmp_path / "again", pseudo_labels=(tmp_path / "images.annset",))
    folder = train_overseer_job(job, config=TINY, batch_size=2)
    assert "2 frames with pseudo-labels, trusted by 0." in " ".join(capfd.readouterr().err.split())
    assert "--pseudo-labels" in (folder / "README.md").read_text()
    with pytest.raises(UsageError, match="another pseudo_labels"):
        train_overseer_job(replace(job, pseudo_labels=()), config=TINY, batch_size=2)


def test_a_folder_with_another_training_is_refused(job, tmp_path):
    write_data_set(tmp_path / "data", 1)
    train_overseer_job(job, config=TINY, batch_size=1)
    with pytest.raises(UsageError, match="holds a training with another data; choose another"):
        train_overseer_job(replace(job, data=str(tmp_path / "data")), config=TINY, batch_size=1)
    with pytest.raises(UsageError, match="another batch_size"):
        train_overseer_job(job, config=TINY, batch_size=2)
    with pytest.raises(UsageError, match="another kind"):
        train_tracker_job(job)


def test_validation_data_gives_the_curve(job, tmp_path):
    write_data_set(tmp_path / "data", 2)
    write_data_set(tmp_path / "other", 2, brightness=50)
    job = replace(job, data=str(tmp_path / "data"), validation_data=tmp_path / "other")
    folder = train_overseer_job(job, config=TINY, batch_size=1)
    assert re.search(r"other, curve .*AP50 0\.\d+", (folder / "README.md").read_text())


def test_validation_data_of_the_same_videos_is_refused(job, tmp_path):
    write_data_set(tmp_path / "a/op1", 2)
    write_data_set(tmp_path / "b/op1", 2, brightness=50)
    write_data_set(tmp_path / "b/op2", 2)
    job = replace(job, data=str(tmp_path / "a/op1"))
    with pytest.raises(UsageError, match="both hold frames of op1; keep all frames of a video on"):
        train_overseer_job(replace(job, validation_data=tmp_path / "b"), config=TINY, batch_size=1)
    with pytest.raises(UsageError, match=r"op2/images/0.png .* same picture as .*op1/images/0.png"):
        train_overseer_job(
            replace(job, validation_data=tmp_path / "b/op2"), config=TINY, batch_size=1
        )


def test_a_data_set_is_divided_by_video(job, tmp_path, capfd):
    for number in range(3):
        write_data_set(tmp_path / f"data/op{number}", 2, brightness=50 * number)
    job = replace(job, data=str(tmp_path / "data"), validation_split=0.3)
    folder = train_overseer_job(job, config=TINY, batch_size=1)
    said = " ".join(capfd.readouterr().err.split())
    assert re.search(r"measured on 2 frames, those of op\d; 4 frames are learned from", said)
    card = (folder / "README.md").read_text()
    assert re.search(
        r"0.3 of the frames, of videos that it did not learn from, .*AP50 0\.\d+", card
    )
    assert "--validation-split 0.3" in card


def test_patience_without_measurements_is_wrong_use(job, tmp_path):
    write_data_set(tmp_path / "data", 2)
    job = replace(job, data=str(tmp_path / "data"), plan=replace(job.plan, patience=2))
    with pytest.raises(UsageError, match="--patience needs frames to measure on"):
        train_overseer_job(job, config=TINY, batch_size=1)


def test_a_split_that_cannot_be_is_wrong_use(job, tmp_path):
    write_data_set(tmp_path / "data", 2)
    alone = replace(job, data=str(tmp_path / "data"), validation_split=0.5)
    with pytest.raises(UsageError, match=r"one video only \(data\), which a split never divides"):
        train_overseer_job(alone, config=TINY, batch_size=1)
    both = replace(alone, validation_data=tmp_path)
    with pytest.raises(UsageError, match="one of --validation-data and --validation-split"):
        train_overseer_job(both, config=TINY, batch_size=1)
    with pytest.raises(UsageError, match="the theatre has --validation-clips"):
        train_overseer_job(replace(job, validation_split=0.5), config=TINY, batch_size=1)


def test_a_training_starts_from_a_trained_overseer(job, tmp_path):
    first = train_overseer_job(job, config=TINY, batch_size=1)
    write_data_set(tmp_path / "data", 1)
    still = TrainingPlan(steps=1, learning_rate=0.0)
    job = replace(
        job, data=str(tmp_path / "data"), out=tmp_path / "next", start_from=str(first), plan=still
    )
    second = train_overseer_job(job, config=TINY, batch_size=1)
    before = load_file(first / "weights.safetensors")
    after = load_file(second / "weights.safetensors")
    same = {name for name in after if after[name].equal(before[name])}
    assert {name for name in after if name.startswith(("backbone.", "rpn."))} <= same
    assert after["roi_heads.box_predictor.cls_score.weight"].shape[0] == 2


def test_another_backbone_cannot_be_started_from(tmp_path):
    overseer = MaskRCNNOverseer(build_network(TINY, 1), TINY, INSTRUMENTS, torch.device("cpu"))
    overseer.save(tmp_path / "lite", "card")
    other = build_network(replace(TINY, backbone="resnet18"), 1)
    with pytest.raises(ModelError, match="another backbone"):
        copy_weights(tmp_path / "lite", other)


def test_a_tracker_training_starts_from_the_tracker_that_ships(job):
    job = replace(job, start_from="scopeline", plan=TrainingPlan(steps=1, learning_rate=0.0))
    folder = train_tracker_job(job)
    shipped = load_network(find_tracker("scopeline")).state_dict()
    trained = load_network(folder).state_dict()
    assert all(trained[name].equal(value) for name, value in shipped.items())


def test_a_tracker_can_keep_a_share_of_the_weights_that_it_started_from(job):
    plan = TrainingPlan(steps=1, learning_rate=1e-3)
    weights = {}
    for share in (0.0, 0.25):
        out = job.out.with_name(f"kept-{share}")
        kept = replace(job, out=out, start_from="scopeline", plan=plan, kept_share=share)
        weights[share] = load_network(train_tracker_job(kept)).state_dict()
    before = load_network(find_tracker("scopeline")).state_dict()
    whole, partly = (
        torch.cat([(weights[share][name].float() - before[name]).flatten() for name in before])
        for share in (0.0, 0.25)
    )
    # Single weights are stored in half precision.
    assert float(whole @ partly / (whole @ whole)) == pytest.approx(0.75, abs=0.01)
    assert "--keep-start 0.25" in (job.out.with_name("kept-0.25") / "README.md").read_text()


def test_a_share_can_only_be_kept_of_something(job):
    with pytest.raises(UsageError, match="give both or neither"):
        train_tracker_job(replace(job, kept_share=0.5))


def test_a_step_learns_nothing_where_the_labels_leave_open_what_is_there():
    """Ignored surroundings give the classifier fewer boxes to learn the background from."""
    torch.manual_seed(0)
    network = build_network(TINY, 1).train()
    shown = []
    network.roi_heads.box_predictor.register_forward_hook(
        lambda _module, _inputs, output: shown.append(len(output[0]))
    )
    learned_from = []
    for around in (0, IGNORED):
        track_maps = np.full((1, 96, 128), around, np.uint8)
        track_maps[0, 40:56, 56:76] = 1
        images = np.full((1, 96, 128, 3), 90, np.uint8)
        clip = LabelledClip(images=images, track_maps=track_maps, class_of_track={1: 1})
        torch.manual_seed(0)
        trainer = FrameTrainer(network, [clip], INSTRUMENTS, batch_size=1, seed=5)
        shown.clear()
        for step in range(4):
            trainer.losses_of_step(step)
        learned_from.append(sum(shown))
    assert learned_from[1] < learned_from[0]
