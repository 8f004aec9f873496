"""How well tracks keep their objects: HOTA, IDF1 and id switches, by TrackEval."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UsageError
from pipeline.frame_pairs import common_frames
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

    Args:
        annotated: what is judged, by ascending index.
        truth: what is right, likewise.

    Raises:
        UsageError: TrackEval is not installed.
    """
    evaluator = IdentityEvaluator()
    for found, true in common_frames(annotated, truth):
        evaluator.add(found, true)
    return evaluator.scores()


class IdentityEvaluator:
    """Compares identities with the true ones, a frame at a time; no masks are kept.

    Raises:
        UsageError: TrackEval is not installed.
    """

    def __init__(self) -> None:
        try:
            from trackeval.metrics import CLEAR, HOTA, Identity
        except ModuleNotFoundError as error:
            raise UsageError(
                f"identity scores need {error.name}; run pip install --no-deps trackeval==1.3.0"
            ) from error
        quiet = {"PRINT_CONFIG": False}
        self._hota, self._identity, self._clear = HOTA(), Identity(quiet), CLEAR(quiet)
        self._true_ids: list[NDArray[np.int64]] = []
        self._found_ids: list[NDArray[np.int64]] = []
        self._similarities: list[NDArray[np.float64]] = []

    def add(self, found: FrameAnnotation, true: FrameAnnotation) -> None:
        """Take the next frame."""
        self._true_ids.append(_ids(true))
        self._found_ids.append(_ids(found))
        self._similarities.append(_similarity(true, found))

    def scores(self) -> IdentityScores:
        """Return how well tracks have kept their objects so far."""
        sequence = self._sequence()
        return IdentityScores(
            hota=float(np.mean(self._hota.eval_sequence(sequence)["HOTA"])),
            idf1=float(self._identity.eval_sequence(sequence)["IDF1"]),
            id_switches=int(self._clear.eval_sequence(sequence)["IDSW"]),
        )

    def _sequence(self) -> dict[str, Any]:
        """Return the frames in the form that TrackEval's metrics take: ids count from 0."""
        true_count, true_ids = _numbered(self._true_ids)
        found_count, found_ids = _numbered(self._found_ids)
        return {
            "num_timesteps": len(self._similarities),
            "num_gt_ids": true_count,
            "num_tracker_ids": found_count,
            "num_gt_dets": sum(map(len, true_ids)),
            "num_tracker_dets": sum(map(len, found_ids)),
            "gt_ids": true_ids,
            "tracker_ids": found_ids,
            "similarity_scores": self._similarities,
        }


def _ids(frame: FrameAnnotation) -> NDArray[np.int64]:
    return np.array([track.track_id for track in frame.tracks], np.int64)


def _numbered(
    frames: Sequence[NDArray[np.int64]],
) -> tuple[int, list[NDArray[np.intp]]]:
    """Return how many ids there are, and those of each frame by their place among all."""
    known = np.array(sorted({track_id for ids in frames for track_id in ids.tolist()}), np.int64)
    return len(known), [np.searchsorted(known, ids) for ids in frames]


def _similarity(true: FrameAnnotation, found: FrameAnnotation) -> NDArray[np.float64]:
    """Return the IoU float64[true tracks, found tracks]; 0 where the classes differ."""
    iou = rle_iou_matrix(
        [track.rle for track in true.tracks], [track.rle for track in found.tracks]
    )
    same = np.equal.outer(
        [track.class_id for track in true.tracks], [track.class_id for track in found.tracks]
    )
    return np.asarray(iou * same, np.float64)
