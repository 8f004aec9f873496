"""Prompts from true masks that a user gives: which frames, and as what kind of hint."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pipeline.annotation_set import AnnotationSet
from pipeline.errors import InputError
from pipeline.frames import VideoInfo
from pipeline.labels import LabelSet, joined, load_label_set
from pipeline.mask_folder import MaskFolder, masks_of_video, open_masks
from pipeline.masks import (
    boxes_of_masks,
    clicks_on,
    connected_parts,
    decode_mask,
    rle_area,
)
from pipeline.policies.given import Given, GivenParts
from pipeline.records import FrameAnnotation, Prompt, PromptReason, TrackAnnotation

PromptKind = Literal["mask", "box", "points"]
PromptFrames = tuple[int, ...] | Literal["first"]

# What shows less than this share of the picture has not properly entered yet.
_ENTERED_AREA_SHARE = 0.001
_POINT_COUNT = 5


def open_given(prompts: Path, labels: Path | None) -> AnnotationSet | MaskFolder:
    """Open true masks: an annotation set, or a folder of mask PNGs.

    Raises:
        InputError: they are missing, or hold corrections alone, or the labels cannot be read.
    """
    return open_masks(prompts, None if labels is None else load_label_set(labels))


def given_policy(
    source: AnnotationSet | MaskFolder,
    info: VideoInfo,
    labels: LabelSet,
    *,
    frames: PromptFrames,
    kind: PromptKind,
    whole_frames: Collection[int] = (),
) -> Given:
    """Return the policy that prompts with true masks.

    The instances of a thing class in a plain mask are its connected parts, if a label set
    says which classes are things; each is prompted by itself, if it is prompted by its mask.

    Args:
        source: true masks.
        info: the video that is prompted.
        labels: the classes that the prompts have there; those of the masks are known by name.
        frames: as `read_given_prompts` takes it.
        kind: likewise.
        whole_frames: as of `Given`.

    Raises:
        InputError: the masks have another size, or a prompt frame is not among them.
    """
    labels, class_ids = joined(labels, source.label_set)
    prompts = read_given_prompts(source, info, class_ids, frames=frames, kind=kind)
    plain = isinstance(source, MaskFolder) and source.is_described
    if not plain or kind != "mask" or frames == "first":
        return Given(prompts, whole_frames, prompts.classes())
    parts = prompts.divided(lambda prompt: _parts(prompt, labels))
    return GivenParts(parts, whole_frames, labels.stuff)


class GivenPrompts(Mapping[int, tuple[Prompt, ...]]):
    """Prompts by frame, made each time they are asked for: decoded masks would fill the memory.

    Args:
        masks: the true masks of each frame.
        kind: hint that is made of them.
        divide: what becomes of a prompt.
    """

    def __init__(
        self,
        masks: Mapping[int, Sequence[TrackAnnotation]],
        kind: PromptKind,
        divide: Callable[[Prompt], Iterable[Prompt]] = lambda prompt: (prompt,),
    ) -> None:
        self._masks = masks
        self._kind = kind
        self._divide = divide

    def __getitem__(self, frame_index: int) -> tuple[Prompt, ...]:
        """Return the prompts of a frame; KeyError if none are given for it."""
        prompts = (_prompt(frame_index, mask, self._kind) for mask in self._masks[frame_index])
        return tuple(part for prompt in prompts for part in self._divide(prompt))

    def __contains__(self, frame_index: object) -> bool:
        """Return whether anything is given for a frame, if only that nothing is there."""
        return frame_index in self._masks

    def __iter__(self) -> Iterator[int]:
        """Yield the frames, in their order."""
        return iter(self._masks)

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self._masks)

    def classes(self) -> dict[int, int]:
        """Return the class of each track; no mask is decoded."""
        return {mask.track_id: mask.class_id for masks in self._masks.values() for mask in masks}

    def divided(self, divide: Callable[[Prompt], Iterable[Prompt]]) -> "GivenPrompts":
        """Return the prompts that others become."""
        return GivenPrompts(self._masks, self._kind, divide)


def _parts(prompt: Prompt, label_set: LabelSet) -> Iterator[Prompt]:
    if prompt.mask is None or label_set.is_stuff(prompt.class_id):
        yield prompt
        return
    for part in connected_parts(prompt.mask):
        yield replace(prompt, mask=part)


def read_given_prompts(
    source: AnnotationSet | MaskFolder,
    info: VideoInfo,
    class_ids: Mapping[int, int],
    *,
    frames: PromptFrames,
    kind: PromptKind,
) -> GivenPrompts:
    """Make prompts of true masks.

    Args:
        source: true masks.
        info: the video that is prompted.
        class_ids: the id that each class of the masks has in the prompts.
        frames: the frames whose masks are used; `first` uses each object's first mask that
            covers at least 0.1 % of the picture.
        kind: hint that is made of a mask: itself, its tight box, or 5 points in it.

    Returns:
        The prompts of each frame.

    Raises:
        InputError: the masks have another size, or a prompt frame is not among them, or none of
            the video.
    """
    given = masks_of_video(source, info.frame_count, info.path)
    chosen = _first_masks(given) if frames == "first" else _masks_of_frames(given, frames)
    masks: dict[int, Sequence[TrackAnnotation]] = {}
    for frame_index, tracks in chosen:
        for track in tracks:
            _check_size(source.path, track, info)
        # A mask without pixels says that its object is not there, and can be no hint.
        masks[frame_index] = [
            replace(track, class_id=class_ids[track.class_id])
            for track in tracks
            if track.class_id in class_ids and rle_area(track.rle)
        ]
    if frames != "first":
        missing = sorted(set(frames) - masks.keys())
        if missing:
            raise InputError(
                f"{source.path} has no frame {missing[0]}; give --prompt-frames that it has"
            )
        # The video's end is where it has its last frame, and not where --max-frames stops.
        last = max(frames, default=-1)
        if last >= info.frame_count:
            raise InputError(
                f"{info.path} has no frame {last}, of {info.frame_count} in all; give "
                "--prompt-frames that it has"
            )
    return GivenPrompts(masks, kind)


_Chosen = Iterator[tuple[int, list[TrackAnnotation]]]


def _masks_of_frames(source: AnnotationSet | MaskFolder, frames: tuple[int, ...]) -> _Chosen:
    return ((frame.index, list(frame.tracks)) for frame in source.frames() if frame.index in frames)


def _first_masks(source: AnnotationSet | MaskFolder) -> _Chosen:
    known: set[int] = set()
    for frame in source.frames():
        tracks = [track for track in _entered(frame) if track.track_id not in known]
        known |= {track.track_id for track in tracks}
        if tracks:
            yield frame.index, tracks


def _entered(frame: FrameAnnotation) -> Iterator[TrackAnnotation]:
    for track in frame.tracks:
        height, width = track.rle.size
        if rle_area(track.rle) >= _ENTERED_AREA_SHARE * height * width:
            yield track


def _check_size(path: Path, track: TrackAnnotation, info: VideoInfo) -> None:
    height, width = track.rle.size
    if (height, width) != (info.height, info.width):
        raise InputError(
            f"{path} has masks of {width}x{height}, {info.path} is "
            f"{info.width}x{info.height}; give masks of the video's size"
        )


def _prompt(frame_index: int, track: TrackAnnotation, kind: PromptKind) -> Prompt:
    mask = decode_mask(track.rle)
    return Prompt(
        frame_index=frame_index,
        track_id=track.track_id,
        class_id=track.class_id,
        reason=PromptReason.HUMAN,
        mask=mask if kind == "mask" else None,
        box=boxes_of_masks(mask[None])[0] if kind == "box" else None,
        points=clicks_on(mask, _POINT_COUNT) if kind == "points" else None,
    )
