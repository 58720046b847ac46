"""Whether what answers claim about themselves is true."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoclip.answers.answer import NEARBY_KM
from geoclip.evaluation.answer_table import AnswerTable
from index.grid.sphere import Floats

BINS = 10
LEAST_CLAIMS = 100
"""With fewer claims there is no calibration error: chance alone makes that of perfect ones 10 % and more."""


class Bin(NamedTuple):
    """Claims of about the same probability."""

    claimed: float
    """Their mean."""
    true: float
    """Share of them that came true."""
    claims: int


class Reliability(NamedTuple):
    """Claims against truth, over the answers that claim something; None where none does."""

    coverage_50: float | None
    """Share of true places inside the 50 % circle."""
    coverage_90: float | None
    error: float | None
    """Expected calibration error (Naeini et al. 2015) of the claims "within 25 km": ten bins of equal width. None below
    `LEAST_CLAIMS`."""
    bins: tuple[Bin, ...]
    """Of the claims "within 25 km", those bins that are not empty."""


def calibration(answers: AnswerTable, km: Floats) -> Reliability:
    """Compare the claims of answers with the distances (N,) of their best places."""
    inside = [_covered(radius, km) for radius in (answers.radius_50_km, answers.radius_90_km)]
    claiming = np.isfinite(answers.nearby) & np.isfinite(km)
    bins = _bins(answers.nearby[claiming], km[claiming] <= NEARBY_KM)
    claims = sum(each.claims for each in bins)
    error = (
        sum(each.claims * abs(each.claimed - each.true) for each in bins) / claims if claims >= LEAST_CLAIMS else None
    )
    return Reliability(inside[0], inside[1], error, bins)


def _covered(radius_km: Floats, km: Floats) -> float | None:
    known = np.isfinite(radius_km) & np.isfinite(km)
    return float((km[known] <= radius_km[known]).mean()) if known.any() else None


def _bins(claimed: Floats, true: NDArray[np.bool_]) -> tuple[Bin, ...]:
    bins = np.clip((claimed * BINS).astype(int), 0, BINS - 1)
    return tuple(
        Bin(float(claimed[bins == each].mean()), float(true[bins == each].mean()), int((bins == each).sum()))
        for each in np.unique(bins)
    )
