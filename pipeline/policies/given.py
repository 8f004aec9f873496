"""Prompts that are given: alone, or beside what another policy decides."""

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np

from pipeline.masks import iou_matrix
from pipeline.pairs import best_pairs
from pipeline.policy import AdoptingPolicy, Decision
from pipeline.records import Detections, Prompt, TrackedMasks
from pipeline.scene_changes import NO_SIGNS, FrameSigns


class Given:
    """Prompt with given masks only, on given frames; each says whose it is.

    Of two given masks of a track the nearer one says most, so a track is followed back from the
    later one, half-way to the earlier one.

    Args:
        prompts_by_frame: the prompts for each frame index.
        whole_frames: frames on which all is given that is there, and nobody else knows of more:
            what is new on one of them is followed back to the one before.
        classes: the class of each track, where that is known without the prompts.
    """

    def __init__(
        self,
        prompts_by_frame: Mapping[int, tuple[Prompt, ...]],
        whole_frames: Collection[int] = (),
        classes: Mapping[int, int] | None = None,
    ) -> None:
        self._prompts = prompts_by_frame
        self._given_frames = sorted(prompts_by_frame)
        self._whole_frames = set(whole_frames)
        self._last_given: dict[int, int] = {}
        if classes is None:
            every = chain.from_iterable(prompts_by_frame.values())
            classes = {prompt.track_id: prompt.class_id for prompt in every}
        self._classes = dict(classes)

    @property
    def track_ids(self) -> Collection[int]:
        """The tracks that are known to be given, now or later."""
        return self._classes.keys()

    def gives(self, frame_index: int) -> bool:
        """Return whether anything is given for a frame, if only that nothing is there."""
        return frame_index in self._prompts

    def wants_overseer(self, frame_index: int, signs: FrameSigns = NO_SIGNS) -> bool:
        """Return False: the overseer is not needed."""
        del frame_index, signs
        return False

    def doubts(self, frame_index: int, tracked: TrackedMasks) -> bool:
        """Return False: the tracker is believed."""
        del frame_index, tracked
        return False

    def class_of(self, track_id: int) -> int:
        """Return the class of a track."""
        return self._classes[track_id]

    def decide(
        self,
        frame_index: int,
        detections: Detections | None,
        tracked: TrackedMasks,
        signs: FrameSigns = NO_SIGNS,
    ) -> Decision:
        """Return the prompts that were given for the frame."""
        del detections, tracked, signs
        prompts = self._prompts.get(frame_index, ())
        return Decision(prompts=prompts, revised_since=self._revised_since(frame_index, prompts))

    def _revised_since(self, frame_index: int, prompts: Sequence[Prompt]) -> dict[int, int]:
        """Return the first frame that each track's mask says more of than what was given before."""
        if not prompts:
            return {}
        place = bisect_left(self._given_frames, frame_index)
        before = self._given_frames[place - 1] if place else -1
        since = {}
        for track_id in (prompt.track_id for prompt in prompts):
            if track_id in self._last_given:
                half_way = (self._last_given[track_id] + frame_index) // 2
                since[track_id] = max(half_way, before) + 1
            elif {before, frame_index} <= self._whole_frames:
                since[track_id] = before + 1
            self._last_given[track_id] = frame_index
        return since

    def state(self) -> dict[str, Any]:
        """Return what it remembers, as JSON can hold it."""
        return {
            "classes": list(self._classes.items()),
            "last given": list(self._last_given.items()),
        }

    def restore(self, values: dict[str, Any]) -> None:
        """Go on from a state."""
        self._classes = dict(values["classes"])
        self._last_given = dict(values["last given"])


