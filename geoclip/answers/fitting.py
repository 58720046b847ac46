"""Fits a calibration to labelled queries: half of them decide, the other half says how well it holds.

1. Temperature and prior weight: those under which the true places are most likely. The likelihood is that of the H3
   cells of several resolutions that hold the true place: it matters to be right about the country and about the street.
2. The probability that a circle must hold so that half (nine tenths) of the true places lie inside: split conformal
   prediction (Papadopoulos et al. 2002; Angelopoulos and Bates, arXiv 2107.07511), whatever the model gets wrong. Where
   there are enough photos, each class of spatial entropy has its own: a night shot and a street sign are not alike.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from geoclip.answers.answerer import Answerer
from geoclip.answers.answering import entropy_bits
from geoclip.answers.calibration import Calibration, EntropyClass
from geoclip.answers.source import Asked
from geoclip.distance import haversine_km
from geoclip.errors import InputError
from geoclip.options import Candidates, SearchOptions
from index.grid.cells import FINEST, cells_at, children_counts, descendant_range, parents
from index.grid.sphere import Floats
from index.search.discs import Discs
from index.search.posterior import Posterior

SCALES = (1, 3, 5, 7)
"""Resolutions of the cells whose likelihood counts: about 1,000, 140, 20 and 3 km across."""
DISTANCES_KM = (25.0, 200.0, 750.0, 2500.0)
"""Reliability is that of "the photo was taken within this distance of the best point"."""
LEAST = 20
"""Labelled queries that a calibration needs."""
_FLOOR = 1e-9  # of a cell's probability: a true place at sea is possible
_FIT = 400  # queries that temperature and weight are fitted on, at most: each is looked at some fifty times


@dataclass(frozen=True)
class Measured:
    """How probabilities fared against true places."""

    photos: int
    log_likelihood: float
    """Mean natural logarithm of the probability of the true cells of `SCALES`."""
    coverage_50: float
    """Share of true places inside the 50 % circle."""
    coverage_90: float
    coverage_by_entropy: tuple[tuple[int, float, float], ...]
    """Of the third with the lowest spatial entropy, the next and the last: photos, coverage of both circles."""
    error: float
    """Expected calibration error of the claims "within d km of the best point": ten bins, all distances together."""
    reliability: tuple[tuple[float, float, int], ...]
    """For each bin that is not empty: mean claimed probability, share that was true, claims."""
    median_km: float


def calibrate(
    answerer: Answerer, asked: Asked, vectors: NDArray[np.float32], lat_lng: Floats, *, seed: int = 0, crops: int = 1
) -> Calibration:
    """Fit and measure.

    Args:
        answerer: to be calibrated.
        asked: what is asked of it; a calibration that is applied already is the start.
        vectors: (N, dim) of the labelled photos.
        lat_lng: (N, 2) degrees, where they were taken.
        seed: of the division into halves.
        crops: of each photo; only recorded.

    Raises:
        InputError: there are fewer than 20 labelled queries.
    """
    if len(vectors) < LEAST:
        raise InputError(f"{len(vectors)} labelled photos are too few to calibrate; give at least {LEAST}.")
    order = np.random.default_rng(seed).permutation(len(vectors))
    fitting, held_out = order[::2], order[1::2]
    question, searcher = asked.question, answerer.searcher
    on_planet = searcher.candidates is Candidates.PLANET
    few = fitting[:_FIT]
    start = replace(question, prior_weight=question.prior_weight or SearchOptions.prior_weight)
    posteriors_at = searcher.posteriors_at(vectors[few], start if on_planet else question)
    temperature, weight = _most_likely(
        lambda t, w: _log_likelihood(posteriors_at(t, w), lat_lng[few]), question.prior_weight, on_planet
    )
    chosen = replace(question, temperature=temperature, prior_weight=weight if on_planet else 0.0)
    reached, bits = _reached(answerer, Asked(chosen, asked.how), vectors[fitting], lat_lng[fitting])
    fitted = Calibration(
        temperature=temperature,
        prior_weight=chosen.prior_weight,
        classes=_classes(reached, bits),
        model=answerer.source.model,
        candidates=searcher.candidates,
        index=searcher.index_digest,
        resolution=question.resolution,
        effort=str(question.effort),
        point=asked.how.point,
        crops=crops,
        photos=len(vectors),
    )
    final = Asked(*fitted.applied(*asked))
    before, after = (measure(answerer, each, vectors[held_out], lat_lng[held_out]) for each in (asked, final))
    return fitted.model_copy(update={"report": {"before": asdict(before), "after": asdict(after)}})


def measure(answerer: Answerer, asked: Asked, vectors: NDArray[np.float32], lat_lng: Floats) -> Measured:
    """Compare what is answered for vectors (N, dim) with where they belong (N, 2)."""
    claims, truths, away, inside, likelihood, bits = [], [], [], [], [], []
    for (posterior, discs, best), truth in zip(_looked_up(answerer, asked, vectors), lat_lng, strict=True):
        km = float(haversine_km(best, truth))
        away.append(km)
        bits.append(entropy_bits(posterior))
        circles = asked.how.circles_at(bits[-1])
        inside.append([km <= discs.radius(best, p) for p in (circles.level_50, circles.level_90)])
        claims += [float(discs.within(best[None], d)[0]) for d in DISTANCES_KM]
        truths += [km <= d for d in DISTANCES_KM]
        likelihood.append(_log_likelihood(iter([posterior]), truth[None]))
    coverage = np.mean(inside, axis=0)
    error, reliability = _reliability(np.array(claims), np.array(truths))
    return Measured(
        photos=len(vectors),
        log_likelihood=float(np.mean(likelihood)),
        coverage_50=float(coverage[0]),
        coverage_90=float(coverage[1]),
        coverage_by_entropy=tuple(
            (len(third), *np.array(inside)[third].mean(axis=0).tolist())
            for third in np.array_split(np.argsort(bits, kind="stable"), 3)
            if len(third)
        ),
        error=error,
        reliability=reliability,
        median_km=float(np.median(away)),
    )


def _looked_up(
    answerer: Answerer, asked: Asked, vectors: NDArray[np.float32]
) -> Iterator[tuple[Posterior, Discs, Floats]]:
    """Yield for each vector its posterior, as discs too, and its best point (2,)."""
    maker = answerer.maker(asked)
    for at in range(0, len(vectors), _TOGETHER):
        places = answerer.found(vectors[at : at + _TOGETHER], asked)
        for row, posterior in enumerate(places.posteriors):
            discs, best = maker.best(places, row)
            yield posterior, discs, np.array([best.lat, best.lng])


_TOGETHER = 64  # posteriors in memory at once


def _reached(answerer: Answerer, asked: Asked, vectors: NDArray[np.float32], lat_lng: Floats) -> tuple[Floats, Floats]:
    """Return for each vector the probability in the circle around the best point that reaches the true place.

    And the entropy in bits.
    """
    reached, bits = [], []
    for (posterior, discs, best), truth in zip(_looked_up(answerer, asked, vectors), lat_lng, strict=True):
        reached.append(float(discs.within(best[None], max(float(haversine_km(best, truth)), 1e-3))[0]))
        bits.append(entropy_bits(posterior))
    return np.array(reached), np.array(bits)


def _classes(reached: Floats, bits: Floats) -> tuple[EntropyClass, ...]:
    """Return circles for as many classes of entropy, equally large, as have enough photos; at least one."""
    count = min(max(len(reached) // _OF_A_CLASS, 1), _CLASSES)
    parts = np.array_split(np.argsort(bits, kind="stable"), count)
    limits = [float(bits[own[-1]] + bits[after[0]]) / 2 for own, after in pairwise(parts)]
    return tuple(
        EntropyClass(
            up_to_bits=limit,
            level_50=_level(reached[part], 0.5),
            level_90=_level(reached[part], 0.9),
            photos=len(part),
        )
        for part, limit in zip(parts, [*limits, None], strict=True)
    )


_OF_A_CLASS, _CLASSES = 50, 3


def _level(reached: Floats, share: float) -> float:
    """Return the probability that a circle must hold so that a new true place lies inside with chance `share` or more.

    Of n + 1 values that are alike, each is as likely as any other to be the new one.
    """
    rank = min(math.ceil((len(reached) + 1) * share), len(reached))
    return float(np.clip(np.sort(reached)[rank - 1], 1e-6, 1.0))


def _most_likely(likelihood: Callable[[float, float], float], weight: float, fit_weight: bool) -> tuple[float, float]:
    """Return the temperature, and the prior weight where it is to be fitted, of the greatest likelihood."""
    from scipy.optimize import minimize

    # Left to itself the method begins with steps of 0.00025 where the start is 0, and may stop there.
    begin = np.array([[0.0, weight], [0.5, weight], [0.0, weight + 0.3]] if fit_weight else [[0.0], [0.5]])
    low, high = _BOUNDS[:, : begin.shape[1]]

    def loss(x: Floats) -> float:
        inside = np.clip(x, low, high)  # given bounds, the method's simplex would go flat on them
        away = float(np.abs(x - inside).sum())
        return 10 * away - likelihood(float(np.exp(inside[0])), float(inside[1]) if fit_weight else 0.0)

    options = {"initial_simplex": begin, "xatol": 0.01, "fatol": 1e-4, "maxfev": 60}
    best = np.clip(minimize(loss, begin[0], method="Nelder-Mead", options=options).x, low, high)
    return float(np.exp(best[0])), float(best[1]) if fit_weight else 0.0


_BOUNDS = np.array([[-2.0, 0.0], [3.0, 1.5]])  # of the temperature's logarithm and of the prior weight


def _log_likelihood(posteriors: Iterator[Posterior], lat_lng: Floats) -> float:
    """Return the mean over queries and `SCALES` of the log probability of the cell that holds the true place."""
    logs = []
    for posterior, truth in zip(posteriors, lat_lng, strict=True):
        logs.append(float(np.log(np.maximum(_masses(posterior, truth, SCALES), _FLOOR)).mean()))
    return float(np.mean(logs))


def _masses(posterior: Posterior, truth: Floats, scales: Sequence[int]) -> Floats:
    """Return the probability of the cell of each resolution that holds a point; of a coarser leaf, its even share.

    A point belongs to the ancestors of its finest cell, whose probabilities are sums: H3 cells overlap their parents'
    borders.
    """
    finest = cells_at(truth[None], posterior.finest)
    low, high = descendant_range(posterior.cells, FINEST)
    masses = []
    for res in scales:
        cell = parents(finest, min(res, posterior.finest))
        first, last = descendant_range(cell, FINEST)
        inside = (low >= first) & (high <= last)
        mass = float(posterior.mass[inside].sum())
        around = (low <= first) & (high >= last) & ~inside
        if around.any():
            mass += float(
                (posterior.mass[around] / children_counts(posterior.cells[around], min(res, posterior.finest))).sum()
            )
        masses.append(mass)
    return np.array(masses)


def _reliability(claims: Floats, truths: NDArray[np.bool_]) -> tuple[float, tuple[tuple[float, float, int], ...]]:
    """Return the expected calibration error and the reliability curve of claims (N,) that came true or not (N,)."""
    bins = np.minimum((claims * 10).astype(int), 9)
    curve = [
        (float(claims[bins == b].mean()), float(truths[bins == b].mean()), int((bins == b).sum()))
        for b in range(10)
        if (bins == b).any()
    ]
    error = sum(count * abs(claimed - true) for claimed, true, count in curve) / len(claims)
    return error, tuple(curve)
