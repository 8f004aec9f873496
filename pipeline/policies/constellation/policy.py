"""The constellation policy: a set of rules that decide when the overseer re-prompts the tracker."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.labels import LabelSet
from pipeline.policies.constellation.candidates import Candidates
from pipeline.policies.constellation.looks import Adaptive, Finding, LookSchedule
from pipeline.policies.constellation.matching import (
    Matches,
    explain,
    explain_by_class,
    jumped_tracks,
    twin_tracks,
    without_second_classes,
)
from pipeline.policies.constellation.outside import shows_nothing_known
from pipeline.policies.constellation.returns import LeftTrack
from pipeline.policies.constellation.settings import ConstellationSettings, Rule
from pipeline.policies.constellation.sightings import Sighting, are_astray, sightings
from pipeline.policies.constellation.track_register import TrackRegister
from pipeline.policies.constellation.twins import Twins
from pipeline.policy import Decision, next_track_id, prompt_from
from pipeline.records import Detections, Prompt, PromptReason, TrackedMasks
from pipeline.scene_changes import NO_SIGNS, FrameSigns

# Prompts for what was not there on the frame before.
_CAME = (PromptReason.ENTERED, PromptReason.RETURNED)


@dataclass(slots=True)
class Constellation:
    """Prompt what is new, correct what has drifted, end what has gone.

    Args:
        label_set: tells things, which have instances, from stuff, which has one track.
        settings: rules and thresholds.
        schedule: when the overseer looks.
    """

    label_set: LabelSet
    settings: ConstellationSettings = field(default_factory=ConstellationSettings)
    schedule: LookSchedule = field(default_factory=Adaptive)
    _tracks: TrackRegister = field(init=False)
    _reserved: frozenset[int] = frozenset()
    _candidates: Candidates = field(init=False)
    _twins: Twins = field(init=False)
    _outside: bool = False
    _astray: bool = False

    def __post_init__(self) -> None:
        """Remember nothing yet."""
        self._tracks = TrackRegister(self.label_set, self.settings)
        self._candidates = Candidates(self.settings)
        self._twins = Twins(self.settings)

    def wants_overseer(self, frame_index: int, signs: FrameSigns = NO_SIGNS) -> bool:
        """Return whether the schedule has a look at a frame."""
        return self.schedule.wants(frame_index, signs)

    def doubts(self, frame_index: int, tracked: TrackedMasks) -> bool:
        """Return whether what the tracker sees asks for a look of the overseer after all."""
        return self.schedule.doubts(frame_index, tracked)

    def class_of(self, track_id: int) -> int:
        """Return the class of a track."""
        return self._tracks.classes[track_id]

    def reserve(self, track_ids: Collection[int]) -> None:
        """Leave ids to tracks that somebody else is going to start."""
        self._reserved = frozenset(track_ids)

    def adopt(self, track_id: int, class_id: int, frame_index: int) -> None:
        """Take over a track that somebody else started, and whose class is certain."""
        self._tracks.follow(track_id, class_id, frame_index, score=math.inf)
        self._tracks.followed[track_id].seen_again = True

    def release(self, track_ids: Collection[int]) -> None:
        """Follow tracks no longer, which somebody else has ended; they may come back."""
        for track_id in self._tracks.followed.keys() & set(track_ids):
            self._tracks.leave(track_id)

    def state(self) -> dict[str, Any]:
        """Return what it remembers, as JSON can hold it."""
        return {
            **self._tracks.state(),
            "candidates": self._candidates.state(),
            "twins": self._twins.state(),
            "outside": self._outside,
            "schedule": self.schedule.state(),
        }

    def restore(self, values: dict[str, Any]) -> None:
        """Go on from a state."""
        self._tracks.restore(values)
        self._candidates.restore(values["candidates"])
        self._twins.restore(values["twins"])
        self._outside = values["outside"]
        self.schedule.restore(values["schedule"])

    def decide(
        self,
        frame_index: int,
        detections: Detections | None,
        tracked: TrackedMasks,
        signs: FrameSigns = NO_SIGNS,
    ) -> Decision:
        """Compare what the overseer sees with what the tracker follows."""
        jumped = self._jumped(tracked)
        if detections is None:
            outside = self._outside or signs.black
            return Decision(out_of_body=outside, unusable=signs.unusable, hidden=jumped)
        self._astray = False
        decision = self._judge(frame_index, detections, tracked.without(jumped), signs)
        self.schedule.looked(frame_index, self._finding())
        return replace(decision, hidden=jumped)

    def _jumped(self, tracked: TrackedMasks) -> tuple[int, ...]:
        if not self._follows(Rule.JUMPED):
            return ()
        return jumped_tracks(tracked, self._tracks.classes, self.label_set, self.settings.jump_iou)

    def _finding(self) -> Finding:
        """Return what the look at the current frame leaves to be done."""
        if self._astray:
            return Finding.ASTRAY
        waiting = any(track.contradictions for track in self._tracks.followed.values())
        return Finding.WAITING if self._candidates or waiting else Finding.SETTLED

    def _judge(
        self, frame_index: int, detections: Detections, tracked: TrackedMasks, signs: FrameSigns
    ) -> Decision:
        """Tell which picture this is, and apply the rules for it."""
        was_outside = self._outside
        self._outside = (signs.cut or was_outside) and self._shows_no_body(detections)
        if self._outside:
            return Decision(out_of_body=True)
        if self._follows(Rule.DISTINCT):
            detections = without_second_classes(
                detections, self.label_set, self.settings.distinct_iou
            )
        self._tracks.note_traces(frame_index, tracked)
        if self._follows(Rule.SCENE_CUT) and (signs.cut or was_outside):
            return self._regroup(frame_index, detections, tracked)
        return self._compare(frame_index, detections, tracked)

    def _shows_no_body(self, detections: Detections) -> bool:
        """Return whether another picture shows nothing, or nothing like what was followed."""
        if not self._follows(Rule.OUT_OF_BODY):
            return False
        # Instruments differ, also within the body: only who knows tissue misses it.
        has_tissue = any(map(self.label_set.is_stuff, self._tracks.classes.values()))
        known = self._tracks.appearances() if has_tissue else []
        return shows_nothing_known(detections, known, self.settings)

    def _follows(self, rule: Rule) -> bool:
        return rule in self.settings.rules

    def _explain(self, detections: Detections, tracked: TrackedMasks) -> Matches:
        return explain(detections, tracked, self._tracks.classes, self.label_set, self.settings)

    def _compare(self, frame_index: int, detections: Detections, tracked: TrackedMasks) -> Decision:
        """Apply the rules to a frame of the picture that was there before."""
        explained = self._explain(detections, tracked)
        merged = self._merge(tracked, explained)
        taken = set(tracked.track_ids[[*explained.values(), *merged]].tolist())
        lost = self._tracks.lost(tracked)
        seen = sightings(frame_index, detections, tracked, explained)
        self._astray = self._follows(Rule.TRUSTED) and are_astray(seen, self.settings)
        corrections = [prompt for sighting in seen if (prompt := self._correct(sighting))]
        free = {track_id: left for track_id, left in lost.items() if track_id not in taken}
        entered = self._enter(frame_index, detections, set(explained), free)
        taken |= {prompt.track_id for prompt in (*corrections, *entered)}
        unseen = [row for row, i in enumerate(tracked.track_ids.tolist()) if i not in taken]
        ended, withdrawn = self._end(tracked, unseen)
        twins = tuple(tracked.track_ids[sorted(merged)].tolist())
        for track_id in twins:
            # If it was another object after all, it gets its id back when it shows again.
            self._tracks.leave(track_id)
        return Decision(
            prompts=(*corrections, *entered),
            ended=(*twins, *ended),
            withdrawn=withdrawn,
            **self._followed_back((*corrections, *entered), lost),
        )

    def _followed_back(
        self, prompts: Sequence[Prompt], lost: Mapping[int, LeftTrack]
    ) -> dict[str, Any]:
        """Return which of the prompted tracks are followed back, as `Decision` names them."""
        if not self._follows(Rule.BACK_FILLED):
            return {}
        came = [p.track_id for p in prompts if p.reason in _CAME]
        return {
            "back_filled": tuple(track_id for track_id in came if track_id not in lost),
            "revised_since": {i: lost[i].frame_index + 1 for i in came if i in lost},
        }

    def _regroup(self, frame_index: int, detections: Detections, tracked: TrackedMasks) -> Decision:
        """Find the tracks again in another picture of the scene, and start what is new in it."""
        self._candidates.forget()
        self._twins.forget()
        explained = self._explain(detections, tracked)
        likeness = self._tracks.likeness(detections, tracked)
        explained |= explain_by_class(
            detections,
            tracked,
            self._tracks.classes,
            explained,
            likeness,
            self.settings.return_likeness,
        )
        corrections = [
            self._correct_after_cut(sighting)
            for sighting in sightings(frame_index, detections, tracked, explained)
            if sighting.score >= self.settings.confirm_score
        ]
        lost = set(range(len(tracked))) - set(explained.values())
        for row in lost:
            track = self._tracks.followed[int(tracked.track_ids[row])]
            left = self.settings.unsupported_looks - self.settings.unsupported_looks_after_cut
            track.looks_unsupported = max(track.looks_unsupported, left)
            # Not to be seen in the new picture does not make it false in the old one.
            track.seen_again = True
        entered = self._enter(frame_index, detections, set(explained), {})
        return Decision(prompts=(*corrections, *entered), **self._followed_back(entered, {}))

    def _correct_after_cut(self, sighting: Sighting) -> Prompt:
        """Prompt a track where it is in the new picture; its identity and memory stay."""
        track = self._tracks.followed[sighting.track_id]
        self._tracks.vote(sighting.track_id, sighting.class_id, sighting.score)
        track.looks_unseen = track.looks_unsupported = track.contradictions = 0
        track.seen_again = True
        track.last_prompt = sighting.frame_index
        return sighting.as_detected(self.class_of(sighting.track_id), PromptReason.SCENE_CUT)

    def _correct(self, sighting: Sighting) -> Prompt | None:
        """Prompt a track that the overseer contradicts, or renew one that it confirms."""
        track = self._tracks.followed[sighting.track_id]
        track.looks_unseen = track.looks_unsupported = 0
        track.seen_again = True
        if self._tracks.vote(sighting.track_id, sighting.class_id, sighting.score):
            class_id = self.class_of(sighting.track_id)
            prompt: Prompt | None = sighting.as_followed(class_id, PromptReason.RECLASSIFIED)
        else:
            prompt = self._corrected(sighting)
        if prompt is not None:
            track.last_prompt = sighting.frame_index
        return prompt

    def _corrected(self, sighting: Sighting) -> Prompt | None:
        rules, track = self.settings, self._tracks.followed[sighting.track_id]
        sure = sighting.score >= rules.drift_score
        contradicted = self._follows(Rule.DRIFTED) and sure and sighting.agreement < rules.drift_iou
        track.contradictions = track.contradictions + 1 if contradicted else 0
        if contradicted and track.contradictions >= rules.drift_looks:
            track.contradictions = 0
            reason = PromptReason.DRIFTED if sighting.is_followed else PromptReason.RETURNED
            return self._with_better_outline(sighting, reason)
        return self._renewed(sighting) if sure else None

    def _renewed(self, sighting: Sighting) -> Prompt | None:
        """Refine the outline of a track that the overseer agrees with, or renew its memory."""
        rules, track = self.settings, self._tracks.followed[sighting.track_id]
        if self._follows(Rule.MIDWAY) and rules.drift_iou <= sighting.agreement < rules.refine_iou:
            return self._with_better_outline(sighting, PromptReason.REFRESHED)
        due = sighting.frame_index - track.last_prompt >= rules.refresh_every
        if self._follows(Rule.REFRESHED) and due and sighting.agreement >= rules.refresh_iou:
            return sighting.as_followed(self.class_of(sighting.track_id), PromptReason.REFRESHED)
        return None

    def _with_better_outline(self, sighting: Sighting, reason: PromptReason) -> Prompt:
        """Prompt a track with the detection, or half-way to it where each may be as right."""
        is_lost = sighting.agreement < self.settings.midway_iou
        is_sure = sighting.score >= self.settings.trust_score and self._follows(Rule.TRUSTED)
        as_detected = is_lost or is_sure or not self._follows(Rule.MIDWAY)
        prompted = sighting.as_detected if as_detected else sighting.half_way
        return prompted(self.class_of(sighting.track_id), reason)

    def _enter(
        self,
        frame_index: int,
        detections: Detections,
        explained: set[int],
        lost: Mapping[int, LeftTrack],
    ) -> list[Prompt]:
        """Start tracks for detections that no track explains."""
        numbers = [number for number in range(len(detections)) if number not in explained]
        confirmed = self._candidates.confirmed(detections, numbers)
        returned = self._tracks.returned(frame_index, detections, confirmed, lost)
        return [
            self._start(frame_index, detections, number, returned.get(number))
            for number in confirmed
        ]

    def _start(
        self, frame_index: int, detections: Detections, number: int, track_id: int | None
    ) -> Prompt:
        """Start a track, or one that was there before: its old id comes back."""
        class_id = int(detections.class_ids[number])
        reason = PromptReason.RETURNED
        if track_id is None:
            reason, track_id = (
                PromptReason.ENTERED,
                next_track_id({*self._tracks.classes, *self._reserved}),
            )
        self._tracks.follow(track_id, class_id, frame_index, float(detections.scores[number]))
        # What was there before is not false for having been seen once since.
        self._tracks.followed[track_id].seen_again = reason is PromptReason.RETURNED
        return prompt_from(detections, number, frame_index, track_id, reason)

    def _merge(self, tracked: TrackedMasks, explained: Matches) -> set[int]:
        """Find tracks that share one object; returns the rows that end."""
        if not self._follows(Rule.MERGED):
            return set()
        pairs = twin_tracks(
            tracked, explained, self._tracks.classes, self.label_set, self.settings.merge_iou
        )
        return self._twins.merge(pairs, tracked, explained)

    def _end(
        self, tracked: TrackedMasks, unseen: list[int]
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """End tracks that nobody sees, or only the tracker; returns (ended, withdrawn)."""
        ended: list[int] = []
        withdrawn: list[int] = []
        for row in unseen:
            track_id = int(tracked.track_ids[row])
            track = self._tracks.followed[track_id]
            visible = self._tracks.is_visible(tracked, row)
            track.miss(visible=visible)
            if self._follows(Rule.WITHDRAWN) and track.is_false(self.settings):
                withdrawn.append(track_id)
            elif self._follows(Rule.GONE) and track.is_gone(self.settings):
                ended.append(track_id)
                self._tracks.leave(track_id)
        for track_id in withdrawn:
            del self._tracks.followed[track_id]
        return tuple(ended), tuple(withdrawn)
