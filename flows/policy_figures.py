"""Compare the policies on held-out scenes: `make policy-figures` writes what the README says.

Scenes of 300 frames with entries, exits, returns, cuts and stretches outside the body (seeds
9201 to 9212); each policy with the same models, and the constellation without each of its rules
when asked.
"""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.compare import LEFT_OUT, Comparison, compare
from flows.figures import Figures, means, rendered, start_worker
from flows.settings import AnnotateSettings
from pipeline.annotation_set import AnnotationSet
from samples.theatre.looks import Scenery

SEEDS, FRAMES = range(9201, 9213), 300
POLICIES = ("constellation", "constellation-every-5", "sasvi", "framewise", "first-frame")
ABLATION = ("constellation", *(f"constellation-without-{rule}" for rule in LEFT_OUT))
_SHOWN = (
    "j_and_f", "miou", "warped_temporal_iou", "flicker", "hota", "idf1", "id_switches",
    "entered_on_time", "overseer_calls", "prompts", "seconds",
)  # fmt: skip


def compare_on_scene(seed: int, *, out: Path, policies: tuple[str, ...], frames: int) -> Figures:
    """Draw a held-out scene, unless it is there, and compare policies on it.

    Returns:
        The figures of each policy, and how steady the truth is.
    """
    scenery = Scenery(families=("heldout",))
    folder = rendered(out / f"scene-{seed}", seed, frames, scenery)
    comparison = Comparison(
        video=folder / "video.mp4",
        truth=AnnotationSet(folder / "truth.annset"),
        policies=policies,
        settings=AnnotateSettings(),
        out=folder,
    )
    compared = compare(comparison)
    figures = {policy: _numbers(measured) for policy, measured in compared.policies.items()}
    return figures | {"truth": _numbers(compared.truth)}


def _numbers(measured: Mapping[str, Any]) -> dict[str, float | None]:
    return {
        name: value
        for name, value in measured.items()
        if value is None or isinstance(value, int | float)
    }


def measure(
    out: Path, policies: tuple[str, ...], *, seeds: Sequence[int], frames: int, workers: int
) -> tuple[Figures, dict[int, Figures]]:
    """Compare policies on several scenes; returns the means over the scenes, and each scene."""
    job = partial(compare_on_scene, out=out, policies=policies, frames=frames)
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=start_worker
    ) as executor:
        results = dict(zip(seeds, executor.map(job, seeds), strict=True))
    return means(list(results.values())), results


def main(
    out: Annotated[Path, typer.Option(help="Receives scenes, sets and policies.json.")],
    policies: Annotated[
        str, typer.Option(help="What to compare; ablation: without each rule in turn.")
    ] = ",".join(POLICIES),
    scenes: Annotated[int, typer.Option(min=1, max=len(SEEDS), help="How many scenes.")] = len(
        SEEDS
    ),
    frames: Annotated[int, typer.Option(min=8, help="Frames of each scene.")] = FRAMES,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
) -> None:
    """Compare the policies."""
    out.mkdir(parents=True, exist_ok=True)
    names = ABLATION if policies == "ablation" else tuple(policies.split(","))
    figures, by_scene = measure(out, names, seeds=SEEDS[:scenes], frames=frames, workers=workers)
    document = {"policies": figures, "scenes": by_scene}
    (out / "policies.json").write_text(json.dumps(document, indent=2) + "\n")
    for name, scores in figures.items():
        shown = (f"{key} {value:.3f}" for key in _SHOWN if (value := scores.get(key)) is not None)
        typer.echo(f"{name:36} {'  '.join(shown)}")


if __name__ == "__main__":
    typer.run(main)
