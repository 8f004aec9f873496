"""Measure the exports and the report on a long set: `python -m flows.export_figures --out DIR`.

The set is synthetic: six objects whose outlines wobble as they move over a video that looks
coarse and grainy. Each format is written by a process of its own, one after the other; Linux
tells the most memory that it had.
"""

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from pipeline.annotation_set import AnnotationSet
from pipeline.annotation_set.writer import AnnotationSetWriter, new_manifest
from pipeline.exports import EXPORTERS, Selection, export_several
from pipeline.frames import open_video
from pipeline.labels import CHOLECSEG8K
from pipeline.masks import encode_mask, resolve_overlaps
from pipeline.records import (
    FrameAnnotation,
    Origin,
    PromptReason,
    PromptRecord,
    TrackAnnotation,
)
from pipeline.report import write_report
from pipeline.video_writer import VideoWriter

OBJECTS, RATE = 6, 25
_PROMPT_EVERY = 50
REPORT = "report"
FORMATS = (*sorted([*EXPORTERS, "yolo"]), REPORT)


def write_long_set(folder: Path, frame_count: int, size: tuple[int, int]) -> Path:
    """Write a video and its annotation set; returns the path of the set.

    Args:
        folder: receives `long.mp4` and `long.annset`.
        frame_count: length of the video.
        size: height and width in pixels.
    """
    path = folder / "long.annset"
    if path.exists():
        return path
    ground = np.random.default_rng(0).integers(60, 160, (size[0] // 4, size[1] // 4, 3), np.uint8)
    ground = cv2.resize(ground, size[::-1], interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    labels = CHOLECSEG8K.foreground[:OBJECTS]
    with VideoWriter(folder / "long.mp4", rate=RATE, width=size[1], height=size[0]) as video:
        for masks in _scene(frame_count, size):
            image = np.roll(ground, 3, axis=1)
            for mask, label in zip(masks, labels, strict=True):
                image[mask] = image[mask] // 2 + np.array(label.color, np.uint8) // 2
            video.add(image)
    info = open_video(folder / "long.mp4").info
    with AnnotationSetWriter(path, new_manifest(info, CHOLECSEG8K)) as writer:
        for index, masks in enumerate(_scene(frame_count, size)):
            tracks = tuple(
                TrackAnnotation(
                    track_id=number,
                    class_id=label.id,
                    rle=encode_mask(mask),
                    quality=0.9,
                    presence=1.0,
                    origin=Origin.PROPAGATED,
                )
                for number, (mask, label) in enumerate(zip(masks, labels, strict=True), start=1)
                if mask.any()
            )
            prompts = _prompts(index, tracks)
            frame = FrameAnnotation(
                index=index, time_s=index / RATE, tracks=tracks, prompts=prompts
            )
            writer.add(frame)
    return path


def _prompts(index: int, tracks: Sequence[TrackAnnotation]) -> tuple[PromptRecord, ...]:
    """Return a prompt of each track now and then."""
    if index % _PROMPT_EVERY:
        return ()
    first = index // _PROMPT_EVERY * OBJECTS
    return tuple(
        PromptRecord(
            prompt_id=first + track.track_id - 1,
            track_id=track.track_id,
            class_id=track.class_id,
            kind="mask",
            reason=PromptReason.DRIFTED if index else PromptReason.ENTERED,
            score=0.8,
        )
        for track in tracks
    )


def _scene(frame_count: int, size: tuple[int, int]) -> Iterator[NDArray[np.bool_]]:
    """Yield the masks bool[OBJECTS, H, W] of each frame; they do not overlap."""
    priority = np.arange(OBJECTS, 0, -1).astype(np.float32)
    for index in range(frame_count):
        masks = np.stack([_object(number, index / RATE, size) for number in range(OBJECTS)])
        yield resolve_overlaps(masks, priority)


def _object(number: int, time_s: float, size: tuple[int, int]) -> NDArray[np.bool_]:
    angles = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    radius = size[0] * (0.13 + 0.02 * np.sin((5 + number) * angles + 2 * time_s))
    radius += size[0] * 0.006 * np.sin(31 * angles - 3 * time_s)
    center = np.array(size[::-1]) * (
        0.5 + 0.36 * np.sin(0.4 * time_s + number * 1.05),
        0.5 + 0.3 * np.cos(0.3 * time_s + number * 2.1),
    )
    outline = center + radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    canvas = np.zeros(size, np.uint8)
    cv2.fillPoly(canvas, [outline.astype(np.int32)], 1)
    return canvas.astype(np.bool_)


def measure(path: Path, format_name: str, out: Path) -> dict[str, float]:
    """Export a set; returns seconds, and those of all its threads, memory and size in MB."""
    started = time.monotonic()
    annotated = AnnotationSet(path)
    if format_name == REPORT:
        write_report(annotated, out)
    else:
        export_several([Selection(annotation_set=annotated)], format_name, out, None)
    seconds = time.monotonic() - started
    files = [out] if out.is_file() else [file for file in out.rglob("*") if file.is_file()]
    return {
        "seconds": round(seconds, 1),
        # On a machine that does other work, this is what the export itself takes.
        "processor_seconds": round(time.process_time(), 1),
        "peak_mb": round(_peak_bytes() / 1e6),
        "written_mb": round(sum(file.stat().st_size for file in files) / 1e6, 1),
        "files": len(files),
    }


def _peak_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def main(
    out: Annotated[Path, typer.Option(help="Receives the set and exports.json.")],
    frames: Annotated[int, typer.Option(min=1, help="Frames of the set.")] = 10_000,
    formats: Annotated[str, typer.Option(help="What to measure.")] = ",".join(FORMATS),
) -> None:
    """Measure the exports; what they write is removed again."""
    out.mkdir(parents=True, exist_ok=True)
    path = write_long_set(out, frames, (480, 854))
    figures = {}
    for name in formats.split(","):
        target = out / f"export-{name}{'.mp4' if name == 'mp4' else ''}"
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
            figures[name] = executor.submit(measure, path, name, target).result()
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink()
        typer.echo(f"{name:14} {figures[name]}")
        (out / "exports.json").write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)
