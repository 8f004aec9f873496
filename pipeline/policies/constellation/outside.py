"""Whether a picture shows the inside of the body, by what was followed there before."""

from collections.abc import Sequence

import numpy as np

from pipeline.policies.constellation.returns import Appearance
from pipeline.policies.constellation.settings import ConstellationSettings
from pipeline.records import Detections


def shows_nothing_known(
    detections: Detections, known: Sequence[Appearance], settings: ConstellationSettings
) -> bool:
    """Return whether the overseer sees nothing for sure, or nothing that looks familiar.

    An overseer has learned what is in the body: of what is not it makes what it knows, and may
    be sure of it.

    Args:
        detections: what the overseer sees; without appearances it is taken for familiar.
        known: how the tracks that were followed have looked, as far as that is known.
        settings: say what is sure, what is alike and how many classes cannot be a mistake.
    """
    sure = detections.scores >= settings.confirm_score
    if not sure.any():
        return True
    classes = np.unique(detections.class_ids[sure])
    familiar = [appearance for appearance in known if appearance]
    if not familiar or detections.appearances is None or len(classes) >= settings.outside_classes:
        return False
    likeness = detections.appearances[sure] @ np.array(familiar, np.float32).T
    return bool(likeness.max() < settings.outside_likeness)
