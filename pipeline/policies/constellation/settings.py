"""The rules of the constellation policy by name, and their thresholds."""

from dataclasses import dataclass
from enum import StrEnum


class Rule(StrEnum):
    """A rule of the constellation policy that can be left out, to see what it is worth."""

    APPEARANCE = "appearance"
    BACK_FILLED = "back-filled"
    DISTINCT = "distinct"
    DRIFTED = "drifted"
    GONE = "gone"
    JUMPED = "jumped"
    MERGED = "merged"
    MIDWAY = "midway"
    OUT_OF_BODY = "out-of-body"
    REFRESHED = "refreshed"
    RETURNED = "returned"
    SCENE_CUT = "scene-cut"
    TRUSTED = "trusted"
    VOTE = "vote"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstellationSettings:
    """Thresholds of the constellation policy.

    They were chosen on scenes of the simulated theatre that the figures are not measured on.

    Attributes:
        rules: the rules that are followed; all of them, but to measure what one is worth.
        enter_score: a detection this sure starts a track; less sure ones must be seen again.
        confirm_score: a detection this sure starts a track when two looks in a row show it.
        confirm_iou: overlap of the same object in two looks in a row.
        candidate_looks: what more looks in a row than this have shown, none of them sure enough to
            start a track, is waited for no longer: the next look comes when it is due.
        explain_iou: a detection with this IoU to a track of its class is that track.
        explain_containment: or with this share of the smaller inside the larger, for things.
        other_class_iou: a detection of another class with this IoU to a track is that track too,
            and votes for the other class.
        distinct_iou: things of different classes with this IoU are one object, of which the
            surest detection counts (SASVi's threshold between classes is 0.7).
        reclassify_margin: a track changes its class when the scores of all detections of
            another class sum up to this many times those of its own.
        drift_iou: an explained detection below this IoU contradicts the track.
        drift_score: only detections this sure can contradict or refresh a track.
        drift_looks: contradictions in a row until the track is prompted again.
        midway_iou: a correction above this IoU takes the outline half-way between detection and
            track, which both err a little; below it the track has lost the object.
        trust_score: what the overseer is so sure of it outlines better than the tracker does: a
            correction takes the detection as it is. Where half of what it is so sure of
            contradicts the tracks, the tracker goes astray.
        refine_iou: a detection that agrees, but has less IoU than this, takes the track's outline
            half-way to its own.
        refresh_iou: above this IoU overseer and tracker agree.
        refresh_every: frames between two renewals of an agreed track's memory.
        gone_presence: a track below this presence counts as not visible.
        gone_looks: looks in a row without detection and visibility until a track ends.
        unsupported_looks: looks in a row without detection until a visible track ends.
        unsupported_looks_after_cut: likewise for a track that was not seen after a cut.
        withdraw_looks: likewise for a track that was never seen again since its start; it is
            taken out of the frames that it had.
        merge_iou: two tracks that claim the same pixels with this IoU are one object, if the
            overseer does not see two.
        jump_iou: a track that claims what another one claims too, with this IoU, and that was
            not there on the frame before as the other one was, has jumped to another's object.
        merge_looks: looks that show two tracks as one object until they are merged.
        return_frames: a track that left may come back for this long.
        return_distance: it comes back at most this far from where it left, as a share of the
            picture's diagonal.
        return_likeness: and only if it looks like this: the cosine between the encoder's mean
            features under its masks before and after. On true masks of held-out scenes the same
            things have 0.66 and more (95 %), others of their class 0.71 in the median, of other
            classes 0.36; what has just entered is seen in part, hence so little.
        outside_likeness: after a cut, a picture in which nothing looks this much like anything
            that was followed before is out of the body. With the models that ship the likeness is
            0.90 and more after 94 cuts within the body, and 0.74 at most after 40 out of it.
        outside_classes: but not a picture with so many classes, of which the overseer sees up to
            three out of the body.
    """

    rules: frozenset[Rule] = frozenset(Rule)
    enter_score: float = 0.8
    confirm_score: float = 0.55
    confirm_iou: float = 0.2
    candidate_looks: int = 3
    explain_iou: float = 0.3
    explain_containment: float = 0.6
    other_class_iou: float = 0.6
    distinct_iou: float = 0.5
    reclassify_margin: float = 1.5
    drift_iou: float = 0.8
    drift_score: float = 0.6
    drift_looks: int = 1
    midway_iou: float = 0.5
    trust_score: float = 0.98
    refine_iou: float = 0.9
    refresh_iou: float = 0.7
    refresh_every: int = 50
    gone_presence: float = 0.5
    gone_looks: int = 3
    unsupported_looks: int = 4
    unsupported_looks_after_cut: int = 2
    withdraw_looks: int = 4
    merge_iou: float = 0.6
    merge_looks: int = 2
    jump_iou: float = 0.5
    return_frames: int = 1500
    return_distance: float = 0.4
    return_likeness: float = 0.4
    outside_likeness: float = 0.8
    outside_classes: int = 4
