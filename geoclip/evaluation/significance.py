"""Whether two systems differ on the same photos by more than chance."""

from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoclip.evaluation.measures import GEOSCORE, MEASURES, MEDIAN, THRESHOLDS_KM
from index.grid.sphere import Floats


class Comparison(NamedTuple):
    """The second system against the first, in one measure."""

    first: str
    second: str
    measure: str
    difference: float
    """The second's value minus the first's; 0 where both medians are infinite."""
    low: float
    """Of the 95 % percentile interval of the paired bootstrap."""
    high: float
    test: str
    """`mcnemar` for accuracies, `bootstrap` for the others."""
    p: float
    """Two-sided."""
    p_holm: float
    """Corrected for all tests of the report (Holm 1979)."""
    first_only: int | None
    """Photos that only the first system has within the threshold; None where there is no threshold."""
    second_only: int | None


def compared(names: list[str], km: Floats, values: Floats, drawn: Floats) -> tuple[Comparison, ...]:
    """Compare every two systems: accuracies by McNemar's exact test, median and score by the paired bootstrap.

    Args:
        names: (R,) of the systems.
        km: (R, N) their distances, infinity where there is no answer.
        values: (R, 8) their measures.
        drawn: (B, R, 8) the same on resamples that all systems share.
    """
    found = []
    for a, b in combinations(range(len(names)), 2):
        for measure in (*range(len(THRESHOLDS_KM)), MEDIAN, GEOSCORE):
            differences = _minus(drawn[:, b, measure], drawn[:, a, measure])
            low, high = np.quantile(differences, (0.025, 0.975), method="inverted_cdf").tolist()
            only: tuple[int, int] | tuple[None, None] = (None, None)
            test, p = "bootstrap", bootstrap_p(differences)
            if measure < len(THRESHOLDS_KM):
                hit_a, hit_b = (km[row] <= THRESHOLDS_KM[measure] for row in (a, b))
                only = int((hit_a & ~hit_b).sum()), int((hit_b & ~hit_a).sum())
                test, p = "mcnemar", mcnemar_p(*only)
            difference = float(_minus(values[b : b + 1, measure], values[a : a + 1, measure])[0])
            found.append(Comparison(names[a], names[b], MEASURES[measure], difference, low, high, test, p, p, *only))
    corrected = holm(np.array([each.p for each in found]))
    return tuple(each._replace(p_holm=float(p)) for each, p in zip(found, corrected, strict=True))


def mcnemar_p(first_only: int, second_only: int) -> float:
    """Return the two-sided exact p-value of McNemar's test: of so uneven a split of the photos one alone has right.

    Under the hypothesis that neither is better, the split is binomial with chance 1/2.
    """
    from scipy.special import bdtr

    total = first_only + second_only
    return min(1.0, 2 * float(bdtr(min(first_only, second_only), total, 0.5))) if total else 1.0


def bootstrap_p(differences: Floats) -> float:
    """Return the two-sided p-value of a difference from its resamples (B,): twice the share beyond 0.

    Never below 2 / (B + 1): the sample itself counts as one resample (Davison and Hinkley 1997, section 4.2).
    """
    sides = (differences <= 0).sum(), (differences >= 0).sum()
    return min(1.0, 2 * (int(min(sides)) + 1) / (len(differences) + 1))


def holm(p: Floats) -> Floats:
    """Return p-values (T,) corrected by Holm's method, which holds however the tests depend on each other."""
    order = np.argsort(p)
    factors: NDArray[np.int64] = len(p) - np.arange(len(p))
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return corrected


def _minus(second: Floats, first: Floats) -> Floats:
    """Return differences; 0 where both are infinite."""
    with np.errstate(invalid="ignore"):
        return np.where(second == first, 0.0, second - first)
