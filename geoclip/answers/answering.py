"""Reads a posterior as people do: a point, how sure, what else it could be, in which country. Makes `Answer`s."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoclip.answers.answer import NEARBY_KM, Answer, CellProbability, PlaceName, Prediction, Promise, Searched
from geoclip.answers.areas import areas, scale_km
from geoclip.answers.choosing import Chooser, checked_weights, reweighed
from geoclip.answers.looked_at import LookedAt
from geoclip.answers.place_names import PlaceNames
from geoclip.answers.verdict import verdict
from geoclip.distance import haversine_km
from geoclip.errors import InputError
from index.encoder import Encode
from index.grid.cells import Cells, names
from index.grid.countries import ANYWHERE
from index.grid.sphere import Floats
from index.search.circles import Spread, circles_km
from index.search.discs import Discs, Gain, Mean
from index.search.hits import FoundPlaces, joined_hits
from index.search.posterior import LISTED, Posterior
from index.search.question import Question

ENTROPY_RES = 3
"""Entropy is of cells of this resolution, about 100 km across."""
THRESHOLD_BITS = 10.0
"""Above this entropy an answer is not localizable; measured by `benchmarks/answers.py`."""
POINTS = "all, cell, geoscore or a distance in km, such as 25"


class Circles(NamedTuple):
    """The circles of answers with a spatial entropy up to a limit."""

    up_to_bits: float = math.inf
    level_50: float = 0.5
    """Probability that the 50 % circle holds; calibration chooses it so that half of all true places lie inside."""
    level_90: float = 0.9
    promise: Promise | None = None


@dataclass(frozen=True)
class AnswerOptions:
    """How an answer is read off a posterior.

    Raises:
        InputError: a value is out of range.
    """

    point: str = "all"
    """How the best point is chosen among the fine places: `all`, most probability around it at all distances from 1 to
    2,500 km; a distance in km, most within it; `geoscore`, the largest expected GeoGuessr score; `cell`, the
    best-ranked place. Where a point that is no such place gains far more, it is that point."""
    apart_km: float | None = None
    """Radius of the areas that predictions stand for; None takes what suits the distribution, 0 lists the best-ranked
    places, however close."""
    circles: tuple[Circles, ...] = (Circles(),)
    """By entropy, ascending."""
    threshold_bits: float = THRESHOLD_BITS
    calibrated: int = 0
    """How many photos circles, temperature and prior weight were fitted to."""

    def __post_init__(self) -> None:
        if self.point not in ("all", "cell", "geoscore"):
            try:
                km = float(self.point)
            except ValueError:
                km = math.nan
            if not 0 < km <= 20_000:
                raise InputError(f"The point is {self.point!r}; choose {POINTS} (above 0, up to 20000).")
        if self.apart_km is not None and not 0 <= self.apart_km <= 5_000:
            raise InputError(f"Predictions are to be {self.apart_km} km apart; choose 0 to 5000.")
        for level in [level for each in self.circles for level in each[1:3]]:
            if not 0 < level <= 1:
                raise InputError(f"A circle is to hold a probability of {level}; choose above 0, up to 1.")

    def circles_at(self, entropy_bits: float) -> Circles:
        """Return the circles of an answer with this entropy."""
        return next((each for each in self.circles if entropy_bits <= each.up_to_bits), self.circles[-1])

    @property
    def gain(self) -> Gain | None:
        """What the best point has most of; None is the best-ranked place."""
        if self.point == "cell":
            return None
        return Mean(self.point) if self.point in list(Mean) else float(self.point)


class AnswerMaker:
    """Makes answers of what a search found.

    Args:
        question: what was asked: at most k predictions, none of them in a fine cell outside the region.
        how: they are read off.
        encode: the location encoder in float32, for scores of points that no search scored.
        names: of places.
    """

    def __init__(self, question: Question, how: AnswerOptions, encode: Encode, names: PlaceNames) -> None:
        self._k, self._region = question.k, question.region
        self._limits = ANYWHERE if question.constraint is None else question.constraint.countries
        self._lists_hits = how.apart_km == 0 or question.mass_resolution is not None
        self._how, self._encode, self._names = how, encode, names

    def answers(
        self, queries: Sequence[str], vectors: NDArray[np.float32], places: FoundPlaces, searched: Searched
    ) -> list[Answer]:
        """Return an answer for each query.

        Args:
            queries: (N,) what they are called.
            vectors: (N, dim) float32, as they were searched.
            places: what the search found, with posteriors inside the region; of at least k places.
            searched: what was searched.
        """
        found = _measured([self._read(places, row, self._k) for row in range(len(queries))])
        self._score([each.predictions for each in found], vectors)
        titles = iter(self._titles([each.predictions for each in found]))
        entropies = [entropy_bits(posterior) for posterior in places.posteriors]
        radii = iter(circles_km(list(self._spreads(found, entropies))).tolist())
        answers = []
        for row, (query, read, entropy) in enumerate(zip(queries, found, entropies, strict=True)):
            answer = Answer(
                query,
                tuple(p._replace(name=next(titles)) for p in read.predictions),
                area_km=read.area_km,
                radius_50_km=next(radii),
                radius_90_km=next(radii),
                entropy_bits=entropy,
                estimated=float(places.estimated[row]),
                searched=searched,
            )
            answers.append(self._described(answer, places.posteriors[row]))
        return answers

    def chosen(self, queries: Sequence[str], places: FoundPlaces, choose: Chooser, count: int) -> FoundPlaces:
        """Return what was found as a chooser weighs it, area by area.

        Args:
            queries: (N,) what they are called.
            places: what the search found.
            choose: is asked once for each query.
            count: how many areas it weighs at most.

        Raises:
            InputError: it returns something else than weights.
        """
        parts = []
        for row, query in enumerate(queries):
            ((_, predictions, area_km, middles, _),) = _measured([self._read(places, row, count)])
            if math.isnan(area_km):
                raise InputError(
                    "There are no areas to choose among where places are listed one by one; leave out 0 km."
                )
            titles = self._titles([predictions])
            named = tuple(p._replace(name=title) for p, title in zip(predictions, titles, strict=True))
            weights = choose(query, Answer(query, named, area_km=area_km).candidates(count))
            parts.append(reweighed(places, row, middles, area_km, checked_weights(weights, len(middles), query)))
        return joined_hits(parts) if parts else places

    def best(self, places: FoundPlaces, row: int) -> tuple[Discs, Prediction]:
        """Return a query's posterior as discs, and its best point; the score of a point no search scored is NaN."""
        read = self._read(places, row, 1)
        return read.discs, read.predictions[0]

    def title(self, prediction: Prediction) -> PlaceName:
        """Return the name of a prediction's place."""
        return self._titles([[prediction]])[0]

    def _spreads(self, found: "Sequence[_Read]", entropies: Sequence[float]) -> Iterator[Spread]:
        """Yield what the circles of 50 and 90 % around each best point are to hold."""
        for read, entropy in zip(found, entropies, strict=True):
            circles, best = self._how.circles_at(entropy), read.predictions[0]
            for level in (circles.level_50, circles.level_90):
                yield read.discs.spread(np.array([best.lat, best.lng]), level)

    def _described(self, answer: Answer, posterior: Posterior) -> Answer:
        """Return an answer with all else that is read off the distribution, and with its verdict."""
        shares = self._names.shares(*_named_cells(posterior), limits=self._limits)
        answer = replace(
            answer,
            promise=self._how.circles_at(answer.entropy_bits).promise,
            continents=shares.continents,
            countries=shares.countries,
            regions=shares.regions,
            cities=shares.cities,
            cells=tuple(
                CellProbability(name, float(mass))
                for cells, masses in posterior.joined.tree(LISTED)
                for name, mass in zip(names(cells), masses, strict=True)
            ),
            localizable=answer.entropy_bits <= self._how.threshold_bits,
            threshold_bits=self._how.threshold_bits,
        )
        return replace(answer, verdict=verdict(answer))

    def _read(self, places: FoundPlaces, row: int, k: int) -> "_Read":
        """Return what is read off the distribution of a query."""
        posterior = places.posteriors[row]
        discs = Discs.of(posterior)
        looked = LookedAt.of(places, row, discs, self._region)
        if self._lists_hits:
            return _Read(discs, self._listed(discs, looked, k), math.nan, looked.lat_lng[:0], ())
        looked, best, centre, km = self._first(discs, looked, posterior)
        found = areas(discs, looked, best, centre, km, max(k, 1))
        nearby = discs.within(looked.lat_lng[[area.row for area in found]], NEARBY_KM).tolist()
        predictions = [
            looked.prediction(area.row)._replace(nearby=near, share=area.share)
            for area, near in zip(found, nearby, strict=True)
        ]
        middles = looked.lat_lng[[area.middle for area in found]]
        return _Read(discs, predictions, km, middles, tuple(area.spread for area in found))

    def _first(self, discs: Discs, looked: LookedAt, posterior: Posterior) -> tuple[LookedAt, int, int, float]:
        """Return the places, the rows of the best one and of the first area's middle, and the radius of areas."""
        if self._how.apart_km is None:
            looked, best = self._best_of(discs, looked, posterior, np.ones(len(looked.fine), dtype=bool))
            return looked, best, best, scale_km(discs, looked, best)
        centre = int(np.argmax(discs.within(looked.lat_lng, self._how.apart_km)))
        inside = haversine_km(looked.lat_lng, looked.lat_lng[centre]) <= self._how.apart_km
        looked, best = self._best_of(discs, looked, posterior, inside)
        return looked, best, centre, self._how.apart_km

    def _best_of(
        self, discs: Discs, looked: LookedAt, posterior: Posterior, allowed: NDArray[np.bool_]
    ) -> tuple[LookedAt, int]:
        """Return the row of the best of the places that are allowed, and the places with that one."""
        gain = self._how.gain
        if not (fine := np.flatnonzero(allowed & looked.fine)).size:
            return looked, int(np.flatnonzero(allowed)[0])
        if gain is None:
            return looked, int(fine[0])
        if gain is Mean.ALL:
            every = np.where(allowed, looked.nearness @ discs.mass, -1.0)
            gains = every[fine]
            if not looked.fine[middle := int(np.argmax(every))] and gains.max() < _CLOSE * every[middle]:
                return looked, middle
        else:
            gains = discs.gains(looked.lat_lng[fine], gain)
            free = discs.best_point(gain)
            if allowed.all() and gains.max() < _CLOSE * discs.gains(free[None], gain)[0] and self._holds(free):
                return looked.also(free, discs, posterior), len(looked.fine)
        return looked, int(fine[np.argmax(gains >= _AS_GOOD * gains.max())])

    def _listed(self, discs: Discs, looked: LookedAt, k: int) -> list[Prediction]:
        """Return the hits as predictions that stand for their cells alone, the most probable first."""
        rows = np.argsort(-looked.probabilities[: looked.hits], kind="stable")[:k]
        nearby = discs.within(looked.lat_lng[rows], NEARBY_KM).tolist()
        hits = [looked.prediction(row) for row in rows.tolist()]
        return [p._replace(nearby=near, share=p.probability) for p, near in zip(hits, nearby, strict=True)]

    def _holds(self, lat_lng: Floats) -> bool:
        return self._region is None or bool(self._region.holds(lat_lng[None])[0])

    def _score(self, found: list[list[Prediction]], vectors: NDArray[np.float32]) -> None:
        """Fill in the scores of points that no search scored, all in one call of the encoder."""
        open_ = [(row, n) for row, listed in enumerate(found) for n, p in enumerate(listed) if math.isnan(p.score)]
        if not open_:
            return
        points = np.array([(found[row][n].lat, found[row][n].lng) for row, n in open_])
        encoded = self._encode(points)
        for (row, n), vector in zip(open_, encoded, strict=True):
            found[row][n] = found[row][n]._replace(score=float(vector @ vectors[row]))

    def _titles(self, found: list[list[Prediction]]) -> Sequence[PlaceName]:
        points = [(p.lat, p.lng) for listed in found for p in listed]
        return self._names.names(np.array(points), self._limits) if points else ()


