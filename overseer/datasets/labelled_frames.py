"""What the readers of all layouts give."""

from dataclasses import dataclass

from pipeline.labelled_clip import LabelledClip
from pipeline.labels import LabelSet


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledFrames:
    """The labelled frames of a data set.

    Attributes:
        label_set: what the class ids mean.
        clips: the frames, each a clip of its own.
        problems: a sentence for each frame that was left out, naming its file.
    """

    label_set: LabelSet
    clips: tuple[LabelledClip, ...]
    problems: tuple[str, ...] = ()