class GivenParts(Given):
    """Prompt with given masks that do not say whose they are, as parts of plain masks.

    A part goes to the track of its class that it overlaps most, or starts a new one; a track
    of parts that has none on a given frame ends. A class of stuff has one track, which comes back.

    Args:
        parts_by_frame: prompts with masks for each given frame, which may be none; their track
            ids do not count.
        whole_frames: as of `Given`.
        stuff: ids of the classes of stuff.
    """

    def __init__(
        self,
        parts_by_frame: Mapping[int, tuple[Prompt, ...]],
        whole_frames: Collection[int] = (),
        stuff: Collection[int] = (),
    ) -> None:
        super().__init__(parts_by_frame, whole_frames, classes={})
        self._stuff = frozenset(stuff)
        self._highest_id = 0

    def decide(
        self,
        frame_index: int,
        detections: Detections | None,
        tracked: TrackedMasks,
        signs: FrameSigns = NO_SIGNS,
    ) -> Decision:
        """Return the prompts that were given for the frame, with the ids of their tracks."""
        self._highest_id = max(self._highest_id, *tracked.track_ids.tolist(), *self._classes, 0)
        if frame_index not in self._prompts:
            return Decision()
        parts = self._prompts[frame_index]
        rows = self._match(parts, tracked)
        prompts = []
        for number, part in enumerate(parts):
            if number in rows:
                track_id = int(tracked.track_ids[rows[number]])
            else:
                track_id = self._track_elsewhere(part.class_id)
            self._classes[track_id] = part.class_id
            prompts.append(replace(part, track_id=track_id))
        kept = {prompt.track_id for prompt in prompts}
        # Tracks that another policy started are not ours to end.
        own = [track_id for track_id in tracked.track_ids.tolist() if track_id in self._classes]
        ended = tuple(track_id for track_id in own if track_id not in kept)
        for track_id in ended:
            # If it comes back, its last mask says nothing of the frames until then.
            self._last_given.pop(track_id, None)
        return Decision(
            prompts=tuple(prompts),
            ended=ended,
            revised_since=self._revised_since(frame_index, prompts),
        )

    def state(self) -> dict[str, Any]:
        """Return what it remembers, as JSON can hold it."""
        return {**super().state(), "highest id": self._highest_id}

    def restore(self, values: dict[str, Any]) -> None:
        """Go on from a state."""
        super().restore(values)
        self._highest_id = values["highest id"]

    def _track_elsewhere(self, class_id: int) -> int:
        """Return the id of a part that overlaps no track: of stuff the one that it had before."""
        if class_id in self._stuff:
            for track_id, known in self._classes.items():
                if known == class_id:
                    return track_id
        self._highest_id += 1
        return self._highest_id

    def _match(self, parts: Sequence[Prompt], tracked: TrackedMasks) -> dict[int, int]:
        """Return the row in `tracked` of each part that overlaps a track, the best pair first."""
        if not parts or not len(tracked):
            return {}
        iou = iou_matrix(np.stack([np.asarray(part.mask) for part in parts]), tracked.masks)
        classes = [self._classes.get(track_id) for track_id in tracked.track_ids.tolist()]
        same_class = np.array([[part.class_id == known for known in classes] for part in parts])
        return best_pairs(iou, same_class & (iou > 0))


class WithGivenPrompts:
    """A policy that also takes given masks, besides what the overseer sees.

    Args:
        policy: decides about everything else; it takes over the given tracks.
        given: the given prompts.
    """

    def __init__(self, policy: AdoptingPolicy, given: Given) -> None:
        self._policy = policy
        self._given = given
        self._missed_cut = False
        self._given_since: set[int] = set()
        policy.reserve(given.track_ids)

    def wants_overseer(self, frame_index: int, signs: FrameSigns = NO_SIGNS) -> bool:
        """Return whether the overseer should look at a frame."""
        return self._policy.wants_overseer(frame_index, signs)

    def doubts(self, frame_index: int, tracked: TrackedMasks) -> bool:
        """Return whether what the tracker sees asks for a look of the overseer after all."""
        if self._given.gives(frame_index):
            return False
        return self._missed_cut or self._policy.doubts(frame_index, tracked)

    def class_of(self, track_id: int) -> int:
        """Return the class of a track."""
        return self._policy.class_of(track_id)

    def decide(
        self,
        frame_index: int,
        detections: Detections | None,
        tracked: TrackedMasks,
        signs: FrameSigns = NO_SIGNS,
    ) -> Decision:
        """Give the given prompts, and the policy a cut on their frame later; else it decides."""
        given = self._given.decide(frame_index, detections, tracked, signs)
        for prompt in given.prompts:
            self._policy.adopt(prompt.track_id, prompt.class_id, frame_index)
        self._policy.release(given.ended)
        if given != Decision():
            self._missed_cut = self._missed_cut or signs.cut
            if self._missed_cut:
                self._given_since |= {prompt.track_id for prompt in given.prompts}
            return given
        signs = replace(signs, cut=signs.cut or self._missed_cut)
        decision = self._policy.decide(frame_index, detections, tracked, signs)
        if self._missed_cut and detections is not None:
            # What was drawn in the new picture needs no prompt in it.
            left = (p for p in decision.prompts if p.track_id not in self._given_since)
            decision = replace(decision, prompts=tuple(left))
            self._missed_cut, self._given_since = False, set()
        return decision

    def state(self) -> dict[str, Any]:
        """Return what both remember, as JSON can hold it."""
        return {
            "policy": self._policy.state(),
            "given": self._given.state(),
            "missed cut": self._missed_cut,
            "given since": sorted(self._given_since),
        }

    def restore(self, values: dict[str, Any]) -> None:
        """Go on from a state."""
        self._policy.restore(values["policy"])
        self._given.restore(values["given"])
        self._missed_cut = values["missed cut"]
        self._given_since = set(values["given since"])
