"""The command line's part about speed: `scopeline bench`."""

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from rich.table import Table

from flows.commands.options import JsonOption
from flows.commands.setting_options import RuntimeChoice
from flows.consoles import output, screen
from pipeline.errors import UsageError


def bench(
    only: Annotated[
        str | None,
        typer.Option(
            metavar="PART,...",
            help="annotate, objects, official, sasvi, memory, flow, decoders, storage, startup, "
            "runtimes.",
        ),
    ] = None,
    size: Annotated[str, typer.Option(metavar="WxH", help="Of the clip.")] = "1920x1080",
    frames: Annotated[int, typer.Option(min=2, help="Of the clip.")] = 48,
    rounds: Annotated[
        int, typer.Option(min=1, help="Each variant is measured N times, in turns.")
    ] = 3,
    memory_frames: Annotated[
        str,
        typer.Option(
            metavar="N,M",
            help="Peak memory is compared after N and M frames; the flow annotates M.",
        ),
    ] = "200,1000",
    overseer: Annotated[str, typer.Option(help="Name or model folder.")] = "scopeline",
    tracker: Annotated[
        str, typer.Option(help="Name, model folder or official checkpoint.")
    ] = "scopeline",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")] = "auto",
    runtime: Annotated[
        RuntimeChoice, typer.Option(help="What computes the models' image trunks.")
    ] = RuntimeChoice.torch,
    as_json: JsonOption = False,
) -> None:
    """Measure speed and memory on a rendered clip, in turns, and print the medians."""
    from flows.bench.benchmark import FAILED, PARTS, Benchmark, run_benchmark
    from flows.settings import fixed_settings

    width, height = _pair(size, "x", "--size")
    with TemporaryDirectory(prefix="scopeline-") as folder:
        benchmark = Benchmark(
            folder=Path(folder),
            settings=fixed_settings(
                overseer=overseer, tracker=tracker, device=device, runtime=runtime.value
            ),
            parts=tuple(part.strip() for part in only.split(",")) if only else PARTS,
            width=width,
            height=height,
            frames=frames,
            rounds=rounds,
            memory_frames=_pair(memory_frames, ",", "--memory-frames"),
        )
        report = run_benchmark(benchmark, lambda part: screen.print(f"{part} ...", style="dim"))
    if as_json:
        typer.echo(json.dumps(report, indent=2))
    else:
        _print_tables(report)
    if any(FAILED in figures for figures in report.values()):
        raise typer.Exit(1)


def _pair(text: str, divider: str, option: str) -> tuple[int, int]:
    first, _, second = text.partition(divider)
    if not (first.isdecimal() and second.isdecimal()):
        raise UsageError(f"{option} {text} is not two numbers with {divider!r} between them")
    return int(first), int(second)


def _print_tables(report: dict[str, Any]) -> None:
    for part, figures in report.items():
        table = Table("", "", title=part, show_header=False, title_justify="left")
        for name, value in figures.items():
            for label, text in _rows(name, value):
                table.add_row(label, text)
        output.print(table)


def _rows(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield the lines of a figure, which may be one for each variant."""
    label = name.replace("_", " ")
    if not isinstance(value, dict):
        yield label, _text(value)
        return
    for variant, figure in value.items():
        if isinstance(figure, dict):
            yield variant, f"{figure['ms_per_frame']:.1f} ms a frame, {figure['share']:.1%}"
        else:
            yield f"{label}: {variant}", _text(figure)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_text(part) for part in value)
    return f"{value:.3g}" if isinstance(value, float) else str(value)
