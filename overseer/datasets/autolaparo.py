"""AutoLaparo's segmentation task (arXiv 2208.02049): folders `imgs` and `masks`."""

from pathlib import Path

from overseer.datasets.labelled_frames import LabelledFrames, gather_frames
from overseer.datasets.mask_pictures import picture_with_mask
from pipeline.errors import InputError
from pipeline.labels import LabelSet
from pipeline.picture_files import list_images

_PICTURE_FOLDERS = ("imgs", "images")
_CLIP_DIGITS = 3


def read_autolaparo(folder: Path, label_set: LabelSet | None, longest_side: int) -> LabelledFrames:
    """Read AutoLaparo; the first three digits of a picture's name are its clip, or video.

    Args:
        folder: holds the folder of pictures and the folder `masks`, at any depth.
        label_set: which value of the masks is which of the 9 classes.
        longest_side: larger pictures are shrunk to this many pixels.

    Raises:
        InputError: there are no labels, or no frame can be used.
    """
    if label_set is None:
        raise InputError(
            f"{folder}: the values of AutoLaparo's masks depend on the release; give --labels with "
            "a value for each class (`scopeline data check` with --layout masks shows the values)"
        )
    places = [place for name in _PICTURE_FOLDERS for place in sorted(folder.rglob(name))]
    pictures = [
        picture_with_mask(
            path,
            place.parent / "masks" / f"{path.stem}.png",
            label_set,
            path.stem[:_CLIP_DIGITS],
        )
        for place in places
        for path in list_images(place)
    ]
    wanted = "folder imgs or images with pictures"
    return gather_frames(folder, pictures, label_set, longest_side, wanted=wanted)
