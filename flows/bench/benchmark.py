"""Measure Scopeline on this machine: `scopeline bench`."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flows.bench.flow import measure_flow
from flows.bench.machine import describe_machine
from flows.bench.processes import measure_memory, measure_startup
from flows.bench.runtimes import measure_runtimes
from flows.bench.stages import measure_annotate
from flows.bench.storage import measure_decoders, measure_storage
from flows.bench.trackers import measure_objects, measure_official, measure_sasvi
from flows.models import choose_device
from flows.settings import AnnotateSettings
from flows.video_job import VideoJob
from pipeline.annotation_set import AnnotationSet
from pipeline.errors import ScopelineError, UsageError
from samples.theatre.render import render

# In the opening shot of this seed there are 7 objects.
_SEED = 7
_SMALL_CLIP = (480, 270)
_SMALL_FRAMES = 50
FAILED = "failed"
PARTS = (
    "annotate",
    "objects",
    "official",
    "sasvi",
    "memory",
    "flow",
    "decoders",
    "storage",
    "startup",
    "runtimes",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """What to measure.

    Attributes:
        folder: receives clips and sets.
        settings: models, device and runtime.
        parts: of `PARTS`.
        width: of the clip in pixels, even.
        height: of the clip in pixels, even.
        frames: of the clip.
        rounds: each variant is measured so many times, in turns.
        memory_frames: peak memory is compared after so many frames, and the flow annotates the
            larger number; the clip is repeated.

    Raises:
        UsageError: a part is unknown, or a number is not usable.
    """

    folder: Path
    settings: AnnotateSettings
    parts: tuple[str, ...] = PARTS
    width: int = 1920
    height: int = 1080
    frames: int = 48
    rounds: int = 3
    memory_frames: tuple[int, int] = (200, 1000)

    def __post_init__(self) -> None:
        """Check parts and numbers."""
        for part in self.parts:
            if part not in PARTS:
                raise UsageError(f"--only has {part!r}; choose among {', '.join(PARTS)}")
        if min(self.width, self.height) < 64 or self.width % 2 or self.height % 2:
            raise UsageError("--size needs even numbers from 64, such as 480x270")
        if not 0 < self.memory_frames[0] < self.memory_frames[1]:
            raise UsageError("--memory-frames needs two numbers, the smaller one first")

    @property
    def models(self) -> tuple[str, str, str, str]:
        """Overseer, tracker, device and runtime, as another process is told them."""
        settings = self.settings
        return settings.overseer, settings.tracker, settings.device, settings.runtime


def run_benchmark(
    benchmark: Benchmark, on_part: Callable[[str], None] = lambda part: None
) -> dict[str, Any]:
    """Measure the parts of a benchmark.

    Args:
        benchmark: what to measure.
        on_part: is called with the name of each part before it begins.

    Returns:
        `machine`, `clip`, and the figures of each part by its name, or why it `failed`.
    """
    on_part("rendering")
    video = _clip(benchmark, benchmark.width, benchmark.height, benchmark.frames)
    report: dict[str, Any] = {
        "machine": describe_machine(choose_device(benchmark.settings.device)),
        "clip": {
            "width": benchmark.width,
            "height": benchmark.height,
            "frames": benchmark.frames,
            "rounds": benchmark.rounds,
        },
    }
    measures = _measures(benchmark, video)
    for part in benchmark.parts:
        on_part(part)
        try:
            report[part] = measures[part]()
        # The parts take half an hour together: one that fails must not lose the others.
        except (ScopelineError, OSError, RuntimeError) as error:
            report[part] = {FAILED: str(error) or type(error).__name__}
    return report


def _measures(benchmark: Benchmark, video: Path) -> dict[str, Callable[[], dict[str, Any]]]:
    rounds, out = benchmark.rounds, benchmark.folder
    truth = AnnotationSet(video.parent / "truth.annset")
    job = VideoJob(video=video, out=out / "sets", settings=benchmark.settings, resume=False)
    return {
        "annotate": lambda: measure_annotate(job, rounds),
        "objects": lambda: measure_objects(job, truth, rounds),
        "official": lambda: measure_official(job, truth, rounds),
        "sasvi": lambda: measure_sasvi(job, rounds),
        "memory": lambda: measure_memory(
            _small_clip(benchmark), out, benchmark.memory_frames, benchmark.models
        ),
        "flow": lambda: measure_flow(
            replace(job, video=_small_clip(benchmark)), benchmark.memory_frames[1], rounds
        ),
        "decoders": lambda: measure_decoders(video, out / "frames", rounds),
        "storage": lambda: measure_storage(truth, out, rounds),
        "startup": lambda: measure_startup(video, out, rounds, benchmark.models),
        "runtimes": lambda: measure_runtimes(job, rounds),
    }


def _small_clip(benchmark: Benchmark) -> Path:
    """Return a clip that is no larger than need be to run for long."""
    width, height = min(_SMALL_CLIP, (benchmark.width, benchmark.height))
    return _clip(benchmark, width, height, min(_SMALL_FRAMES, benchmark.frames))


def _clip(benchmark: Benchmark, width: int, height: int, frames: int) -> Path:
    """Render a clip, unless it is there."""
    folder = benchmark.folder / f"clip-{width}x{height}-{frames}"
    if not folder.exists():
        render(seed=_SEED, frame_count=frames, width=width, height=height, folder=folder)
    return folder / "video.mp4"
