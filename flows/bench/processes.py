"""What only a fresh process shows: how its memory grows, and how long it takes to start.

Run as a module, this annotates a video in this process and prints one line of JSON.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, cast

import av

from flows.bench.clock import seconds_of
from pipeline.errors import OutputError

if TYPE_CHECKING:
    from flows.settings import Runtime

_PROCESS_STATUS = Path("/proc/self/status")


def repeat_video(path: Path, frame_count: int, out: Path) -> None:
    """Write a video that shows the same clip again and again; nothing is encoded anew.

    Args:
        path: a video file that begins with a key frame.
        frame_count: at least so many frames.
        out: the mp4 to write.
    """
    with av.open(str(path)) as source, av.open(str(out), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        packets = [packet for packet in source.demux(stream) if packet.size]
        times = [(packet.pts or 0, packet.dts or 0) for packet in packets]
        tick_s = float(stream.time_base or 1)
        length = round(len(packets) / float(stream.average_rate or 25) / tick_s)
        for turn in range(-(-frame_count // len(packets))):
            for packet, (pts, dts) in zip(packets, times, strict=True):
                packet.stream = copy
                packet.pts, packet.dts = pts + turn * length, dts + turn * length
                target.mux(packet)


def measure_memory(
    video: Path, out: Path, frame_counts: tuple[int, int], models: Sequence[str]
) -> dict[str, Any]:
    """Annotate a long video in a process of its own and see how its peak memory grows.

    Args:
        video: a clip, which is repeated.
        out: folder for the long video and its set.
        frame_counts: after how many frames to compare; the first ends the warm-up.
        models: names or paths of overseer and tracker, the device and the runtime.
    """
    warm, whole = frame_counts
    long_video = out / "long.mp4"
    repeat_video(video, whole, long_video)
    report = run_in_process(long_video, out / "long", whole, models)
    # Progress comes batch by batch, so the first may be beyond a short warm-up.
    warmed = max(warm, report["peaks"][0][0])
    at_warm = max(megabytes for frames, megabytes in report["peaks"] if frames <= warmed)
    at_end = max(megabytes for _, megabytes in report["peaks"])
    return {
        "frames": [warm, whole],
        "peak_mb": [at_warm, at_end],
        "growth_mb_per_1000_frames": 1000 * (at_end - at_warm) / (whole - warm),
        "frames_per_second": whole / report["seconds"],
    }


def measure_startup(video: Path, out: Path, rounds: int, models: Sequence[str]) -> dict[str, Any]:
    """Measure how long the command takes to answer, and `annotate` to finish a first frame."""
    command = [sys.executable, "-m", "flows.cli", "--help"]

    def ask_for_help() -> None:
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603

    reports = [run_in_process(video, out / f"start-{turn}", 1, models) for turn in range(rounds)]
    return {
        "help_s": median(seconds_of(ask_for_help) for _ in range(rounds)),
        "imports_s": median(report["imports_s"] for report in reports),
        "first_frame_s": median(report["first_frame_s"] for report in reports),
    }


def run_in_process(
    video: Path, out: Path, frame_count: int, models: Sequence[str]
) -> dict[str, Any]:
    """Annotate in a process of its own and return what it reports.

    Raises:
        OutputError: the process failed.
    """
    command = [sys.executable, "-m", "flows.bench.processes", str(video), str(out)]
    ended = subprocess.run(  # noqa: S603
        [*command, str(frame_count), *models], check=False, capture_output=True, text=True
    )
    if ended.returncode:
        reason = (ended.stderr.strip().splitlines() or ["no message"])[-1]
        raise OutputError(f"{video} could not be annotated in a process of its own: {reason}")
    report: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return report


def peak_megabytes() -> float:
    """Return the most memory that this process has had resident."""
    if _PROCESS_STATUS.exists():
        # What getrusage says begins with the memory of the process that started this one.
        for line in _PROCESS_STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Annotate the video that the command line names, and print what it took."""
    video, out, limit, overseer, tracker, device, runtime = sys.argv[1:]
    started = time.perf_counter()
    import flows.annotation_loops  # noqa: F401  # else imported with the first frame
    from flows.settings import AnnotateSettings
    from flows.video_job import VideoJob, annotate_job

    imported = time.perf_counter()
    first_frame: list[float] = []
    peaks: list[tuple[int, float]] = []

    def note(done: int, total: int) -> None:
        del total
        if not first_frame:
            first_frame.append(time.perf_counter())
        peak = peak_megabytes()
        if not peaks or peak > peaks[-1][1]:
            peaks.append((done, peak))

    settings = AnnotateSettings(
        overseer=overseer,
        tracker=tracker,
        device=device,
        runtime=cast("Runtime", runtime),
        max_frames=int(limit),
    )
    annotate_job(VideoJob(video=Path(video), out=Path(out), settings=settings, resume=False), note)
    report = {
        "imports_s": imported - started,
        "first_frame_s": first_frame[0] - imported,
        "seconds": time.perf_counter() - imported,
        "peaks": peaks,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