class _Read(NamedTuple):
    """What is read off a distribution."""

    discs: Discs
    predictions: list[Prediction]
    """The score of those that no search scored is NaN."""
    area_km: float
    """Radius of their areas; NaN where they have none."""
    middles: Floats
    """(A, 2) of the areas."""
    spreads: tuple[Spread, ...]
    """Of what is in each area, around its best place; half of it is in the area's circle."""


def _measured(found: "Sequence[_Read]") -> "list[_Read]":
    """Return the same with the radii of areas, all computed at once."""
    radii = iter(circles_km([spread for each in found for spread in each.spreads]).tolist())
    return [
        each._replace(predictions=[p._replace(radius_km=next(radii)) for p in each.predictions])
        if each.spreads
        else each
        for each in found
    ]


_AS_GOOD = 0.95
"""Places that gain this share of what the best one gains are as good: the best-ranked of them is the best point."""
_CLOSE = 0.8
"""A fine place is the best point if it gains this share of what the best point of all gains; for a mean over distances,
the middle of the best coarser cell stands for that point."""


def _named_cells(posterior: Posterior) -> tuple[Cells, Floats]:
    """Return cells to name, the light ones joined; more of them where many are fine."""
    joined = posterior.joined
    if len(np.unique(joined.cells[joined.levels > ENTROPY_RES] >> _BELOW_7)) > _NAMED:
        joined = joined.condensed(2 * LISTED)
    return joined.cells, joined.mass


_NAMED = 2200
_BELOW_7 = np.uint64(24)  # bits of the digits of resolutions 8 to 15: finer cells are named by their ancestors


def entropy_bits(posterior: Posterior) -> float:
    """Return the entropy of the probabilities of cells of `ENTROPY_RES`, in bits."""
    mass = posterior.sums_at(ENTROPY_RES)
    mass = mass[mass > 0]
    return max(0.0, float(-(mass * np.log2(mass)).sum()))  # never -0.0
