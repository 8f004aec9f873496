"""Small pictures, masks and outlines, of which tests make data sets."""

import errno
import json
import os
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
from PIL import Image

from pipeline.labelled_clip import IGNORED
from pipeline.video_writer import VideoWriter


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint8)).save(path)


@contextmanager
def edited_json(path):
    """Give what a JSON file holds, and write what the block makes of it."""
    document = json.loads(path.read_text())
    yield document
    path.write_text(json.dumps(document))


def picture(size=(40, 60)):
    return np.full((*size, 3), 90, np.uint8)


def two_graspers_on_liver():
    values = np.zeros((40, 60), np.uint8)
    values[20:] = 90
    values[5:15, 5:15] = 255
    values[5:15, 40:50] = 255
    values[0, 59] = 255
    return values


def polygon(left, top, right, bottom):
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def ignored_pixels(frames):
    (clip,) = frames.clips
    return int((clip.track_maps[0] == IGNORED).sum())


def draw_video(path, frames, seed=0):
    """Draw a bright square that wanders over noise, in which the models that ship see two things."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    noise = random.integers(60, 90, (64, 96, 3), np.uint8)
    with VideoWriter(path, rate=25, width=96, height=64, quality=12) as writer:
        for index in range(frames):
            image = noise.copy()
            left = 4 + (seed * 7 + index) % 60
            image[20:44, left : left + 24] = (210, 210, 215)
            writer.add(image)


def damage(video, frames):
    """Write zeros where some frames are in a video file."""
    with av.open(str(video)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    content = bytearray(video.read_bytes())
    for frame in frames:
        start, size = places[frame]
        content[start : start + size] = bytes(size)
    video.write_bytes(content)


def copy_packets(source, target, rotation=0):
    """Write what a video holds into another file, to be turned by so many degrees when shown."""
    with av.open(str(source)) as whole, av.open(str(target), "w") as copied:
        stream = copied.add_stream_from_template(whole.streams.video[0])
        if rotation:
            stream.set_display_rotation(rotation)
        for packet in whole.demux(video=0):
            if packet.size:
                packet.stream = stream
                copied.mux(packet)


def close_to_this_user(monkeypatch, folder):
    """Let nothing in a folder be looked at, also where the tests may look at everything."""
    look = Path.stat

    def look_unless_closed(path, **options):
        if folder in Path(os.path.realpath(path)).parents:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return look(path, **options)

    monkeypatch.setattr(Path, "stat", look_unless_closed)
