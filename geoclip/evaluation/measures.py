"""How far off answers are, in the field's measures.

Arrays of distances are float64 kilometres; infinity where a photo has no answer, so that it counts as a miss.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoclip.distance import Distance, geoscore
from geoclip.evaluation.answer_table import AnswerTable
from index.grid.sphere import Floats, cap_km2, haversine_km

THRESHOLDS_KM = (1.0, 25.0, 200.0, 750.0, 2500.0)
"""Street, city, region, country, continent; a distance equal to the threshold counts as within."""
MEASURES = (*(f"accuracy_{km:.0f}_km" for km in THRESHOLDS_KM), "median_km", "mean_km", "geoscore")
"""What `statistics` computes, in this order. Accuracies are shares of all photos. The median counts a photo without an
answer as infinitely far, the score as 0; the mean leaves it out."""
MEDIAN, MEAN, GEOSCORE = 5, 6, 7
MASSES = (0.5, 0.8, 0.9, 0.95, 0.99)
"""Probabilities of the sets of cells that are looked at."""

DRAWS = 50_000_000
"""Photos drawn in all resamples together, at most; for more than 25,000 photos 2,000 resamples become fewer."""
LEAST_RESAMPLES = 200
_BLOCK = 2_000_000  # draws at once: some 50 MB

_SETS = (1, 2, 3, 5, 10, 20, 50, 100)


class Interval(NamedTuple):
    """A measure with its 95 % percentile bootstrap interval."""

    value: float
    low: float
    high: float


class Recall(NamedTuple):
    """What is gained by looking around the first k places of each answer."""

    km: float
    k: int
    share: float
    """Of all photos, those taken within `km` of one of the first k places."""
    area_km2: float
    """Of k discs of that radius, overlaps counted twice: what has to be searched, at most."""


class CellSet(NamedTuple):
    """The smallest sets of H3 cells that hold so much probability, over all photos."""

    mass: float
    inside: float
    """Share of all photos that were taken inside their set."""
    median_area_km2: float
    """Of the sets of the photos that were answered."""


def distances(answers: AnswerTable, lat_lng: Floats, distance: Distance) -> Floats:
    """Return the distance (N, K) of each place from the true one (N, 2); infinity where there is no place."""
    km: Floats = np.full(answers.places.shape[:2], np.inf)
    row, rank = np.nonzero(np.isfinite(answers.places).all(axis=2))
    km[row, rank] = distance.km(answers.places[row, rank], lat_lng[row])
    return km


def exchanged_km(answers: AnswerTable, lat_lng: Floats) -> tuple[float, float] | None:
    """Return the median errors as given and with latitude and longitude of the answers exchanged.

    None where the second is not ten times as small, or fewer than three photos can be compared.
    """
    best = answers.places[:, 0]
    both = (np.abs(best) <= 90).all(axis=1)
    if both.sum() < 3:
        return None
    given, exchanged = (np.median(haversine_km(places[both], lat_lng[both])) for places in (best, best[:, ::-1]))
    return (float(given), float(exchanged)) if 10 * exchanged < given else None


class Bootstrap:
    """The distances of R systems for the same N photos, prepared for resampling.

    Args:
        km: (R, N), infinity where there is no answer; N is 1 or more.
    """

    def __init__(self, km: Floats) -> None:
        answered = np.isfinite(km)
        hits = np.moveaxis(km <= np.array(THRESHOLDS_KM)[:, None, None], 0, -1)
        sums = (geoscore(km)[..., None], np.where(answered, km, 0.0)[..., None], answered[..., None])
        self._columns = np.concatenate((hits, *sums), axis=2)
        self._order = np.argsort(km, axis=1)
        self._km = km

    def statistics(self, counts: NDArray[np.int64]) -> Floats:
        """Return the `MEASURES` (B, R, 8) on multisets of the photos; a mean is NaN where nothing is answered.

        Args:
            counts: (B, N) how often each photo is in each multiset; every row has the sum N.
        """
        sums = np.matmul(counts.astype(np.float64), self._columns)  # (R, B, 8)
        runs, photos = self._km.shape
        result = np.empty((len(counts), runs, len(MEASURES)))
        for run in range(runs):
            result[:, run, : len(THRESHOLDS_KM)] = sums[run, :, :5] / photos
            result[:, run, MEDIAN] = self._medians(run, counts)
            with np.errstate(invalid="ignore"):
                result[:, run, MEAN] = sums[run, :, 6] / sums[run, :, 7]
            result[:, run, GEOSCORE] = sums[run, :, 5] / photos
        return result

    def _medians(self, run: int, counts: NDArray[np.int64]) -> Floats:
        """Return the median in each multiset (B, N): of an even number, the mean of the middle two."""
        order, photos = self._order[run], counts.shape[1]
        reached = np.cumsum(np.take(counts, order, axis=1), axis=1)
        middles = ((photos - 1) // 2, photos // 2)
        at = np.array([[np.searchsorted(row, middle, side="right") for middle in middles] for row in reached])
        medians: Floats = self._km[run][order[at]].mean(axis=1)
        return medians


def measured(km: Floats) -> Floats:
    """Return the `MEASURES` (R, 8) of distances (R, N), each photo counted once."""
    values: Floats = Bootstrap(km).statistics(np.ones((1, km.shape[1]), dtype=np.int64))[0]
    return values


def resampled(km: Floats, *, resamples: int = 2000, seed: int = 0) -> Floats:
    """Return the `MEASURES` (B, R, 8) on B resamples of the photos, drawn with replacement (Efron 1979).

    All systems see the same resamples, so that their differences are paired. B is `resamples`, or fewer where that
    would be more than `DRAWS` draws.
    """
    photos, bootstrap = km.shape[1], Bootstrap(km)
    count = min(resamples, max(LEAST_RESAMPLES, DRAWS // photos))
    return np.concatenate([bootstrap.statistics(counts) for counts in _multisets(photos, count, seed)])


def intervals(values: Floats, drawn: Floats) -> tuple[Interval, ...]:
    """Return one system's measures (8,) with the 95 % intervals of its resamples (B, 8)."""
    found = []
    for value, sample in zip(values.tolist(), drawn.T, strict=True):
        known = sample[~np.isnan(sample)]  # a resample without answers has no mean
        # of the order statistics themselves: between a finite and an infinite median nothing can be interpolated
        low, high = np.quantile(known, (0.025, 0.975), method="inverted_cdf") if len(known) else (np.nan, np.nan)
        found.append(Interval(value, float(low), float(high)))
    return tuple(found)


def recall(km: Floats) -> tuple[Recall, ...]:
    """Return how many photos were taken near one of the first places, for distances (N, K), by threshold and k."""
    nearest = np.minimum.accumulate(km, axis=1)
    places = km.shape[1]
    return tuple(
        Recall(reach, k, float((nearest[:, k - 1] <= reach).mean()), k * float(cap_km2(reach)))
        for reach in THRESHOLDS_KM
        for k in sorted({each for each in (*_SETS, places) if each <= places})
    )


def _multisets(photos: int, count: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yield how often each photo is drawn, (b, photos), until there are `count` multisets."""
    rng = np.random.default_rng(seed)
    together = max(1, _BLOCK // photos)
    for at in range(0, count, together):
        size = min(together, count - at)
        drawn = rng.integers(0, photos, (size, photos)) + photos * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * photos).reshape(size, photos)
