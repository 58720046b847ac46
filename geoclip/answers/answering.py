"""Reads a posterior as people do: a point, how sure, what else it could be, in which country. Makes `Answer`s."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoclip.answers.answer import NEARBY_KM, Answer, PlaceName, Prediction, Promise, Searched
from geoclip.answers.areas import Circled, areas, at_scale, circled
from geoclip.answers.cell_probabilities import CellProbabilities
from geoclip.answers.choosing import Chooser, checked_weights, reweighed
from geoclip.answers.looked_at import LookedAt, held_as_written
from geoclip.answers.place_names import PlaceNames, PlaceShares
from geoclip.answers.verdict import verdict
from geoclip.errors import InputError
from index.encoder import Encode
from index.grid.cells import Cells
from index.grid.countries import ANYWHERE
from index.grid.sphere import Floats, unit_vectors
from index.search.circles import Spreads, circles_km
from index.search.discs import Discs, Gain, Mean
from index.search.hits import FoundPlaces, joined_hits
from index.search.posterior import LISTED, Posterior
from index.search.question import Question

ENTROPY_RES = 3
"""Entropy is of cells of this resolution, about 100 km across."""
THRESHOLD_BITS = 10.4
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
        rows = range(len(queries))
        told = [self._told(places, row) for row in rows[:1]]  # loads and compiles what is needed, once
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="reading") as threads:
            told += (threads.map if len(rows) > _ALONE else map)(lambda row: self._told(places, row), rows[1:])
        self._score([each.predictions for each in told], vectors)
        titles = iter(self._titles([each.predictions for each in told]))
        answers = []
        for row, (query, each) in enumerate(zip(queries, told, strict=True)):
            circles = self._how.circles_at(each.entropy_bits)
            answer = Answer(
                query,
                tuple(p._replace(name=next(titles)) for p in each.predictions),
                area_km=each.area_km,
                radius_50_km=each.radius_50_km,
                radius_90_km=each.radius_90_km,
                entropy_bits=each.entropy_bits,
                estimated=float(places.estimated[row]),
                searched=searched,
                promise=circles.promise,
                **each.shares._asdict(),
                cells=each.cells,
                localizable=each.entropy_bits <= self._how.threshold_bits,
                threshold_bits=self._how.threshold_bits,
            )
            answers.append(replace(answer, verdict=verdict(answer)))
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
            read, _ = self._measured(self._read(places, row, count), math.inf)
            if math.isnan(read.area_km):
                raise InputError(
                    "There are no areas to choose among where places are listed one by one; leave out 0 km."
                )
            titles = self._titles([read.predictions])
            named = tuple(p._replace(name=title) for p, title in zip(read.predictions, titles, strict=True))
            weights = choose(query, Answer(query, named, area_km=read.area_km).candidates(count))
            checked = checked_weights(weights, len(read.middles), query)
            parts.append(reweighed(places, row, read.middles, read.area_km, checked))
        return joined_hits(parts) if parts else places

    def best(self, places: FoundPlaces, row: int) -> tuple[Discs, Prediction]:
        """Return a query's posterior as discs, and its best point; the score of a point no search scored is NaN."""
        read = self._read(places, row, 1)
        return read.discs, read.predictions[0]

    def title(self, prediction: Prediction) -> PlaceName:
        """Return the name of a prediction's place."""
        return self._titles([[prediction]])[0]

    def _told(self, places: FoundPlaces, row: int) -> "_Told":
        """Return all that is read off the distribution of a query; only names and scores of points are missing."""
        own = places.posteriors[row].unread()  # what is remembered while it is read goes with it
        entropy = entropy_bits(own)
        read, (radius_50_km, radius_90_km) = self._measured(self._read(places, row, self._k, own), entropy)
        shares = self._names.shares(*_named_cells(own), limits=self._limits)
        cells = CellProbabilities(*(np.concatenate(column) for column in zip(*own.tree(LISTED), strict=True)))
        return _Told(read.predictions, read.area_km, radius_50_km, radius_90_km, entropy, shares, cells)

    def _measured(self, read: "_Read", entropy: float) -> "tuple[_Read, tuple[float, float]]":
        """Return the same with the radii of areas, and those of 50 and 90 % around the best point."""
        levels = self._how.circles_at(entropy)[1:3]
        *of_areas, at_50, at_90 = circles_km(read.spreads(levels)).tolist()
        if of_areas:
            measured = [p._replace(radius_km=km) for p, km in zip(read.predictions, of_areas, strict=True)]
            read = read._replace(predictions=measured)
        return read, (at_50, at_90)

    def _read(self, places: FoundPlaces, row: int, k: int, posterior: Posterior | None = None) -> "_Read":
        """Return what places are read off the distribution of a query; it may be given as another object."""
        posterior = posterior or places.posteriors[row]
        discs = Discs.of(posterior)
        looked = LookedAt.of(places, row, discs, self._region)
        if self._lists_hits:
            nothing = np.zeros((0, len(discs.mass)))
            listed = held_as_written(self._listed(discs, looked, k), self._region)
            best = unit_vectors(np.array([listed[0][:2]]))
            return _Read(discs, listed, math.nan, looked.lat_lng[:0], best, nothing)
        looked, best_row, circles = self._first(discs, looked, posterior)
        found = areas(discs, looked, best_row, circles, max(k, 1))
        rows = [area.row for area in found]
        units = looked.units[rows]
        nearby = (discs.shares_at(units @ discs.units.T, NEARBY_KM) @ discs.mass).tolist()
        predictions = [
            p._replace(nearby=near, share=area.share)
            for p, area, near in zip(looked.predictions(rows), found, nearby, strict=True)
        ]
        middles = looked.lat_lng[[area.middle for area in found]]
        predictions = held_as_written(predictions, self._region)
        return _Read(discs, predictions, circles.km, middles, units, np.stack([area.claimed for area in found]))

    def _first(self, discs: Discs, looked: LookedAt, posterior: Posterior) -> tuple[LookedAt, int, Circled]:
        """Return the places, the row of the best one, and the circles that areas can be."""
        if self._how.apart_km is None:
            looked, best = self._best_of(discs, looked, posterior, np.ones(len(looked.fine), dtype=bool))
            return looked, best, at_scale(discs, looked, best)
        km = self._how.apart_km
        centre = int(np.argmax(discs.within(looked.lat_lng, km)))
        looked, best = self._best_of(discs, looked, posterior, looked.within(centre, km))
        return looked, best, circled(discs, looked, centre, km)

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
            every = np.where(allowed, looked.nearness @ discs.mass.astype(np.float32), -1.0)
            gains = every[fine]
            if not looked.fine[middle := int(np.argmax(every))] and gains.max() < _CLOSE * every[middle]:
                return looked, middle
        else:
            gains = discs.gains(looked.lat_lng[fine], gain)
            if allowed.all() and gains.max() < _CLOSE:
                free = discs.best_point(gain)
                if gains.max() < _CLOSE * discs.gains(free[None], gain)[0] and self._holds(free):
                    return looked.also(free, discs, posterior), len(looked.fine)
        return looked, int(fine[np.argmax(gains >= _AS_GOOD * gains.max())])

    def _listed(self, discs: Discs, looked: LookedAt, k: int) -> list[Prediction]:
        """Return the hits as predictions that stand for their cells alone, the most probable first."""
        rows = np.argsort(-looked.probabilities[: looked.hits], kind="stable")[:k]
        nearby = discs.within(looked.lat_lng[rows], NEARBY_KM).tolist()
        hits = looked.predictions(rows.tolist())
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


