"""How often each labelled frame is drawn, so that rare classes are learned too."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.labelled_clip import LabelledClip

# A class in fewer clips than this share is drawn more often.
_RARE_SHARE = 0.1


def balanced_chances(clips: Sequence[LabelledClip]) -> NDArray[np.float64]:
    """Return how likely each clip is to be drawn, float64[N], of sum 1.

    Repeat-factor sampling (Gupta et al., LVIS, arXiv 1908.03195, appendix B): a clip counts
    max(1, sqrt(t / f)) times, with f the share of clips that hold its rarest class.

    Args:
        clips: labelled clips, at least one.
    """
    held = [set(clip.class_of_track.values()) for clip in clips]
    shares = {
        class_id: sum(class_id in classes for classes in held) / len(clips)
        for class_id in set().union(*held)
    }
    factors = np.array(
        [
            max([1.0, *((_RARE_SHARE / shares[class_id]) ** 0.5 for class_id in classes)])
            for classes in held
        ]
    )
    chances: NDArray[np.float64] = factors / factors.sum()
    return chances
