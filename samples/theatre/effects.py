"""What may happen in a scene besides tissue and instruments: each effect is a parameter."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """How strongly each effect shows in a scene; the defaults are a scene without any.

    Attributes:
        cuts_per_minute: expected number of jumps of the camera to another place.
        exits_per_minute: expected number of times that the camera leaves the body.
        exposure_swing: how far the automatic exposure wanders, in stops (factors of 2).
        smoke: opacity of the densest smoke, 0..1.
        fog: loss of contrast by a fogged lens, 0..1.
        drops: water drops on the lens.
        shutter: share of the frame interval during which the sensor gathers light, 0..1; what
            moves is blurred along its way.
        reflection: how much of the tissue's colour metal mirrors, 0..1.
        push: how far tissue gives way to an instrument's tip, as a share of the frame height.
        incisions: cuts that open in the tissue in the course of the scene.
        bleeding: share of the tissue that blood covers in the end, 0..1.
        swabs: unlabelled cloths that pass in front of everything.
        twins: pairs of instruments that look alike.
        jpeg_quality: compression of each frame, 1 (worst) .. 100; 0 is none.
    """

    cuts_per_minute: float = 0.0
    exits_per_minute: float = 0.0
    exposure_swing: float = 0.0
    smoke: float = 0.0
    fog: float = 0.0
    drops: int = 0
    shutter: float = 0.0
    reflection: float = 0.0
    push: float = 0.0
    incisions: int = 0
    bleeding: float = 0.0
    swabs: int = 0
    twins: int = 0
    jpeg_quality: int = 0


def draw_effects(random: np.random.Generator) -> Effects:
    """Draw which effects a scene has, and how strong they are."""

    def sometimes(chance: float, low: float, high: float) -> float:
        strength = float(random.uniform(low, high))
        return strength if random.random() < chance else 0.0

    return Effects(
        cuts_per_minute=sometimes(0.4, 4, 15),
        exits_per_minute=sometimes(0.25, 3, 8),
        exposure_swing=sometimes(0.6, 0.1, 0.6),
        smoke=sometimes(0.35, 0.2, 0.75),
        fog=sometimes(0.2, 0.1, 0.5),
        drops=int(sometimes(0.25, 1, 6)),
        shutter=sometimes(0.7, 0.2, 0.9),
        reflection=sometimes(0.8, 0.1, 0.5),
        push=sometimes(0.7, 0.01, 0.06),
        incisions=int(sometimes(0.3, 1, 3)),
        bleeding=sometimes(0.3, 0.02, 0.12),
        swabs=int(sometimes(0.3, 1, 3)),
        twins=int(sometimes(0.35, 1, 2)),
        jpeg_quality=int(sometimes(0.7, 15, 90)),
    )
