"""True masks, looked over once before anything is annotated or compared with them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import InputError
from pipeline.labels import LabelSet
from pipeline.records import FrameAnnotation


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What is known of true masks without holding them.

    Attributes:
        class_ids: the classes that any frame shows, by the truth's own ids.
        flags: those of each frame, by its index, in order.
    """

    class_ids: frozenset[int]
    flags: Mapping[int, tuple[str, ...]]

    def classes_without_match(self, own: LabelSet, judged: LabelSet) -> list[str]:
        """Return the names of the classes that are shown and that what they judge does not know.

        Args:
            own: the classes of the truth.
            judged: the classes of what is judged.
        """
        known = {label.name for label in judged.classes}
        names = [own[class_id].name for class_id in sorted(self.class_ids)]
        return [name for name in names if name not in known]


def look_over(
    frames: Iterable[FrameAnnotation], truth: Path, size: tuple[int, int], video: Path
) -> Truth:
    """Read all true masks once, and check that they can judge a video.

    Args:
        frames: the true masks.
        truth: where they come from, for messages.
        size: height and width of the video.
        video: the video or its set, for messages.

    Raises:
        InputError: no frame shows any object, a mask has another size, or cannot be read.
    """
    class_ids: set[int] = set()
    flags: dict[int, tuple[str, ...]] = {}
    for frame in frames:
        flags[frame.index] = frame.flags
        for track in frame.tracks:
            class_ids.add(track.class_id)
            if track.rle.size != size:
                rows, columns = track.rle.size
                raise InputError(
                    f"{truth} has masks of {columns}x{rows}, {video} is {size[1]}x{size[0]}; give "
                    "the true masks of that video"
                )
    if not class_ids:
        raise InputError(
            f"{truth} shows no object of the classes that are compared; say by --labels what its "
            "values mean"
        )
    return Truth(class_ids=frozenset(class_ids), flags=flags)
