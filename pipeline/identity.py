"""How well tracks keep their objects: HOTA, IDF1 and id switches, by TrackEval."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UsageError
from pipeline.masks import rle_iou_matrix
from pipeline.records import FrameAnnotation


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityScores:
    """How well tracks keep their objects; similarity is mask IoU, 0 for another class.

    Attributes:
        hota: HOTA (Luiten et al., IJCV 2021), mean over the IoU thresholds 0.05 to 0.95, 0..1.
        idf1: IDF1 (Ristani et al., ECCV-W 2016) at IoU 0.5, 0..1.
        id_switches: times that another track takes an object over (CLEAR MOT), at IoU 0.5.
    """

    hota: float
    idf1: float
    id_switches: int

    def to_json(self) -> dict[str, Any]:
        """Return the scores by name."""
        return asdict(self)


def identity_scores(
    annotated: Iterable[FrameAnnotation], truth: Iterable[FrameAnnotation]
) -> IdentityScores:
    """Compare the identities in a set with the true ones, over the frames that both have.

    Raises:
        UsageError: TrackEval is not installed.
    """
    try:
        from trackeval.metrics import CLEAR, HOTA, Identity
    except ModuleNotFoundError as error:
        raise UsageError(
            f"identity scores need {error.name}; run pip install --no-deps trackeval==1.3.0"
        ) from error
    by_index = {frame.index: frame for frame in truth}
    pairs = [(frame, by_index[frame.index]) for frame in annotated if frame.index in by_index]
    sequence = _to_sequence(pairs)
    quiet = {"PRINT_CONFIG": False}
    return IdentityScores(
        hota=float(np.mean(HOTA().eval_sequence(sequence)["HOTA"])),
        idf1=float(Identity(quiet).eval_sequence(sequence)["IDF1"]),
        id_switches=int(CLEAR(quiet).eval_sequence(sequence)["IDSW"]),
    )


def _to_sequence(pairs: Sequence[tuple[FrameAnnotation, FrameAnnotation]]) -> dict[str, Any]:
    """Write frames in the form that TrackEval's metrics take: ids count from 0."""
    true_ids = _numbered(true for _, true in pairs)
    found_ids = _numbered(found for found, _ in pairs)
    return {
        "num_timesteps": len(pairs),
        "num_gt_ids": len(true_ids),
        "num_tracker_ids": len(found_ids),
        "num_gt_dets": sum(len(true.tracks) for _, true in pairs),
        "num_tracker_dets": sum(len(found.tracks) for found, _ in pairs),
        "gt_ids": [_ids(true, true_ids) for _, true in pairs],
        "tracker_ids": [_ids(found, found_ids) for found, _ in pairs],
        "similarity_scores": [_similarity(true, found) for found, true in pairs],
    }


def _numbered(frames: Iterable[FrameAnnotation]) -> dict[int, int]:
    track_ids = sorted({track.track_id for frame in frames for track in frame.tracks})
    return {track_id: number for number, track_id in enumerate(track_ids)}


def _ids(frame: FrameAnnotation, numbers: dict[int, int]) -> NDArray[np.int64]:
    return np.array([numbers[track.track_id] for track in frame.tracks], np.int64)


def _similarity(true: FrameAnnotation, found: FrameAnnotation) -> NDArray[np.float64]:
    """Return the IoU float64[true tracks, found tracks]; 0 where the classes differ."""
    iou = rle_iou_matrix(
        [track.rle for track in true.tracks], [track.rle for track in found.tracks]
    )
    same = np.equal.outer(
        [track.class_id for track in true.tracks], [track.class_id for track in found.tracks]
    )
    return np.asarray(iou * same, np.float64)
