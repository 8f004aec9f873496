"""The command line's part about measuring: `scopeline evaluate` and `scopeline compare`."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from rich.table import Table

from flows.commands.options import JsonOption
from flows.complaints import complain_of_classes
from flows.consoles import output, screen
from flows.frame_progress import counted, frame_progress, titled_frame_bars

TruthOption = Annotated[
    Path, typer.Option(metavar="SET_OR_DIR", help="Annotation set or folder of mask PNGs.")
]
TruthLabelsOption = Annotated[
    Path | None,
    typer.Option(
        help="JSON file: what the values of the truth's PNGs mean.  [default: as the set's classes]"
    ),
]
_SCORES = ("j", "f", "j_and_f", "miou", "dice", "presence")
_COLUMNS = {
    "J": "j",
    "F": "f",
    "J&F": "j_and_f",
    "mIoU": "miou",
    "Dice": "dice",
    "t-IoU": "temporal_iou",
    "warped t-IoU": "warped_temporal_iou",
    "flicker": "flicker",
    "HOTA": "hota",
    "IDF1": "idf1",
    "id switches": "id_switches",
    "looks": "overseer_calls",
    "prompts": "prompts",
    "seconds": "seconds",
}


def evaluate(
    annotation_set: Annotated[Path, typer.Argument(metavar="SET", help="What is judged.")],
    truth: TruthOption,
    labels: TruthLabelsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare a set with the truth: region J, boundary F, IoU and Dice for each class."""
    from pipeline.annotation_set import AnnotationSet
    from pipeline.class_regions import comparable_frames, true_frames
    from pipeline.corrections.corrected_set import refuse_corrections
    from pipeline.labels import load_label_set
    from pipeline.mask_folder import masks_of_video, open_masks
    from pipeline.metrics import evaluate as compare_with
    from pipeline.truth import look_over

    judged = AnnotationSet(annotation_set)
    refuse_corrections(judged)
    masks = open_masks(truth, load_label_set(labels) if labels else judged.label_set)
    video = judged.manifest.video
    right = masks_of_video(masks, video.frame_count, Path(video.path))
    seen = look_over(right.frames(), truth, (video.height, video.width), annotation_set)
    complain_of_classes(seen.classes_without_match(right.label_set, judged.label_set), truth)
    true, classes = true_frames(right.frames(), right.label_set, judged.label_set)
    with frame_progress(annotation_set.name) as advance:
        total = judged.manifest.counts.frames
        frames = counted(judged.frames(), lambda done: advance(done, total))
        result = compare_with(comparable_frames(frames, right), true, classes).to_json()
    if as_json:
        typer.echo(json.dumps(result, indent=2))
        return
    output.print(f"frames: {result['frames']}, objects: {result['objects']}")
    table = Table("class", "IoU", "Dice", "frames")
    for name, score in result["per_class"].items():
        table.add_row(name, f"{score['iou']:.3f}", f"{score['dice']:.3f}", str(score["frames"]))
    output.print(table)
    output.print("  ".join(f"{key} {result[key]:.3f}" for key in _SCORES))


def compare(
    video: Annotated[Path, typer.Argument(metavar="VIDEO", help="Video file or folder of frames.")],
    truth: TruthOption,
    labels: TruthLabelsOption = None,
    policies: Annotated[
        str, typer.Option(help="Policies, with commas between them.")
    ] = "constellation,sasvi,first-frame,framewise",
    overseer: Annotated[str, typer.Option(help="Name or model folder.")] = "scopeline",
    weights: Annotated[
        Path | None, typer.Option(help="Checkpoint of a published overseer, such as sasvi/cadis.")
    ] = None,
    tracker: Annotated[
        str, typer.Option(help="Name, model folder or official checkpoint.")
    ] = "scopeline",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")] = "auto",
    max_frames: Annotated[int | None, typer.Option(min=1, help="Stop after N frames.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder that keeps the set of each policy.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Annotate a video by several policies with the same models, and compare with the truth."""
    from flows.compare import Comparison
    from flows.compare import compare as run
    from flows.settings import fixed_settings
    from overseer.model_folders import overseer_labels
    from pipeline.labels import load_label_set
    from pipeline.mask_folder import open_masks

    settings = fixed_settings(
        # Whatever the environment says is for annotating: here each policy has its turn.
        policy="constellation",
        prompts=None,
        overseer=overseer,
        overseer_weights=weights,
        tracker=tracker,
        device=device,
        max_frames=max_frames,
    )
    meaning = load_label_set(labels) if labels else overseer_labels(overseer)
    with TemporaryDirectory(prefix="scopeline-") as scratch:
        comparison = Comparison(
            video=video,
            truth=open_masks(truth, meaning),
            policies=tuple(name.strip() for name in policies.split(",")),
            settings=settings,
            out=out or Path(scratch),
        )
        with titled_frame_bars() as advance:
            compared = run(comparison, advance)
    if as_json:
        typer.echo(json.dumps(compared.to_json(), indent=2))
    else:
        output.print(_table(compared.policies, compared.truth))
    if out is not None:
        screen.print(str(out), soft_wrap=True)


def _table(policies: dict[str, dict[str, Any]], truth: dict[str, float]) -> Table:
    """Policies and truth side by side: a row each figure, so that it fits a terminal."""
    columns = policies | ({"truth": truth} if truth else {})
    table = Table()
    table.add_column("")
    for name in columns:
        table.add_column(name, justify="right", overflow="fold")
    for title, key in _COLUMNS.items():
        table.add_row(title, *(_text(figures.get(key)) for figures in columns.values()))
    return table


def _text(value: float | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.3f}"
