"""The command line's part about what is there: `scopeline info`."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from flows.commands.options import JsonOption
from flows.consoles import output

if TYPE_CHECKING:
    from pipeline.annotation_set import AnnotationSet
    from pipeline.frames import VideoInfo


def info(
    source: Annotated[Path, typer.Argument(metavar="VIDEO|SET")], as_json: JsonOption = False
) -> None:
    """Say what a video or an annotation set is: its tracks, and why each was prompted."""
    from pipeline.annotation_set import SUFFIX, AnnotationSet
    from pipeline.errors import InputError
    from pipeline.frames import open_video

    if not source.exists():
        raise InputError(
            f"{source} does not exist; give a video, a folder of frames or an annotation set"
        )
    # One in which sets lie is no video: it is said so, and which they are.
    around = source.is_dir() and any(source.glob(f"*{SUFFIX}"))
    if source.suffix == SUFFIX or (source / "manifest.json").is_file() or around:
        annotated = AnnotationSet(source)
        document = _set_document(annotated)
        show = _print_set
    else:
        video = open_video(source).info
        document = _video_document(video)
        show = _print_video
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        show(document)


def _video_document(video: "VideoInfo") -> dict[str, Any]:
    return {
        "kind": "video",
        "name": video.name,
        "path": str(video.path),
        "sha256": video.sha256,
        "width": video.width,
        "height": video.height,
        "frames": video.frame_count,
        "rate": video.rate,
        "seconds": round(video.frame_count / video.rate, 3),
    }


def _set_document(annotated: "AnnotationSet") -> dict[str, Any]:
    return {
        "kind": "annotation set",
        "path": str(annotated.path),
        **annotated.manifest.model_dump(),
        "tracks": [
            {
                "track": span.track_id,
                "class": annotated.label_set[span.class_id].name,
                "frames": span.frames,
                "first_frame": span.first_frame,
                "last_frame": span.last_frame,
            }
            for span in annotated.track_spans()
        ],
        "prompts": list(_prompts(annotated)),
    }


def _prompts(annotated: "AnnotationSet") -> Iterator[dict[str, Any]]:
    for frame_index, prompt in annotated.prompts():
        yield {
            "frame": frame_index,
            "track": prompt.track_id,
            "class": annotated.label_set[prompt.class_id].name,
            "kind": prompt.kind,
            "reason": prompt.reason.value,
            "score": prompt.score,
        }


def _print_video(document: dict[str, Any]) -> None:
    _print_facts(
        {
            "video": document["path"],
            "pictures": _pictures(document, document["frames"]),
            "SHA-256": document["sha256"],
        }
    )


def _print_set(document: dict[str, Any]) -> None:
    from pipeline.manifest import settings_in_effect

    video, counts = document["video"], document["counts"]
    _print_facts(
        {
            "annotation set": document["path"],
            "state": ": ".join(filter(None, (document["state"], document["failure"]))),
            "video": video["path"],
            "pictures": _pictures(video, video["frame_count"]),
            "annotated": f"{counts['frames']} frames, {counts['masks']} masks",
            "labels": document["labels"]["name"],
            "models": _joined({role: model["name"] for role, model in document["models"].items()}),
            "settings": _joined(settings_in_effect(document["settings"])),
            "software": _joined(document["software"]),
        }
    )
    output.print(_track_table(document))
    for prompt in document["prompts"]:
        score = "" if prompt["reason"] == "human" else f", score {prompt['score']:.2f}"
        typer.echo(
            "frame {frame}: track {track}, {class}, prompted with {kind}, {reason}".format(**prompt)
            + score
        )


def _print_facts(facts: dict[str, str]) -> None:
    width = max(map(len, facts))
    for name, text in facts.items():
        if text:
            typer.echo(f"{name:{width}}  {text}")


def _pictures(video: dict[str, Any], frames: int) -> str:
    length = timedelta(seconds=round(frames / video["rate"]))
    return f"{video['width']}x{video['height']}, {frames} at {video['rate']:g}/s, {length}"


def _joined(values: dict[str, Any]) -> str:
    """Say what is set as options have it, such as `policy constellation, on-bad-frame stop`."""
    return ", ".join(f"{name.replace('_', '-')} {value}" for name, value in values.items())


def _track_table(document: dict[str, Any]) -> Table:
    prompts = Counter(prompt["track"] for prompt in document["prompts"])
    table = Table()
    for title in ("track", "class", "frames", "first", "last", "prompts"):
        table.add_column(title, justify="left" if title == "class" else "right")
    for track in document["tracks"]:
        table.add_row(
            str(track["track"]),
            track["class"],
            str(track["frames"]),
            str(track["first_frame"]),
            str(track["last_frame"]),
            str(prompts[track["track"]]),
        )
    return table