class _Told(NamedTuple):
    """What an answer tells, as `Answer` has it."""

    predictions: list[Prediction]
    """Without names; the score of those that no search scored is NaN."""
    area_km: float
    radius_50_km: float
    radius_90_km: float
    entropy_bits: float
    shares: PlaceShares
    cells: CellProbabilities


class _Read(NamedTuple):
    """Places that are read off a distribution."""

    discs: Discs
    predictions: list[Prediction]
    """The score of those that no search scored is NaN."""
    area_km: float
    """Radius of their areas; NaN where they have none."""
    middles: Floats
    """(A, 2) of the areas."""
    units: Floats
    """(A, 3) their best places as unit vectors; without areas (1, 3), the best place."""
    claimed: Floats
    """(A, L) what is in each area, of the discs; half of it is in the area's circle."""

    def spreads(self, levels: Sequence[float]) -> Spreads:
        """Return what gives the radii of the areas, and then of the circles of some levels around the best point."""
        units = np.concatenate((self.units[: len(self.claimed)], np.repeat(self.units[:1], len(levels), axis=0)))
        mass = np.concatenate((self.claimed, np.broadcast_to(self.discs.mass, (len(levels), len(self.discs.mass)))))
        return self.discs.spreads(units, [*self.claimed.sum(axis=1) / 2, *levels], mass)


_THREADS, _ALONE = 2, 4
"""Queries that are read at once, if there are more than so many: half of the time is compiled code, which lets others
run; with more threads it does not become faster."""
_AS_GOOD = 0.95
"""Places that gain this share of what the best one gains are as good: the best-ranked of them is the best point."""
_CLOSE = 0.8
"""A fine place is the best point if it gains this share of what the best point of all gains; for a mean over distances,
the middle of the best coarser cell stands for that point."""


def _named_cells(posterior: Posterior) -> tuple[Cells, Floats]:
    """Return cells to name, the light ones joined; more of them where many are fine."""
    joined = posterior.joined
    fine = joined.cells[np.searchsorted(joined.levels, ENTROPY_RES, side="right") :] >> _BELOW_7  # in order
    if np.count_nonzero(fine[1:] != fine[:-1]) >= _NAMED:
        joined = posterior.condensed(2 * LISTED)
    return joined.cells, joined.mass


_NAMED = 2200
_BELOW_7 = np.uint64(24)  # bits of the digits of resolutions 8 to 15: finer cells are named by their ancestors


def entropy_bits(posterior: Posterior) -> float:
    """Return the entropy of the probabilities of cells of `ENTROPY_RES`, in bits."""
    mass = posterior.sums_at(ENTROPY_RES)
    mass = mass[mass > 0]
    return max(0.0, float(-(mass * np.log2(mass)).sum()))  # never -0.0
