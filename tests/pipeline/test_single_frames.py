"""Frames one by one, and some frames of a long video."""

import numpy as np

from pipeline.frames import open_video
from pipeline.single_frames import chosen_frames, numbered_frames
from pipeline.video_writer import VideoWriter


def test_frames_come_one_by_one_with_their_indices(small_video):
    frames = list(numbered_frames(open_video(small_video), 11, start=2))
    assert [index for index, _ in frames] == list(range(2, 11))
    shades = [image.mean() for _, image in frames]
    assert np.allclose(shades, 20 * np.arange(2, 11), atol=4)


def test_frames_far_apart_are_decoded_without_those_between_them(tmp_path):
    path = tmp_path / "long.mp4"
    with VideoWriter(path, rate=25, width=64, height=64) as writer:
        for index in range(700):
            writer.add(np.full((64, 64, 3), index % 250, np.uint8))
    video = open_video(path)
    found = list(chosen_frames(video, [3, 640, 690]))
    assert [index for index, _ in found] == [3, 640, 690]
    whole = dict(numbered_frames(open_video(path)))
    assert all(np.array_equal(image, whole[index]) for index, image in found)
    assert video._count.frames < 350
