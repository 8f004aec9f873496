"""Clips to learn tracking from, made of the labelled frames of a data set.

Frames that follow each other are a clip where it is plain which object is which. Where labels are
sparse, a single frame becomes a clip: it moves as under a moving camera, and objects cut out of
other frames move over it, with truth by construction (as STM is pre-trained, arXiv 1904.00607).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import groupby

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from pipeline.labelled_clip import IGNORED, LabelledClip
from pipeline.masks import iou_matrix
from tracking.training.batches import MIN_AREA_SHARE

_SAME_OBJECT_IOU = 0.3
_MOST_CUT_OUTS = 2
# Shorter runs show too little of how things move.
_SHORTEST_RUN = 3
# Of a moving frame, from the first frame of the clip to the last: shares of its size, turn in
# degrees, powers of e in size.
_CAMERA_MOVE = (0.12, 8.0, 0.12)
_OBJECT_MOVE = (0.35, 30.0, 0.25)
# A moving frame is enlarged so far that its edges seldom show.
_ENLARGED = 1.15


class PictureClips(Sequence[LabelledClip]):
    """Clips of equal length, drawn when they are asked for; always the same at one number.

    Args:
        frames: clips of one frame each, in the order of their videos.
        videos: the video of each frame.
        length: frames in each clip.
        count: how many clips there are.
        seed: of everything random.
    """

    def __init__(
        self,
        frames: Sequence[LabelledClip],
        videos: Sequence[str],
        *,
        length: int,
        count: int,
        seed: int,
    ) -> None:
        self._frames = frames
        self._length = length
        self._count = count
        self._seed = seed
        self._runs = [run for run in runs_of_videos(frames, videos) if len(run) >= _SHORTEST_RUN]
        self._draw = lru_cache(maxsize=64)(self._drawn)

    def __len__(self) -> int:
        """Return the number of clips."""
        return self._count

    def __getitem__(self, number: int) -> LabelledClip:  # type: ignore[override]
        """Return a clip; every second one is a run of true frames, where there are any."""
        if not 0 <= number < self._count:
            raise IndexError(number)
        return self._draw(number)

    def _drawn(self, number: int) -> LabelledClip:
        random = np.random.default_rng([self._seed, number])
        if self._runs and number % 2:
            run = self._runs[int(random.integers(len(self._runs)))]
            return _stretch(run, int(random.integers(len(run))), self._length)
        return moving_picture(random, self._frames, self._length)


def runs_of_videos(frames: Sequence[LabelledClip], videos: Sequence[str]) -> list[LabelledClip]:
    """Join the frames of each video into runs; see `linked_runs`.

    Args:
        frames: clips of one frame each, in the order of their videos.
        videos: the video of each frame.
    """
    return [
        run
        for _, numbers in groupby(range(len(frames)), key=lambda number: videos[number])
        for run in linked_runs([frames[number] for number in numbers])
    ]


def linked_runs(frames: Sequence[LabelledClip]) -> list[LabelledClip]:
    """Join frames of one video into clips in which an object keeps its track id.

    An object is the same where its masks overlap. A run ends where that leaves a doubt: where an
    object of a class is lost and another of that class appears, or the frames' size changes.

    Args:
        frames: clips of one frame each, in order.
    """
    runs: list[list[LabelledClip]] = []
    for frame in frames:
        linked = _link(runs[-1], frame) if runs else None
        if linked is None:
            runs.append([frame])
        else:
            runs[-1].append(linked)
    return [_joined(run) for run in runs]


def _link(run: Sequence[LabelledClip], frame: LabelledClip) -> LabelledClip | None:
    """Return the frame with the track ids of the run, or None where that leaves a doubt."""
    last = run[-1]
    if last.track_maps.shape != frame.track_maps.shape:
        return None
    min_area = int(MIN_AREA_SHARE * frame.track_maps[0].size)
    before, after = list(last.masks(0, min_area)), list(frame.masks(0, min_area))
    ids = _matched(last, before, frame, after)
    lost = {last.class_of_track[track] for track, _ in before if track not in ids.values()}
    new = {frame.class_of_track[track] for track, _ in after if track not in ids}
    next_id = 1 + max((track for part in run for track in part.class_of_track), default=0)
    unmatched = [track for track in frame.class_of_track if track not in ids]
    if lost & new or next_id + len(unmatched) > IGNORED:
        return None
    ids |= {track: next_id + number for number, track in enumerate(unmatched)}
    translate = np.arange(256, dtype=np.uint8)
    translate[list(ids)] = list(ids.values())
    return replace(
        frame,
        track_maps=translate[frame.track_maps],
        class_of_track={ids[track]: of for track, of in frame.class_of_track.items()},
    )


def _matched(
    last: LabelledClip,
    before: Sequence[tuple[int, NDArray[np.bool_]]],
    frame: LabelledClip,
    after: Sequence[tuple[int, NDArray[np.bool_]]],
) -> dict[int, int]:
    """Return the earlier track id of each track of a frame that has one."""
    if not before or not after:
        return {}
    overlap = iou_matrix(np.stack([m for _, m in after]), np.stack([m for _, m in before]))
    classes = np.array([frame.class_of_track[track] for track, _ in after])
    overlap = overlap * (classes[:, None] == [last.class_of_track[track] for track, _ in before])
    pairs = zip(*linear_sum_assignment(-overlap), strict=True)
    return {
        after[row][0]: before[column][0]
        for row, column in pairs
        if overlap[row, column] >= _SAME_OBJECT_IOU
    }


def _joined(run: Sequence[LabelledClip]) -> LabelledClip:
    return LabelledClip(
        images=np.concatenate([part.images for part in run]),
        track_maps=np.concatenate([part.track_maps for part in run]),
        class_of_track={track: of for part in run for track, of in part.class_of_track.items()},
    )


def _stretch(run: LabelledClip, start: int, length: int) -> LabelledClip:
    """Cut a clip out of a run, which is played forwards and backwards for as long as it takes."""
    turn = [*range(len(run)), *range(len(run) - 2, 0, -1)]
    frames = [turn[(start + number) % len(turn)] for number in range(length)]
    return replace(run, images=run.images[frames], track_maps=run.track_maps[frames])


def moving_picture(
    random: np.random.Generator, frames: Sequence[LabelledClip], length: int
) -> LabelledClip:
    """Make a clip of a single frame that moves, and of objects of others that move over it.

    Args:
        random: source of randomness.
        frames: clips of one frame each.
        length: frames of the clip.
    """
    scene = frames[int(random.integers(len(frames)))]
    height, width = scene.track_maps.shape[1:]
    images = np.zeros((length, height, width, 3), np.uint8)
    maps = np.zeros((length, height, width), np.uint8)
    classes = dict(scene.class_of_track)
    camera = _motion(random, _CAMERA_MOVE, length, _ENLARGED)
    for number, (image, track_map) in enumerate(_moved(scene, camera, (height, width))):
        images[number], maps[number] = image, track_map
    for _ in range(int(random.integers(_MOST_CUT_OUTS + 1))):
        other = frames[int(random.integers(len(frames)))]
        tracks = [track for track, _ in other.masks(0, int(MIN_AREA_SHARE * height * width))]
        own_id = 1 + max(classes, default=0)
        if not tracks or own_id >= IGNORED:
            continue
        track = int(random.choice(tracks))
        classes[own_id] = other.class_of_track[track]
        motion = _motion(random, _OBJECT_MOVE, length, 1.0)
        for number, (image, track_map) in enumerate(_moved(other, motion, (height, width))):
            shown = track_map == track
            images[number][shown] = image[shown]
            maps[number][shown] = own_id
    return LabelledClip(images=images, track_maps=maps, class_of_track=classes)


def _motion(
    random: np.random.Generator, reach: tuple[float, float, float], length: int, scale: float
) -> NDArray[np.float64]:
    """Return float64[length, 4]: shift in x and y, turn and size in each frame, smooth in time."""
    shift, turn, size = reach
    spread = np.array([shift, shift, turn, size])
    start, end = (random.uniform(-0.5, 0.5, 4) * spread for _ in range(2))
    phase, sway = random.uniform(0, 2 * np.pi, 4), random.uniform(0, 0.15, 4) * spread
    time = np.linspace(0, 1, length)[:, None]
    path = start + (end - start) * time + sway * np.sin(2 * np.pi * time + phase)
    path[:, 3] = scale * np.exp(path[:, 3])
    return np.asarray(path, np.float64)


def _moved(
    picture: LabelledClip, motion: NDArray[np.float64], size: tuple[int, int]
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Yield image and track map of each frame, in a size (height, width)."""
    height, width = size
    rows, columns = picture.track_maps.shape[1:]
    fit = np.array([[width / columns, 0, 0], [0, height / rows, 0], [0, 0, 1.0]])
    for shift_x, shift_y, turn, scale in motion:
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), turn, scale)
        matrix[:, 2] += shift_x * width, shift_y * height
        warp = matrix @ fit
        image = cv2.warpAffine(
            picture.images[0],
            warp,
            (width, height),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        # Beyond its edge the picture is its own mirror image, of which the map says nothing.
        track_map = cv2.warpAffine(
            picture.track_maps[0],
            warp,
            (width, height),
            flags=cv2.INTER_NEAREST,
            borderValue=IGNORED,
        )
        yield np.asarray(image, np.uint8), np.asarray(track_map, np.uint8)
