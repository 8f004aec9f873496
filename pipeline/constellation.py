"""The constellation policy: a set of rules that decide when the overseer re-prompts the tracker."""

import math
from dataclasses import dataclass, field, replace

import numpy as np

from pipeline.labels import LabelSet
from pipeline.masks import containment_matrix, iou_matrix
from pipeline.policy import Decision, next_track_id, prompt_from
from pipeline.records import Detections, Prompt, PromptReason, TrackedMasks
from pipeline.scene_changes import NO_SIGNS, FrameSigns


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstellationSettings:
    """Thresholds of the constellation policy.

    Attributes:
        overseer_every: the overseer looks at each Nth frame.
        enter_score: a detection this sure starts a track; less sure ones must be seen again.
        confirm_score: a detection this sure starts a track when two looks in a row show it.
        explain_iou: a detection with this IoU to a track of its class is that track.
        explain_containment: or with this share of the smaller inside the larger, for things.
        other_class_iou: a detection of another class with this IoU to a track is that track too,
            and votes for the other class.
        reclassify_margin: a track changes its class when the scores of all detections of
            another class sum up to this many times those of its own.
        drift_iou: an explained detection below this IoU contradicts the track.
        drift_score: only detections this sure can contradict or refresh a track.
        drift_looks: contradictions in a row until the track is prompted again.
        refresh_iou: above this IoU overseer and tracker agree.
        refresh_every: frames between two renewals of an agreed track's memory.
        gone_presence: a track below this presence counts as not visible.
        gone_looks: looks in a row without detection and visibility until a track ends.
        unsupported_looks: looks in a row without detection until a visible track ends.
        unsupported_looks_after_cut: likewise for a track that was not seen after a cut.
    """

    overseer_every: int = 5
    enter_score: float = 0.7
    confirm_score: float = 0.45
    explain_iou: float = 0.3
    explain_containment: float = 0.6
    other_class_iou: float = 0.6
    reclassify_margin: float = 1.5
    drift_iou: float = 0.5
    drift_score: float = 0.7
    drift_looks: int = 2
    refresh_iou: float = 0.7
    refresh_every: int = 50
    gone_presence: float = 0.5
    gone_looks: int = 3
    unsupported_looks: int = 8
    unsupported_looks_after_cut: int = 2


@dataclass(slots=True)
class _Follow:
    """What the policy knows of one track; `votes` are sums of scores by class."""

    last_prompt: int
    votes: dict[int, float]
    contradictions: int = 0
    looks_unseen: int = 0
    looks_unsupported: int = 0


