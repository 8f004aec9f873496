"""Render a theatre scene to a video and its exact truth."""

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from pipeline.annotation_set import SUFFIX
from pipeline.annotation_set.writer import AnnotationSetWriter, new_manifest
from pipeline.frames import VideoInfo
from pipeline.masks import encode_mask
from pipeline.records import FrameAnnotation, Origin, TrackAnnotation
from pipeline.video_writer import VideoWriter
from samples.theatre.looks import PLAIN_SCENERY, Scenery
from samples.theatre.scene import Theatre, TheatreFrame
from samples.theatre.timeline import FRAME_RATE


def render(
    *,
    seed: int,
    frame_count: int,
    width: int,
    height: int,
    folder: Path,
    scenery: Scenery = PLAIN_SCENERY,
    on_frame: Callable[[], None] | None = None,
) -> None:
    """Write `video.mp4` (H.264) and `truth.annset` of a seed into a folder.

    Args:
        seed: everything random follows from it.
        frame_count: length in frames at 25 frames/s.
        width: in pixels, even.
        height: in pixels, even.
        folder: is made if need be.
        scenery: what the scene looks like.
        on_frame: is called after each frame.

    Raises:
        OutputError: the folder cannot be written, or holds a video or a truth set already.
        ValueError: the theatre cannot draw that size.
    """
    theatre = Theatre.of(scenery, seed=seed, width=width, height=height, frame_count=frame_count)
    video_path = folder / "video.mp4"
    truth: list[FrameAnnotation] = []
    with VideoWriter(video_path, rate=FRAME_RATE, width=width, height=height) as writer:
        for frame in theatre:
            writer.add(frame.image)
            truth.append(_truth(frame, theatre.tracks))
            if on_frame is not None:
                on_frame()
    info = VideoInfo(
        name=video_path.stem,
        path=video_path.resolve(),
        sha256=hashlib.sha256(video_path.read_bytes()).hexdigest(),
        width=width,
        height=height,
        frame_count=frame_count,
        rate=FRAME_RATE,
    )
    settings = {
        "theatre_seed": seed,
        "look": scenery.look(seed).name,
        "family": scenery.family(seed),
        "effects": asdict(theatre.effects),
    }
    manifest = new_manifest(info, theatre.label_set, settings=settings)
    with AnnotationSetWriter(folder / f"truth{SUFFIX}", manifest) as annotations:
        for annotation in truth:
            annotations.add(annotation)


def _truth(frame: TheatreFrame, tracks: dict[int, int]) -> FrameAnnotation:
    visible = [int(track_id) for track_id in np.unique(frame.track_map) if track_id]
    return FrameAnnotation(
        index=frame.index,
        time_s=frame.index / FRAME_RATE,
        tracks=tuple(
            TrackAnnotation(
                track_id=track_id,
                class_id=tracks[track_id],
                rle=encode_mask(frame.track_map == track_id),
                quality=1.0,
                # How much of it is visible, and not whether: that is certain here.
                presence=frame.visible_share[track_id],
                origin=Origin.HUMAN,
            )
            for track_id in visible
        ),
        flags=frame.flags,
    )
