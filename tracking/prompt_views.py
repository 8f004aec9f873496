"""Several views of a frame that is prompted by a box or points: as it is, mirrored, and from near.

A small network sees a small object in few of its input's pixels, and answers one view of it
differently from the next. A square crop around the prompt gives the object more pixels and leaves
it its proportions, and the mean of the answers is better than each (test-time augmentation; crops
as in SAM's automatic masks, arXiv 2304.02643, appendix B). What the views agree on is in
`tracking.view_answers`. On 220 objects of scenes that no figure is reported on, the J of a
tracker's first mask rose from 0.66 by that to 0.70 with a box, from 0.72 to 0.77 with 5 points; to
0.72 and 0.79 where what several prompts of a frame claim goes to the surest, and not to each of
them; and to 0.74 and 0.81 with a network that does nothing else
(`tracking.model_folders.find_first_mask`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.enlarged_masks import enlarged_masks
from pipeline.masks import boxes_of_masks
from pipeline.records import Prompt
from tracking.frame_features import OfferedMasks, TrackOutput
from tracking.regions import Region, region_around, whole_picture
from tracking.view_answers import View, agreed_logits, agreed_quality, joined_logits, seen_in

Views = Literal["one", "several"]
Ask = Callable[[NDArray[np.uint8], Prompt], OfferedMasks]
"""From a picture uint8[H, W, 3] and a prompt in its pixels to masks of any size."""

# Sides of the square crops, in longer sides of the box around the object.
_MARGINS = (1.5, 2.2, 3.2)
_SMALLEST_CROP = 48
# Of what memory says of a track beside one view that sees it for the first time.
_WEIGHT_OF_TRACKED = 4.0


def as_masks(
    ask: Ask,
    image: NDArray[np.uint8],
    prompts: Sequence[Prompt],
    tracked: Mapping[int, TrackOutput],
) -> list[Prompt]:
    """Ask for the objects of boxes and points in several views, and prompt by what these agree on.

    A pixel that several of them claim goes to the one that is surest of it. Of several for one
    track the last is asked.

    Args:
        ask: answers for one view.
        image: uint8[H, W, 3], RGB, the frame.
        prompts: of the frame; those with a mask stay as they are.
        tracked: what the tracker says of the tracks that it follows, by track id: as far as it fits
            the prompt, a correction leaves it.

    Returns:
        Each prompt by a mask, its score the mean predicted IoU of the views, 0..1; as it was where
        no view sees anything.
    """
    places = {prompt.track_id: prompt for prompt in prompts if prompt.mask is None}
    if not places:
        return list(prompts)
    size = (image.shape[0], image.shape[1])
    views = {
        track_id: [*_views_of(ask, image, prompt), *_as_tracked(tracked, prompt, size)]
        for track_id, prompt in places.items()
    }
    logits = agreed_logits(list(places.values()), list(views.values()), size)
    masks = dict(zip(places, enlarged_masks(logits, size), strict=True))
    return [
        replace(
            prompt,
            mask=masks[prompt.track_id],
            box=None,
            points=None,
            score=agreed_quality(views[prompt.track_id]),
        )
        if places.get(prompt.track_id) is prompt and masks[prompt.track_id].any()
        else prompt
        for prompt in prompts
    ]


def _views_of(ask: Ask, image: NDArray[np.uint8], prompt: Prompt) -> list[View]:
    size = (image.shape[0], image.shape[1])
    views = [*_ask_twice(ask, image, prompt, whole_picture(size))]
    box = _surroundings(prompt, views, size)
    for margin in _MARGINS:
        views += _ask_twice(ask, image, prompt, _square_around(box, margin, size))
    return views


def _as_tracked(
    tracked: Mapping[int, TrackOutput], prompt: Prompt, size: tuple[int, int]
) -> Iterator[View]:
    """Give what is tracked of a prompt's object as one more view, if it is visible."""
    output = tracked.get(prompt.track_id)
    if output is not None and output.is_visible:
        view = seen_in(whole_picture(size), output.offered(), prompt)
        yield replace(view, importance=_WEIGHT_OF_TRACKED)


def _ask_twice(
    ask: Ask, image: NDArray[np.uint8], prompt: Prompt, region: Region
) -> Iterator[View]:
    """Give what is seen in a region of the frame and in its mirror image."""
    picture = np.ascontiguousarray(region.cut_from(image[None])[0])
    hint = _moved(prompt, -region.left, -region.top)
    yield seen_in(region, ask(picture, hint), hint)
    mirrored = np.ascontiguousarray(picture[:, ::-1])
    hint = _mirrored(hint, picture.shape[1])
    view = seen_in(region, ask(mirrored, hint), hint)
    yield replace(view, logits=view.logits[:, :, ::-1])


def _surroundings(
    prompt: Prompt, views: Sequence[View], size: tuple[int, int]
) -> NDArray[np.float32]:
    """Return the box float32[4] xyxy around the object: the prompt's, or points and first guess."""
    if prompt.box is not None:
        return prompt.box
    assert prompt.points is not None
    points = prompt.points[prompt.points[:, 2] > 0, :2]
    corners = [points.min(0), points.max(0)] if len(points) else []
    guess = joined_logits(views, size) > 0
    if guess.any():
        box = boxes_of_masks(guess[None])[0]
        corners += [box[:2], box[2:]]
    if not corners:
        return np.array([0, 0, *size[::-1]], np.float32)
    return np.concatenate([np.min(corners, 0), np.max(corners, 0)]).astype(np.float32)


def _square_around(box: NDArray[np.float32], margin: float, size: tuple[int, int]) -> Region:
    """Return the square around a box, as far as it is within the picture."""
    side = max(float((box[2:] - box[:2]).max()) * margin, _SMALLEST_CROP)
    return region_around((box[:2] + box[2:]) / 2, np.full(2, side), size)


def _moved(prompt: Prompt, right: int, down: int) -> Prompt:
    shift = np.array([right, down], np.float32)
    if prompt.box is not None:
        return replace(prompt, box=prompt.box + np.tile(shift, 2))
    assert prompt.points is not None
    return replace(prompt, points=prompt.points + np.append(shift, np.float32(0)))


def _mirrored(prompt: Prompt, width: int) -> Prompt:
    if prompt.box is not None:
        left, top, right, bottom = prompt.box
        return replace(prompt, box=np.array([width - right, top, width - left, bottom], np.float32))
    assert prompt.points is not None
    points = prompt.points.copy()
    points[:, 0] = width - points[:, 0]
    return replace(prompt, points=points)
