"""A long video in segments that are annotated apart: where to cut it, and how to join it again."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from pipeline.labels import LabelSet
from pipeline.masks import rle_iou_matrix
from pipeline.records import FrameAnnotation, PromptRecord, TrackAnnotation

# Frames that both neighbours annotate after the place where the one follows on the other.
OVERLAP_FRAMES = 16
# A shorter segment would consist of little but its overlaps.
_SHORTEST_SEGMENT = 4 * OVERLAP_FRAMES
_SAME_TRACK_IOU = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A part of a video that is annotated by itself.

    Attributes:
        start: first frame that is annotated, a multiple of the batch size.
        own_from: first frame that is taken from this segment.
        stop: end of what is annotated, exclusive.
    """

    start: int
    own_from: int
    stop: int


def search_windows(frame_count: int, count: int) -> list[tuple[int, int]]:
    """Return where to look for cuts: around each place that divides a video into equal parts.

    Args:
        frame_count: frames of the video.
        count: segments that are wanted; a short video gets fewer.

    Returns:
        A window (first frame, end) for each place.
    """
    parts = _part_count(frame_count, count)
    reach = frame_count // parts // 4
    places = [frame_count * number // parts for number in range(1, parts)]
    return [(place - reach, place + reach) for place in places]


def plan_segments(
    frame_count: int, count: int, cuts: Iterable[int], batch_frames: int
) -> list[Segment]:
    """Divide a video, at a cut of the camera where there is one near.

    After a cut nothing of what a tracker knows of the frames before it is of use. Where there is
    no cut, the later segment also begins earlier, so that it knows its tracks when it takes over.

    Args:
        frame_count: frames of the video.
        count: segments that are wanted; a short video gets fewer.
        cuts: frames before which the camera cuts.
        batch_frames: frames in each batch; segments begin with a batch.
    """
    known = sorted(cuts)
    starts, owners, stops = [0], [0], []
    for low, high in search_windows(frame_count, count):
        place = (low + high) // 2
        near = [cut for cut in known if low <= cut < high]
        own_from = min(near, key=lambda cut: abs(cut - place)) if near else place
        # That it is a cut shows beside the frame before.
        earlier = 1 if near else OVERLAP_FRAMES
        starts.append((own_from - earlier) // batch_frames * batch_frames)
        owners.append(own_from)
        stops.append(own_from + OVERLAP_FRAMES)
    return [
        Segment(start=start, own_from=own_from, stop=stop)
        for start, own_from, stop in zip(starts, owners, [*stops, frame_count], strict=True)
    ]


def _part_count(frame_count: int, count: int) -> int:
    return max(min(count, frame_count // _SHORTEST_SEGMENT), 1)


class SegmentJoiner:
    """Joins the frames of segments into those of one video, with one identity for each object.

    Where both neighbours have annotated the same frames, their tracks are matched by their masks:
    two that are the same there are one track, under the earlier one's id. A class of stuff has one
    track, wherever it shows.

    Args:
        segments: in order.
        label_set: tells stuff from things.
    """

    def __init__(self, segments: Sequence[Segment], label_set: LabelSet) -> None:
        self._segments = segments
        self._label_set = label_set
        self._stuff_tracks: dict[int, int] = {}
        self._votes: dict[int, Counter[int]] = {}
        self._next_track = 1
        self._next_prompt = 0
        self._last_prompt: dict[int, int] = {}
        # Prompts that back-filled masks name, but that were given after a segment's own frames.
        self._late: list[PromptRecord] = []

    def join(self, frames: Sequence[Iterable[FrameAnnotation]]) -> Iterator[FrameAnnotation]:
        """Yield the video's frames in order.

        Args:
            frames: of each segment, in order; each is read once, as far as it is needed.
        """
        before: list[FrameAnnotation] = []
        for number, segment in enumerate(self._segments):
            is_last = number + 1 == len(self._segments)
            own_end = segment.stop if is_last else self._segments[number + 1].own_from
            shared_from = segment.stop if is_last else self._segments[number + 1].start
            renaming = _Renaming(self, before, segment.own_from, own_end)
            shared: list[FrameAnnotation] = []
            for frame in renaming.renamed(frames[number]):
                if frame.index >= shared_from:
                    shared.append(frame)
                if segment.own_from <= frame.index < own_end:
                    self._note_votes(frame)
                    late, self._late = self._late, []
                    yield replace(frame, prompts=(*late, *frame.prompts))
            before = shared

    def class_of(self, track_id: int) -> int | None:
        """Return the class that most frames of a track have."""
        votes = self._votes.get(track_id)
        return None if votes is None else votes.most_common(1)[0][0]

    def new_track(self, class_id: int, taken: Collection[int]) -> int:
        """Return the id of a track that begins in a segment: for stuff the one that it had before.

        Args:
            class_id: its class.
            taken: ids that other tracks of the segment have.
        """
        known = self._stuff_tracks.get(class_id)
        if known is not None and known not in taken:
            return known
        self._next_track += 1
        if self._label_set.is_stuff(class_id):
            self._stuff_tracks.setdefault(class_id, self._next_track - 1)
        return self._next_track - 1

    def new_prompt(self, track_id: int) -> int:
        """Return an id for the next prompt of a track."""
        self._last_prompt[track_id] = self._next_prompt
        self._next_prompt += 1
        return self._last_prompt[track_id]

    def add_late(self, prompt: PromptRecord) -> None:
        """Keep a prompt for the next frame."""
        self._late.append(prompt)

    def last_prompt(self, track_id: int) -> int | None:
        """Return the prompt that a track was last given, if it was."""
        return self._last_prompt.get(track_id)

    def _note_votes(self, frame: FrameAnnotation) -> None:
        for track in frame.tracks:
            self._votes.setdefault(track.track_id, Counter())[track.class_id] += 1


class _Renaming:
    """Gives the tracks and prompts of a segment the ids that they have in the whole video.

    Args:
        joiner: gives new ids.
        before: the frames that the segment before shares with this one, under the video's ids.
        own_from: first frame that is taken from this segment.
        own_end: end of these frames, exclusive.
    """

    def __init__(
        self,
        joiner: SegmentJoiner,
        before: Sequence[FrameAnnotation],
        own_from: int,
        own_end: int,
    ) -> None:
        self._joiner = joiner
        self._own_from = own_from
        self._own_end = own_end
        self._before = {frame.index: frame for frame in before}
        self._tracks: dict[int, int] = {}
        self._prompts: dict[int, int] = {}
        # Prompts given on frames that the segment before owns.
        self._early: dict[int, PromptRecord] = {}

    def renamed(self, frames: Iterable[FrameAnnotation]) -> Iterator[FrameAnnotation]:
        """Yield the segment's own frames, and those after them, under the video's ids."""
        waiting: list[FrameAnnotation] = []
        last_shared = max(self._before, default=-1)
        for frame in frames:
            if frame.index <= last_shared:
                waiting.append(frame)
                continue
            yield from self._settled(waiting)
            waiting = []
            yield self._rename(frame)
        yield from self._settled(waiting)

    def _settled(self, waiting: Sequence[FrameAnnotation]) -> Iterator[FrameAnnotation]:
        """Match tracks on the shared frames, then yield those of them that are this segment's."""
        if not waiting:
            return
        self._tracks = _matched_tracks([self._before[f.index] for f in waiting], waiting)
        for frame in waiting:
            if frame.index < self._own_from:
                self._early |= {prompt.prompt_id: prompt for prompt in frame.prompts}
            else:
                yield self._rename(frame)

    def _rename(self, frame: FrameAnnotation) -> FrameAnnotation:
        if frame.index >= self._own_end:
            return self._rename_shared(frame)
        prompts = [self._renamed_prompt(prompt) for prompt in frame.prompts]
        tracks = []
        for track in frame.tracks:
            is_prompted = track.prompt_id >= 0
            if is_prompted and track.prompt_id not in self._prompts:
                prompts += self._missing_prompt(track)
            tracks.append(
                replace(
                    track,
                    track_id=self._track(track.track_id, track.class_id),
                    prompt_id=self._prompts[track.prompt_id] if is_prompted else track.prompt_id,
                )
            )
        return replace(frame, tracks=tuple(tracks), prompts=tuple(prompts))

    def _rename_shared(self, frame: FrameAnnotation) -> FrameAnnotation:
        """Rename a frame that only serves to match the next segment's tracks.

        Its prompts are not those of the video, unless masks of this segment's own name them.
        """
        for prompt in frame.prompts:
            if prompt.prompt_id in self._prompts:
                self._joiner.add_late(self._renamed_prompt(prompt))
        tracks = [
            replace(track, track_id=self._track(track.track_id, track.class_id))
            for track in frame.tracks
        ]
        return replace(frame, tracks=tuple(tracks), prompts=())

    def _missing_prompt(self, track: TrackAnnotation) -> list[PromptRecord]:
        """See to a prompt that a mask names before it was seen.

        One that is yet to come, since the mask was back-filled, gets its id now. Of one that was
        given before this segment took over, the track's last prompt in the segment before takes
        the place; a track that only this segment knows brings its own along.
        """
        track_id = self._track(track.track_id, track.class_id)
        known = self._joiner.last_prompt(track_id)
        early = self._early.get(track.prompt_id)
        if early is not None and known is None:
            return [self._renamed_prompt(early)]
        if early is None or known is None:
            known = self._joiner.new_prompt(track_id)
        self._prompts[track.prompt_id] = known
        return []

    def _renamed_prompt(self, prompt: PromptRecord) -> PromptRecord:
        track_id = self._track(prompt.track_id, prompt.class_id)
        if prompt.prompt_id not in self._prompts:
            self._prompts[prompt.prompt_id] = self._joiner.new_prompt(track_id)
        return replace(prompt, track_id=track_id, prompt_id=self._prompts[prompt.prompt_id])

    def _track(self, track_id: int, class_id: int) -> int:
        if track_id not in self._tracks:
            taken = set(self._tracks.values())
            self._tracks[track_id] = self._joiner.new_track(class_id, taken)
        return self._tracks[track_id]


def _matched_tracks(
    first: Sequence[FrameAnnotation], second: Sequence[FrameAnnotation]
) -> dict[int, int]:
    """Return the id in `first` of each track of `second` that is the same, on the same frames."""
    sums: dict[tuple[int, int], float] = {}
    for one, other in zip(first, second, strict=True):
        overlaps = _overlaps(one, other)
        for row, track in enumerate(one.tracks):
            for column, twin in enumerate(other.tracks):
                pair = (track.track_id, twin.track_id)
                sums[pair] = sums.get(pair, 0.0) + float(overlaps[row, column])
    shown = _frames_of_tracks(first), _frames_of_tracks(second)
    rows, columns = sorted(shown[0]), sorted(shown[1])
    scores = np.zeros((len(rows), len(columns)))
    for row, track_id in enumerate(rows):
        for column, twin_id in enumerate(columns):
            either = len(shown[0][track_id] | shown[1][twin_id])
            scores[row, column] = sums.get((track_id, twin_id), 0.0) / either
    pairs = zip(*linear_sum_assignment(-scores), strict=True)
    return {
        columns[column]: rows[row]
        for row, column in pairs
        if scores[row, column] >= _SAME_TRACK_IOU
    }


def _overlaps(one: FrameAnnotation, other: FrameAnnotation) -> NDArray[np.float64]:
    sides = ([track.rle for track in frame.tracks] for frame in (one, other))
    return rle_iou_matrix(*sides)


def _frames_of_tracks(frames: Sequence[FrameAnnotation]) -> dict[int, set[int]]:
    shown: dict[int, set[int]] = {}
    for frame in frames:
        for track in frame.tracks:
            shown.setdefault(track.track_id, set()).add(frame.index)
    return shown
