"""The command line's part about training models: `scopeline train`."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.options import takes_groups
from flows.commands.training_options import (
    LEARNING,
    MEASURED,
    STARTED,
    AdaptChoice,
    AugmentationChoice,
    Backbone,
    ClipsOption,
    FamilyChoice,
    LearnChoice,
    LookChoice,
    OneLookOption,
    RateOption,
    StepsOption,
    TrackerClipsOption,
    TrainingOptions,
    TrunkChoice,
)
from flows.consoles import screen
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from flows.training.job import TrainingJob

train_app = typer.Typer(
    help="Train the models.",
    epilog="Example: `scopeline train overseer --data my-frames --labels labels.json "
    "--out my-overseer`",
    no_args_is_help=True,
)


_BUDGET = "How few labels are enough"


@dataclass(frozen=True, slots=True, kw_only=True)
class _OverseerOptions(TrainingOptions):
    clips: ClipsOption = 1200
    looks: OneLookOption = None
    steps: StepsOption = 6000
    learning_rate: RateOption = 3e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class _TrackerOptions(TrainingOptions):
    clips: TrackerClipsOption = 600
    steps: StepsOption = 5000
    learning_rate: RateOption = 4e-4


@train_app.command(
    "overseer",
    epilog="Example: `scopeline train overseer --data my-frames --labels labels.json "
    "--start-from scopeline --steps 600 --out tool-overseer`",
)
@takes_groups
def train_overseer(
    given: _OverseerOptions,
    backbone: Annotated[
        Backbone,
        typer.Option(metavar="NAME", help=f"{', '.join(Backbone)}.", rich_help_panel=STARTED),
    ] = Backbone.efficientnet_lite0,
    image_size: Annotated[
        int | None,
        typer.Option(
            min=64,
            max=4096,
            help="Longer side in pixels of what the network sees. Twice as much shows things half "
            "as large, and costs four times as much.  [default: that of --start-from, or 384; a "
            "ResNet's 320]",
            rich_help_panel=STARTED,
        ),
    ] = None,
    measure_every: Annotated[
        int,
        typer.Option(
            min=1, help="Steps between two measurements on other frames.", rich_help_panel=MEASURED
        ),
    ] = 500,
    patience: Annotated[
        int,
        typer.Option(
            min=0,
            help="Stop when this many measurements in a row are no better, and keep the best "
            "weights; 0: all steps, and the last weights.",
            rich_help_panel=MEASURED,
        ),
    ] = 0,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Frames in each step.", rich_help_panel=LEARNING)
    ] = 4,
    augmentation: Annotated[
        AugmentationChoice,
        typer.Option(
            help="How frames are varied. usual: place, light, smoke, blur; wide: more of it, and "
            "other colours and textures, for data of another kind than your videos; wider: any "
            "colours, for what is known by its shape alone.",
            rich_help_panel=LEARNING,
        ),
    ] = AugmentationChoice.usual,
    learn: Annotated[
        LearnChoice,
        typer.Option(
            help="What learns. details: what tells look-alike things apart by small parts, alone; "
            "what finds boxes and draws masks stays that of --start-from.",
            rich_help_panel=LEARNING,
        ),
    ] = LearnChoice.everything,
    pseudo_labels: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="SET",
            help="Annotation set, or folder of them, to learn from besides: its frames count by "
            "the tracker's quality and the agreement of its overseer. May be repeated.",
            rich_help_panel=LEARNING,
        ),
    ] = None,
    label_budget: Annotated[
        str | None,
        typer.Option(
            metavar="10,20,40",
            help="Train on so many frames each, annotate, and write the curve of what labels are "
            "worth.",
            rich_help_panel=_BUDGET,
        ),
    ] = None,
    tracker: Annotated[
        str,
        typer.Option(
            help="What --label-budget annotates with: name or model folder.",
            rich_help_panel=_BUDGET,
        ),
    ] = "scopeline",
    adapt: Annotated[
        AdaptChoice | None,
        typer.Option(
            metavar="NAME",
            help="Fine-tune that tracker on the same frames, for 300 steps whatever --steps says: "
            f"{', '.join(AdaptChoice)}, see `train tracker`.",
            rich_help_panel=_BUDGET,
        ),
    ] = None,
) -> None:
    """Train a Mask R-CNN overseer; run again, an unfinished training goes on."""
    from flows.settings import AnnotateSettings
    from flows.training.label_budget import measure_label_budgets, parse_budgets, show_budgets
    from flows.training.train import train_overseer_job
    from overseer.networks import training_config
    from tracking.adapters import default_adaptation

    if given.looks is not None and len(given.looks) > 1:
        raise UsageError("an overseer learns the classes of one --look; give one")
    job = _training_job(given)
    job = replace(
        job,
        pseudo_labels=tuple(pseudo_labels or ()),
        augmentation=augmentation.value,
        learning=learn.value,
        plan=replace(job.plan, validate_every=measure_every, patience=patience),
    )
    config = training_config(backbone.value, given.start_from, learn.value, image_size)
    if label_budget is not None:
        points = measure_label_budgets(
            job,
            parse_budgets(label_budget),
            config=config,
            batch_size=batch_size,
            settings=AnnotateSettings(tracker=tracker, device=job.device),
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
@takes_groups
def train_tracker(
    given: _TrackerOptions,
    adapt: Annotated[
        AdaptChoice | None,
        typer.Option(
            metavar="NAME",
            help="Fine-tune --start-from on the data, and write only what was trained. decoder: "
            "mask decoder and memory; lora, adapter: small parts in encoder, memory and decoder; "
            "full: every weight; first-mask: what answers boxes and points, beside the rest.  "
            "[default: lora; on the theatre, the small tracker is trained as a whole]",
            rich_help_panel=STARTED,
        ),
    ] = None,
    rank: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Rank of lora's changes, or channels of an adapter.  [default: 4 and 24]",
            rich_help_panel=STARTED,
        ),
    ] = None,
    trunk: Annotated[
        TrunkChoice,
        typer.Option(
            help="frozen: learn to track through clips. varied: the same from masks alone, in "
            "other light each time, for weights that track already. learning: learn boxes and "
            "points on single frames, the image trunk with them; then go on from it, frozen.",
            rich_help_panel=LEARNING,
        ),
    ] = TrunkChoice.frozen,
) -> None:
    """Train the small SAM-2 tracker, or fine-tune one; run again, an unfinished one goes on."""
    from flows.training.job import THEATRE
    from flows.training.train import adapt_tracker_job, train_tracker_job
    from tracking.adapters import default_adaptation

    job = _training_job(given)
    if adapt is None and job.data != THEATRE:
        # Labelled frames are too few to train all of it.
        adapt = AdaptChoice.lora
    if adapt is None:
        if rank is not None:
            raise UsageError("--rank goes with --adapt lora or adapter")
        screen.print(str(train_tracker_job(job, trunk=trunk.value)))
        return
    if given.kept_share:
        raise UsageError("--keep-start goes with a whole training, on the theatre without --adapt")
    if trunk is not TrunkChoice.frozen:
        raise UsageError("--trunk goes with a whole training, on the theatre without --adapt")
    adaptation = default_adaptation(adapt.value)
    if rank is not None and not adaptation.rank:
        raise UsageError(f"--adapt {adapt.value} adds nothing that has a rank; leave out --rank")
    if rank is not None:
        adaptation = replace(adaptation, rank=rank)
    base = given.start_from or "scopeline"
    screen.print(str(adapt_tracker_job(job, adaptation=adaptation, base=base)))


def _training_job(given: TrainingOptions) -> "TrainingJob":
    """Return what both trainings take from their options."""
    from flows.training.job import TrainingJob
    from pipeline.training.loop import TrainingPlan
    from samples.theatre.looks import find_scenery

    return TrainingJob(
        data=given.data,
        out=given.out,
        clips=given.clips,
        validation_clips=given.validation_clips,
        scenery=find_scenery(
            given.looks or [LookChoice.laparoscopic],
            given.families or [FamilyChoice.plain],
            given.photographs,
        ),
        photographs=given.photographs,
        start_from=given.start_from,
        kept_share=given.kept_share,
        device=given.device or "auto",
        layout=given.layout,
        labels=given.labels,
        validation_data=given.validation_data,
        validation_split=given.validation_split,
        validation_videos=given.validation_videos,
        left_out_videos=given.left_out_videos,
        plan=TrainingPlan(
            steps=given.steps,
            learning_rate=given.learning_rate,
            seed=given.seed,
            precision=given.precision.value,
        ),
    )
