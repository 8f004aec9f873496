"""What the constellation knows of tracks: which are followed, which left, and what they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.labels import LabelSet
from pipeline.policies.constellation.followed_track import FOLLOWED, FollowedTrack
from pipeline.policies.constellation.returns import (
    Appearance,
    LeftTrack,
    LeftTracks,
    Traces,
    blended,
    likeness_of,
    place_of,
)
from pipeline.policies.constellation.settings import ConstellationSettings, Rule
from pipeline.records import Detections, TrackedMasks


@dataclass(slots=True)
class TrackRegister:
    """Keeps the tracks of a video, by their ids.

    Args:
        label_set: tells things, which have instances, from stuff, which has one track.
        settings: rules and thresholds.

    Attributes:
        followed: the tracks that are followed.
        classes: the class of each track that there ever was.
    """

    label_set: LabelSet
    settings: ConstellationSettings
    followed: dict[int, FollowedTrack] = field(default_factory=dict)
    classes: dict[int, int] = field(default_factory=dict)
    _left: LeftTracks = field(init=False)

    def __post_init__(self) -> None:
        """Remember nothing yet."""
        self._left = LeftTracks(self.settings)

    def follow(self, track_id: int, class_id: int, frame_index: int, score: float) -> None:
        """Follow a track from a frame on; of one that was there before, the past counts."""
        before = self.followed.get(track_id) or self._left.take_back(track_id)
        votes = dict(before.votes) if before else {}
        votes[class_id] = votes.get(class_id, 0.0) + score
        self.classes[track_id] = class_id
        self.followed[track_id] = FollowedTrack(
            last_prompt=frame_index,
            votes=votes,
            last_seen=frame_index,
            traces=before.traces if before else Traces(),
        )

    def vote(self, track_id: int, class_id: int, score: float) -> bool:
        """Count a detection's class; returns whether the track changed to it."""
        votes, known = self.followed[track_id].votes, self.classes[track_id]
        votes[class_id] = votes.get(class_id, 0.0) + score
        outvoted = votes[class_id] > self.settings.reclassify_margin * votes[known]
        followed = {self.classes[other] for other in self.followed}
        taken = self.label_set.is_stuff(class_id) and class_id in followed
        if Rule.VOTE not in self.settings.rules or class_id == known or taken or not outvoted:
            return False
        self.classes[track_id] = class_id
        return True

    def leave(self, track_id: int) -> None:
        """Stop following a track, which may come back."""
        self._left.leave(self._as_left(track_id))
        del self.followed[track_id]

    def is_visible(self, tracked: TrackedMasks, row: int) -> bool:
        """Return whether the tracker sees a track."""
        present = tracked.presence[row] >= self.settings.gone_presence
        return bool(present and tracked.masks[row].any())

    def note_traces(self, frame_index: int, tracked: TrackedMasks) -> None:
        """Remember where each visible track is, and how it looks, for when it comes back."""
        for row, track_id in enumerate(tracked.track_ids.tolist()):
            if self.is_visible(tracked, row):
                track = self.followed[track_id]
                track.last_seen = frame_index
                track.traces = Traces(
                    place=place_of(tracked.masks[row]),
                    appearance=blended(track.traces.appearance, self._appearance(tracked, row)),
                )

    def lost(self, tracked: TrackedMasks) -> dict[int, LeftTrack]:
        """Return the followed tracks that the tracker does not see, as if they had left."""
        return {
            track_id: self._as_left(track_id)
            for row, track_id in enumerate(tracked.track_ids.tolist())
            if not self.is_visible(tracked, row)
        }

    def returned(
        self,
        frame_index: int,
        detections: Detections,
        numbers: Sequence[int],
        lost: Mapping[int, LeftTrack],
    ) -> dict[int, int]:
        """Return which tracks new objects were before.

        Args:
            frame_index: the frame.
            detections: what the overseer sees in it.
            numbers: of the new objects.
            lost: tracks that are followed but that nobody sees.

        Returns:
            Track ids by the numbers of objects that were there; a class of stuff has one track.
        """
        classes = {number: int(detections.class_ids[number]) for number in numbers}
        owners = {class_id: track_id for track_id, class_id in reversed(self.classes.items())}
        stuff = {n: classes[n] for n in numbers if self.label_set.is_stuff(classes[n])}
        returned = {n: owners[class_id] for n, class_id in stuff.items() if class_id in owners}
        if Rule.RETURNED not in self.settings.rules:
            return returned
        things = [number for number in numbers if number not in stuff]
        new = [(classes[number], self._traces(detections, number)) for number in things]
        likely = self._left.likeliest(new, frame_index, list(lost.values()))
        return returned | {things[place]: track_id for place, track_id in likely.items()}

    def likeness(self, detections: Detections, tracked: TrackedMasks) -> NDArray[np.float64]:
        """Return how much each of N detections looks like each of M tracks has, float64[N, M]."""
        looks = [self.followed[i].traces.appearance for i in tracked.track_ids.tolist()]
        seen = [self._appearance(detections, number) for number in range(len(detections))]
        likeness = [likeness_of(now, before) for now in seen for before in looks]
        return np.array(likeness, np.float64).reshape(len(seen), len(looks))

    def appearances(self) -> list[Appearance]:
        """Return how all tracks have looked, also those that left."""
        followed = [track.traces.appearance for track in self.followed.values()]
        return followed + self._left.appearances()

    def state(self) -> dict[str, Any]:
        """Return what is remembered, as JSON can hold it."""
        return {
            "tracks": FOLLOWED.dump_python(self.followed, mode="json"),
            "classes": list(self.classes.items()),
            "left": self._left.state(),
        }

    def restore(self, values: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.followed = FOLLOWED.validate_python(values["tracks"])
        self.classes = dict(values["classes"])
        self._left.restore(values["left"])

    def _traces(self, detections: Detections, number: int) -> Traces:
        appearance = self._appearance(detections, number)
        return Traces(place=place_of(detections.masks[number]), appearance=appearance)

    def _appearance(self, seen: Detections | TrackedMasks, row: int) -> Appearance:
        if seen.appearances is None or Rule.APPEARANCE not in self.settings.rules:
            return ()
        return tuple(seen.appearances[row].tolist())

    def _as_left(self, track_id: int) -> LeftTrack:
        track = self.followed[track_id]
        return LeftTrack(
            track_id=track_id,
            class_id=self.classes[track_id],
            frame_index=track.last_seen,
            traces=track.traces,
            votes=track.votes,
        )
