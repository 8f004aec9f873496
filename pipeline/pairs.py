"""Pairs of rows and columns of a matrix, each in one pair at most."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment


def best_pairs(overlaps: NDArray[np.float64], possible: NDArray[np.bool_]) -> dict[int, int]:
    """Return the column of each row that has one, the pair that overlaps most first.

    Args:
        overlaps: float64[N, M]; of two that are equal, the earlier row comes first.
        possible: bool[N, M], which may be pairs at all.
    """
    pairs: dict[int, int] = {}
    for flat in np.argsort(-overlaps, axis=None, kind="stable"):
        row, column = (int(place) for place in np.unravel_index(flat, overlaps.shape))
        if possible[row, column] and row not in pairs and column not in pairs.values():
            pairs[row] = column
    return pairs


def cheapest_pairs(costs: Sequence[Sequence[float]]) -> dict[int, int]:
    """Return the column of each row in the cheapest assignment of most rows.

    Args:
        costs: at most 1 in size, or infinite where row and column do not belong together.
    """
    if not costs or not costs[0]:
        return {}
    matrix = np.array(costs)
    possible = np.isfinite(matrix)
    # No saving among possible pairs is worth one pair less.
    impossible = 2.0 * (matrix.size + 1)
    rows, columns = linear_sum_assignment(np.where(possible, matrix, impossible))
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return {row: column for row, column in pairs if possible[row, column]}
