"""The command line's part about training models: `scopeline train`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import DeviceOption
from flows.commands.training_options import (
    AdaptChoice,
    AugmentationChoice,
    Backbone,
    ClipsOption,
    DataOption,
    FamiliesOption,
    FamilyChoice,
    KeepStartOption,
    LabelsOption,
    LayoutOption,
    LearnChoice,
    LeftOutVideosOption,
    LookChoice,
    ModelOutOption,
    PhotographsOption,
    RateOption,
    SeedOption,
    SplitOption,
    StartFromOption,
    StepsOption,
    TrainingPrecisionChoice,
    TrainingPrecisionOption,
    TrunkChoice,
    ValidationDataOption,
    ValidationOption,
    ValidationVideosOption,
)
from flows.consoles import screen
from pipeline.errors import UsageError

train_app = typer.Typer(help="Train the models.", no_args_is_help=True)


@train_app.command(
    "overseer",
    epilog="Example: `scopeline train overseer --data my-frames --labels labels.json "
    "--start-from scopeline --steps 600 --out tool-overseer`",
)
def train_overseer(
    data: DataOption,
    out: ModelOutOption,
    layout: LayoutOption = "masks",
    labels: LabelsOption = None,
    validation_data: ValidationDataOption = None,
    validation_split: SplitOption = None,
    validation_videos: ValidationVideosOption = None,
    leave_out_videos: LeftOutVideosOption = None,
    backbone: Annotated[Backbone, typer.Option()] = Backbone.efficientnet_lite0,
    image_size: Annotated[
        int | None,
        typer.Option(
            min=64,
            max=4096,
            help="Longer side in pixels of what the network sees. Twice as much shows things half "
            "as large, and costs four times as much.  [default: that of --start-from, or 384; a "
            "ResNet's 320]",
        ),
    ] = None,
    clips: ClipsOption = 1200,
    validation_clips: ValidationOption = 8,
    looks: Annotated[
        list[LookChoice] | None,
        typer.Option(
            "--look", help="Kind of operation; each has its classes.  [default: laparoscopic]"
        ),
    ] = None,
    families: FamiliesOption = None,
    photographs: PhotographsOption = None,
    start_from: StartFromOption = None,
    keep_start: KeepStartOption = 0.0,
    steps: StepsOption = 6000,
    measure_every: Annotated[
        int, typer.Option(min=1, help="Steps between two measurements on other frames.")
    ] = 500,
    patience: Annotated[
        int,
        typer.Option(
            min=0,
            help="Stop when this many measurements in a row are no better, and keep the best "
            "weights; 0: all steps, and the last weights.",
        ),
    ] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Frames in each step.")] = 4,
    augmentation: Annotated[
        AugmentationChoice,
        typer.Option(
            help="How frames are varied. usual: place, light, smoke, blur; wide: more of it, and "
            "other colours and textures, for data of another kind than your videos; wider: any "
            "colours, for what is known by its shape alone."
        ),
    ] = AugmentationChoice.usual,
    learn: Annotated[
        LearnChoice,
        typer.Option(
            help="What learns. details: what tells look-alike things apart by small parts, alone; "
            "what finds boxes and draws masks stays that of --start-from."
        ),
    ] = LearnChoice.everything,
    pseudo_labels: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="SET",
            help="Annotation set, or folder of them, to learn from besides: its frames count by "
            "the tracker's quality and the agreement of its overseer. May be repeated.",
        ),
    ] = None,
    label_budget: Annotated[
        str | None,
        typer.Option(
            metavar="10,20,40",
            help="Train on so many frames each, annotate, and write the curve of what labels are "
            "worth.",
        ),
    ] = None,
    tracker: Annotated[
        str, typer.Option(help="What --label-budget annotates with: name or model folder.")
    ] = "scopeline",
    adapt: Annotated[
        AdaptChoice | None,
        typer.Option(help="Fine-tune that tracker on the same frames; see `train tracker`."),
    ] = None,
    learning_rate: RateOption = 3e-4,
    seed: SeedOption = 1,
    precision: TrainingPrecisionOption = TrainingPrecisionChoice.float32,
    device: DeviceOption = None,
) -> None:
    """Train a Mask R-CNN overseer; run again, an unfinished training goes on."""
    from flows.settings import AnnotateSettings
    from flows.training.job import TrainingJob
    from flows.training.label_budget import measure_label_budgets, parse_budgets, show_budgets
    from flows.training.train import train_overseer_job
    from overseer.networks import training_config
    from pipeline.training.loop import TrainingPlan
    from samples.theatre.looks import find_scenery
    from tracking.adapters import default_adaptation

    job = TrainingJob(
        data=data,
        out=out,
        clips=clips,
        validation_clips=validation_clips,
        scenery=find_scenery([_only_look(looks)], families or [FamilyChoice.plain], photographs),
        photographs=photographs,
        start_from=start_from,
        kept_share=keep_start,
        device=device or "auto",
        layout=layout,
        labels=labels,
        validation_data=validation_data,
        validation_split=validation_split,
        validation_videos=validation_videos,
        left_out_videos=leave_out_videos,
        pseudo_labels=tuple(pseudo_labels or ()),
        augmentation=augmentation.value,
        learning=learn.value,
        plan=TrainingPlan(
            steps=steps,
            learning_rate=learning_rate,
            seed=seed,
            precision=precision.value,
            validate_every=measure_every,
            patience=patience,
        ),
    )
    config = training_config(backbone.value, start_from, learn.value, image_size)
    if label_budget is not None:
        points = measure_label_budgets(
            job,
            parse_budgets(label_budget),
            config=config,
            batch_size=batch_size,
            settings=AnnotateSettings(tracker=tracker, device=device or "auto"),
            adaptation=None if adapt is None else default_adaptation(adapt.value),
        )
        screen.print(show_budgets(points))
        return
    if adapt is not None:
        raise UsageError(
            "--adapt goes with --label-budget; `scopeline train tracker --adapt` fine-tunes a "
            "tracker by itself"
        )
    screen.print(str(train_overseer_job(job, config=config, batch_size=batch_size)))


@train_app.command(
    "tracker",
    epilog="Examples: `scopeline train tracker --data theatre --out my-tracker`; "
    "`scopeline train tracker --data my-frames --labels labels.json --adapt lora --steps 300 "
    "--out tool-tracker`",
)
def train_tracker(
    data: DataOption,
    out: ModelOutOption,
    adapt: Annotated[
        AdaptChoice | None,
        typer.Option(
            help="Fine-tune --start-from on the data, and write only what was trained. decoder: "
            "mask decoder and memory; lora, adapter: small parts in encoder, memory and decoder; "
            "full: every weight; first-mask: what answers boxes and points, beside the rest. "
            "Without it, the small tracker is trained on the theatre."
        ),
    ] = None,
    rank: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Rank of lora's changes, or channels of an adapter.  [default: 4 and 24]",
        ),
    ] = None,
    layout: LayoutOption = "masks",
    labels: LabelsOption = None,
    validation_data: ValidationDataOption = None,
    validation_split: SplitOption = None,
    validation_videos: ValidationVideosOption = None,
    leave_out_videos: LeftOutVideosOption = None,
    clips: ClipsOption = 600,
    validation_clips: ValidationOption = 8,
    looks: Annotated[
        list[LookChoice] | None,
        typer.Option("--look", help="Kind of operation; may be repeated.  [default: laparoscopic]"),
    ] = None,
    families: FamiliesOption = None,
    photographs: PhotographsOption = None,
    start_from: StartFromOption = None,
    trunk: Annotated[
        TrunkChoice,
        typer.Option(
            help="frozen: learn to track through clips. varied: the same from masks alone, in "
            "other light each time, for weights that track already. learning: learn boxes and "
            "points on single frames, the image trunk with them; then go on from it, frozen."
        ),
    ] = TrunkChoice.frozen,
    keep_start: KeepStartOption = 0.0,
    steps: StepsOption = 5000,
    learning_rate: RateOption = 4e-4,
    seed: SeedOption = 1,
    precision: TrainingPrecisionOption = TrainingPrecisionChoice.float32,
    device: DeviceOption = None,
) -> None:
    """Train the small SAM-2 tracker, or fine-tune one; run again, an unfinished one goes on."""
    from flows.training.job import TrainingJob
    from flows.training.train import adapt_tracker_job, train_tracker_job
    from pipeline.training.loop import TrainingPlan
    from samples.theatre.looks import find_scenery
    from tracking.adapters import default_adaptation

    job = TrainingJob(
        data=data,
        out=out,
        clips=clips,
        validation_clips=validation_clips,
        scenery=find_scenery(
            looks or [LookChoice.laparoscopic], families or [FamilyChoice.plain], photographs
        ),
        photographs=photographs,
        start_from=start_from,
        kept_share=keep_start,
        device=device or "auto",
        layout=layout,
        labels=labels,
        validation_data=validation_data,
        validation_split=validation_split,
        validation_videos=validation_videos,
        left_out_videos=leave_out_videos,
        plan=TrainingPlan(
            steps=steps, learning_rate=learning_rate, seed=seed, precision=precision.value
        ),
    )
    if adapt is None:
        if rank is not None:
            raise UsageError("--rank goes with --adapt lora or adapter")
        screen.print(str(train_tracker_job(job, trunk=trunk.value)))
        return
    if keep_start:
        raise UsageError("--keep-start goes with a whole training, not with --adapt")
    if trunk is not TrunkChoice.frozen:
        raise UsageError("--trunk goes with a whole training, not with --adapt")
    adaptation = default_adaptation(adapt.value)
    if rank is not None and not adaptation.rank:
        raise UsageError(f"--adapt {adapt.value} adds nothing that has a rank; leave out --rank")
    if rank is not None:
        adaptation = replace(adaptation, rank=rank)
    base = start_from or "scopeline"
    screen.print(str(adapt_tracker_job(job, adaptation=adaptation, base=base)))


def _only_look(looks: list[LookChoice] | None) -> LookChoice:
    """Return the one look that an overseer learns.

    Raises:
        UsageError: there are several, whose classes differ.
    """
    chosen = looks or [LookChoice.laparoscopic]
    if len(chosen) > 1:
        raise UsageError("an overseer learns the classes of one --look; give one")
    return chosen[0]
