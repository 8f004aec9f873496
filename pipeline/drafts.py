"""Frames that are annotated but may still change, and the journal of their prompts."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from pipeline.masks import encode_mask, rle_area
from pipeline.records import (
    FrameAnnotation,
    Origin,
    Prompt,
    PromptReason,
    PromptRecord,
    TrackAnnotation,
    TrackedMasks,
)

# Of frames without masks, since they show no body or nothing can be outlined.
BLANK_FLAGS = frozenset(("out_of_body", "black", "blurred"))
# A draft's tracks get their classes when it is finished: until then the votes go on.
_CLASS_NOT_DECIDED = -1


@dataclass(slots=True)
class Draft:
    """A frame that may still change.

    Attributes:
        index: frame index.
        time_s: presentation time in seconds.
        overseer_ran: whether the overseer looked at it.
        prompts: what the tracker was told on it.
        flags: what is special about it.
        is_blank: whether it gets no masks, since it shows no body or nothing can be outlined.
        tracks: what is in it, by track id; classes are not decided yet.
    """

    index: int
    time_s: float
    overseer_ran: bool
    prompts: tuple[PromptRecord, ...]
    flags: tuple[str, ...] = ()
    is_blank: bool = False
    tracks: dict[int, TrackAnnotation] = field(default_factory=dict)

    def take(
        self,
        tracked: TrackedMasks,
        origins: Mapping[int, Origin],
        last_prompt: Mapping[int, int],
    ) -> None:
        """Take over the masks of all tracks, unless the frame is blank.

        Args:
            tracked: the masks; they do not overlap.
            origins: where the masks come from of tracks that are new here, or have another mask;
                the other tracks keep their origin and prompt, or are propagated.
            last_prompt: the last prompt of each track.
        """
        if self.is_blank:
            return
        known, self.tracks = self.tracks, {}
        # A track that is new here or taken out takes pixels from the others or gives some, so
        # what has kept its area has kept its mask; one with another mask may do both.
        is_revised = not known.keys().isdisjoint(origins)
        for row, track_id in enumerate(tracked.track_ids.tolist()):
            area = np.count_nonzero(tracked.masks[row])
            if not area:
                continue
            before = None if track_id in origins else known.get(track_id)
            is_same = before is not None and not is_revised and rle_area(before.rle) == area
            self.tracks[track_id] = TrackAnnotation(
                track_id=track_id,
                class_id=_CLASS_NOT_DECIDED,
                rle=before.rle if before and is_same else encode_mask(tracked.masks[row]),
                quality=float(tracked.quality[row]),
                presence=float(tracked.presence[row]),
                origin=before.origin if before else origins.get(track_id, Origin.PROPAGATED),
                prompt_id=before.prompt_id if before else last_prompt[track_id],
            )

    def withdraw(self, track_ids: Sequence[int]) -> None:
        """Take tracks out that turned out to be none, and the prompts that started them."""
        for track_id in track_ids:
            self.tracks.pop(track_id, None)
        self.prompts = tuple(prompt for prompt in self.prompts if prompt.track_id not in track_ids)

    def finish(self, class_of: Callable[[int], int]) -> FrameAnnotation:
        """Return the frame as it is stored; `class_of` gives the class of a track."""
        return FrameAnnotation(
            index=self.index,
            time_s=self.time_s,
            tracks=tuple(
                replace(track, class_id=class_of(track_id))
                for track_id, track in sorted(self.tracks.items())
            ),
            overseer_ran=self.overseer_ran,
            prompts=self.prompts,
            flags=self.flags,
        )


def undecodable_draft(index: int, time_s: float) -> Draft:
    """Return a frame of which there is no picture: nobody has looked at it."""
    return Draft(index=index, time_s=time_s, overseer_ran=False, prompts=(), flags=("undecodable",))


_DRAFTS = TypeAdapter(list[Draft])


class PromptJournal:
    """Numbers the prompts of a video and knows the last one of each track."""

    def __init__(self) -> None:
        self._count = 0
        self.last: dict[int, int] = {}

    def record(self, prompts: Sequence[Prompt]) -> tuple[PromptRecord, ...]:
        """Return the records of prompts, as they are stored."""
        records = []
        for prompt in prompts:
            records.append(
                PromptRecord(
                    prompt_id=self._count,
                    track_id=prompt.track_id,
                    class_id=prompt.class_id,
                    kind=prompt.kind,
                    reason=prompt.reason,
                    score=prompt.score,
                )
            )
            self.last[prompt.track_id] = self._count
            self._count += 1
        return tuple(records)

    def state(self) -> dict[str, Any]:
        """Return what JSON can hold of it."""
        return {"count": self._count, "last": sorted(self.last.items())}

    def restore(self, values: dict[str, Any]) -> None:
        """Go on from a state."""
        self._count = values["count"]
        self.last = dict(values["last"])


def drafts_state(drafts: Iterable[Draft]) -> list[Any]:
    """Return what JSON can hold of drafts."""
    values: list[Any] = _DRAFTS.dump_python(list(drafts), mode="json")
    return values


def restored_drafts(values: list[Any]) -> list[Draft]:
    """Return the drafts that `drafts_state` gave the values of."""
    return _DRAFTS.validate_python(values)


def origins_of(prompts: Sequence[Prompt]) -> dict[int, Origin]:
    """Return where the masks of prompted tracks come from, by track id."""
    return {
        prompt.track_id: Origin.HUMAN if prompt.reason is PromptReason.HUMAN else Origin.PROMPT
        for prompt in prompts
    }
