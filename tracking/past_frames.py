"""The frames before the current one: tracks may still be followed back into them."""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from pipeline.records import ChangedFrame
from tracking.frame_features import FrameFeatures, TrackOutput
from tracking.tracked_masks import areas_of, masks_of_outputs

# Followed back beyond where it came in, an object shrinks to a speck, which then settles
# elsewhere. On six scenes that no figure is reported on, to stop at a tenth of what was prompted
# leaves out 147 of 176 such masks, and 12 of 455 that were right.
_LEAST_SHARE_BACK = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class PastFrame:
    """A frame that a track may still be followed back into.

    Attributes:
        frame_index: frame index.
        features: of its picture.
        outputs: what the network says of each track in it.
        size: height and width of the video.
    """

    frame_index: int
    features: FrameFeatures
    outputs: dict[int, TrackOutput]
    size: tuple[int, int]

    def may_take(self, track_id: int, revised_since: Mapping[int, int]) -> bool:
        """Return whether a track is followed back into it, see `PastFrames.follow_back`."""
        if track_id in revised_since:
            return self.frame_index >= revised_since[track_id]
        return track_id not in self.outputs

    def take(
        self, found: Mapping[int, TrackOutput], prompted_areas: Mapping[int, int]
    ) -> ChangedFrame:
        """Take over what was found of tracks, but for mere specks of what was prompted."""
        shown = masks_of_outputs({**self.outputs, **found}, self.size)
        areas = areas_of(shown)
        followed = [
            track_id
            for track_id in found
            if areas[track_id] >= _LEAST_SHARE_BACK * prompted_areas[track_id]
        ]
        self.outputs.update({track_id: found[track_id] for track_id in followed})
        if len(followed) < len(found):
            shown = masks_of_outputs(self.outputs, self.size)
        return ChangedFrame(frame_index=self.frame_index, tracked=shown, followed=tuple(followed))


# Follows tracks into a frame from what was found in the one after it.
Follow = Callable[[PastFrame, list[int], Mapping[int, TrackOutput]], Mapping[int, TrackOutput]]


class PastFrames:
    """The last frames before the current one.

    Args:
        at_most: how many are kept.
    """

    def __init__(self, at_most: int) -> None:
        self._frames: deque[PastFrame] = deque(maxlen=at_most)

    def __iter__(self) -> Iterator[PastFrame]:
        return iter(self._frames)

    def append(self, past: PastFrame) -> None:
        """Keep a frame, in place of the oldest one if there are too many."""
        self._frames.append(past)

    def latest_outputs(self) -> dict[int, TrackOutput]:
        """Return what the network says of each track in the last frame that is kept."""
        return self._frames[-1].outputs if self._frames else {}

    def clear(self) -> None:
        """Keep no frame any more."""
        self._frames.clear()

    def withdraw(self, track_ids: Collection[int]) -> list[ChangedFrame]:
        """Take tracks out of all frames; what they hid of other tracks is seen again.

        Returns:
            The frames that changed, the oldest first.
        """
        changed = []
        for past in self._frames:
            of_frame = past.outputs.keys() & set(track_ids)
            for track_id in of_frame:
                del past.outputs[track_id]
            if of_frame:
                tracked = masks_of_outputs(past.outputs, past.size)
                changed.append(ChangedFrame(frame_index=past.frame_index, tracked=tracked))
        return changed

    def follow_back(
        self,
        following: list[int],
        revised_since: Mapping[int, int],
        prompted: Mapping[int, TrackOutput],
        follow: Follow,
    ) -> list[ChangedFrame]:
        """Follow tracks back, for as long as they are visible and no specks of what was prompted.

        Args:
            following: the tracks; each for as far as the frames do not have it yet.
            revised_since: those of them that may take the place of what was tracked, and the
                first frame of each that may change.
            prompted: what the network says of them in the current frame.
            follow: follows them into one frame more.

        Returns:
            The frames that changed, the latest first.
        """
        changed: list[ChangedFrame] = []
        if not self._frames:
            return changed
        areas = areas_of(masks_of_outputs(prompted, self._frames[-1].size))
        before = prompted
        for past in reversed(self._frames):
            following = [number for number in following if past.may_take(number, revised_since)]
            if not following:
                break
            before = follow(past, following, before)
            seen = {number: before[number] for number in following if before[number].is_visible}
            frame = past.take(seen, areas)
            following = list(frame.followed)
            if following:
                changed.append(frame)
        return changed