@dataclass(slots=True)
class Constellation:
    """Prompt what is new, correct what has drifted, end what has gone.

    Args:
        label_set: tells things, which have instances, from stuff, which has one track.
        settings: thresholds.
    """

    label_set: LabelSet
    settings: ConstellationSettings = field(default_factory=ConstellationSettings)
    _tracks: dict[int, _Follow] = field(default_factory=dict)
    _classes: dict[int, int] = field(default_factory=dict)
    _candidates: list[tuple[int, np.ndarray]] = field(default_factory=list)
    _outside: bool = False

    def wants_overseer(self, frame_index: int, signs: FrameSigns = NO_SIGNS) -> bool:
        """Return True on each Nth frame and after a cut, if there is light."""
        return not signs.black and (signs.cut or frame_index % self.settings.overseer_every == 0)

    def class_of(self, track_id: int) -> int:
        """Return the class of a track."""
        return self._classes[track_id]

    def adopt(self, track_id: int, class_id: int, frame_index: int) -> None:
        """Take over a track that somebody else started, and whose class is certain."""
        self._follow(track_id, class_id, frame_index, score=math.inf)

    def _follow(self, track_id: int, class_id: int, frame_index: int, score: float) -> None:
        self._classes[track_id] = class_id
        self._tracks[track_id] = _Follow(last_prompt=frame_index, votes={class_id: score})

    def decide(
        self,
        frame_index: int,
        detections: Detections | None,
        tracked: TrackedMasks,
        signs: FrameSigns = NO_SIGNS,
    ) -> Decision:
        """Compare what the overseer sees with what the tracker follows."""
        if detections is None:
            return Decision(out_of_body=self._outside or signs.black)
        was_outside = self._outside
        nothing_seen = not (detections.scores >= self.settings.confirm_score).any()
        self._outside = nothing_seen and (signs.cut or was_outside)
        if self._outside:
            return Decision(out_of_body=True)
        if signs.cut or was_outside:
            return self._regroup(frame_index, detections, tracked)
        explained = self._explain(detections, tracked)
        corrections = [
            prompt
            for number, row in explained.items()
            if (prompt := self._correct(frame_index, detections, number, tracked, row))
        ]
        entered = self._enter(frame_index, detections, set(explained))
        ended = self._end(tracked, set(explained.values()))
        started = {prompt.track_id for prompt in (*corrections, *entered)}
        return Decision(
            prompts=(*corrections, *entered),
            ended=tuple(track_id for track_id in ended if track_id not in started),
            back_filled=tuple(prompt.track_id for prompt in entered),
        )

    def _regroup(self, frame_index: int, detections: Detections, tracked: TrackedMasks) -> Decision:
        """Find the tracks again in another picture of the scene, and start what is new in it."""
        explained = self._explain(detections, tracked)
        explained |= self._explain_by_class(detections, tracked, explained)
        corrections = [
            self._correct_after_cut(frame_index, detections, number, tracked, row)
            for number, row in explained.items()
            if detections.scores[number] >= self.settings.confirm_score
        ]
        lost = set(range(len(tracked))) - set(explained.values())
        for row in lost:
            track = self._tracks[int(tracked.track_ids[row])]
            left = self.settings.unsupported_looks - self.settings.unsupported_looks_after_cut
            track.looks_unsupported = max(track.looks_unsupported, left)
        entered = self._enter(frame_index, detections, set(explained))
        return Decision(
            prompts=(*corrections, *entered),
            back_filled=tuple(prompt.track_id for prompt in entered),
        )

    def _explain_by_class(
        self, detections: Detections, tracked: TrackedMasks, explained: dict[int, int]
    ) -> dict[int, int]:
        """Match what is left by class alone, the surest detection first."""
        matches: dict[int, int] = {}
        for number in np.argsort(-detections.scores, kind="stable").tolist():
            taken = {*explained.values(), *matches.values()}
            class_id = int(detections.class_ids[number])
            free = [
                row
                for row, track_id in enumerate(tracked.track_ids.tolist())
                if row not in taken and self._classes[track_id] == class_id
            ]
            if number not in explained and free:
                matches[number] = free[0]
        return matches

    def _correct_after_cut(
        self,
        frame_index: int,
        detections: Detections,
        number: int,
        tracked: TrackedMasks,
        row: int,
    ) -> Prompt:
        """Prompt a track where it is in the new picture; its identity and memory stay."""
        track_id = int(tracked.track_ids[row])
        track = self._tracks[track_id]
        self._vote(track_id, int(detections.class_ids[number]), float(detections.scores[number]))
        track.looks_unseen = track.looks_unsupported = track.contradictions = 0
        track.last_prompt = frame_index
        reason = PromptReason.SCENE_CUT
        prompt = prompt_from(detections, number, frame_index, track_id, reason)
        return replace(prompt, class_id=self._classes[track_id])

    def _explain(self, detections: Detections, tracked: TrackedMasks) -> dict[int, int]:
        """Match detections to tracks, each at most once, of the same class first.

        Returns:
            The row in `tracked` of each detection that a track explains.
        """
        if not len(detections) or not len(tracked):
            return {}
        rules = self.settings
        iou = iou_matrix(detections.masks, tracked.masks)
        containment = containment_matrix(detections.masks, tracked.masks)
        track_classes = [self._classes[int(track_id)] for track_id in tracked.track_ids]
        pairs: list[tuple[bool, float, int, int]] = []
        for number, class_id in enumerate(detections.class_ids):
            stuff = self.label_set.is_stuff(int(class_id))
            for row, track_class in enumerate(track_classes):
                overlaps = (
                    iou[number, row] >= rules.explain_iou
                    or containment[number, row] >= rules.explain_containment
                )
                same = bool(track_class == class_id)
                # A stuff class has one track, so it explains the class wherever it is.
                explains = overlaps or stuff if same else iou[number, row] >= rules.other_class_iou
                if explains:
                    pairs.append((same, float(iou[number, row]), number, row))
        matches: dict[int, int] = {}
        for _, _, number, row in sorted(pairs, reverse=True):
            if number not in matches and row not in matches.values():
                matches[number] = row
        return matches

    def _correct(
        self,
        frame_index: int,
        detections: Detections,
        number: int,
        tracked: TrackedMasks,
        row: int,
    ) -> Prompt | None:
        """Prompt a track that the overseer contradicts, or renew one that it confirms."""
        rules = self.settings
        track_id = int(tracked.track_ids[row])
        track = self._tracks[track_id]
        track.looks_unseen = track.looks_unsupported = 0
        class_id, score = int(detections.class_ids[number]), float(detections.scores[number])
        if self._vote(track_id, class_id, score):
            return self._confirm(frame_index, tracked, row, PromptReason.RECLASSIFIED)
        agreement = iou_matrix(detections.masks[number][None], tracked.masks[row][None])[0, 0]
        sure = detections.scores[number] >= rules.drift_score
        if sure and agreement < rules.drift_iou:
            track.contradictions += 1
        else:
            track.contradictions = 0
        if track.contradictions >= rules.drift_looks:
            track.contradictions = 0
            track.last_prompt = frame_index
            reason = PromptReason.DRIFTED if tracked.masks[row].any() else PromptReason.RETURNED
            return prompt_from(detections, number, frame_index, track_id, reason)
        due = frame_index - track.last_prompt >= rules.refresh_every
        if sure and due and agreement >= rules.refresh_iou:
            return self._confirm(frame_index, tracked, row, PromptReason.REFRESHED)
        return None

    def _confirm(
        self, frame_index: int, tracked: TrackedMasks, row: int, reason: PromptReason
    ) -> Prompt:
        """Prompt a track with its own mask, whose outline is finer than the overseer's."""
        track_id = int(tracked.track_ids[row])
        self._tracks[track_id].last_prompt = frame_index
        return Prompt(
            frame_index=frame_index,
            track_id=track_id,
            class_id=self._classes[track_id],
            reason=reason,
            mask=tracked.masks[row],
            score=float(tracked.quality[row]),
        )

    def _vote(self, track_id: int, class_id: int, score: float) -> bool:
        """Count a detection's class; returns whether the track changed to it."""
        votes, known = self._tracks[track_id].votes, self._classes[track_id]
        votes[class_id] = votes.get(class_id, 0.0) + score
        needed = self.settings.reclassify_margin * votes[known]
        taken = self.label_set.is_stuff(class_id) and class_id in self._classes.values()
        if class_id == known or taken or votes[class_id] <= needed:
            return False
        self._classes[track_id] = class_id
        return True

    def _enter(self, frame_index: int, detections: Detections, explained: set[int]) -> list[Prompt]:
        """Start tracks for detections that no track explains."""
        rules = self.settings
        prompts = []
        candidates = []
        for number in range(len(detections)):
            if number in explained:
                continue
            class_id, mask = int(detections.class_ids[number]), detections.masks[number]
            score = detections.scores[number]
            seen_before = any(
                class_id == earlier and iou_matrix(mask[None], shape[None])[0, 0] > 0.2
                for earlier, shape in self._candidates
            )
            if score >= rules.enter_score or (score >= rules.confirm_score and seen_before):
                prompts.append(self._start(frame_index, detections, number))
            else:
                candidates.append((class_id, mask))
        self._candidates = candidates
        return prompts

    def _start(self, frame_index: int, detections: Detections, number: int) -> Prompt:
        """Start a track; a stuff class that had one gets its old id, since it has only one."""
        class_id = int(detections.class_ids[number])
        reason, track_id = PromptReason.ENTERED, next_track_id(self._classes)
        if self.label_set.is_stuff(class_id) and class_id in self._classes.values():
            reason = PromptReason.RETURNED
            track_id = next(known for known, owner in self._classes.items() if owner == class_id)
        self._follow(track_id, class_id, frame_index, float(detections.scores[number]))
        return prompt_from(detections, number, frame_index, track_id, reason)

    def _end(self, tracked: TrackedMasks, explained_rows: set[int]) -> list[int]:
        """End tracks that neither overseer nor tracker see, or that only the tracker sees."""
        ended = []
        for row, track_id in enumerate(int(value) for value in tracked.track_ids):
            if row in explained_rows:
                continue
            track = self._tracks[track_id]
            visible = (
                tracked.presence[row] >= self.settings.gone_presence and tracked.masks[row].any()
            )
            track.looks_unsupported += 1
            track.looks_unseen = 0 if visible else track.looks_unseen + 1
            if (
                track.looks_unseen >= self.settings.gone_looks
                or track.looks_unsupported >= self.settings.unsupported_looks
            ):
                del self._tracks[track_id]
                ended.append(track_id)
        return ended
