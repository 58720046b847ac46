"""Reads a posterior as people do: a point, how sure, what else it could be, in which country. Makes `Answer`s."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoclip.answers.answer import NEARBY_KM, Answer, CellProbability, PlaceName, Prediction, Searched
from geoclip.answers.place_names import PlaceNames
from geoclip.distance import haversine_km
from geoclip.errors import InputError
from geoclip.options import SearchOptions
from index.encoder import Encode
from index.grid.cells import Cells, cells_at, names, parents
from index.grid.countries import ANYWHERE
from index.grid.sphere import Floats
from index.search.discs import Discs
from index.search.hits import FoundPlaces
from index.search.posterior import Posterior
from index.search.question import Question

ENTROPY_RES = 3
"""Entropy is of cells of this resolution, about 100 km across."""
THRESHOLD_BITS = 10.0
"""Above this entropy an answer is not localizable; measured by `benchmarks/answers.py`."""
LEAST_CELL = 0.001
"""Cells with less probability are not listed."""
POINTS = "cell, geoscore or a distance in km, such as 25"


@dataclass(frozen=True)
class AnswerOptions:
    """How an answer is read off a posterior.

    Raises:
        InputError: a value is out of range.
    """

    point: str = SearchOptions.point
    """How the best point is chosen: `cell`, the best-ranked fine cell; a distance in km, the point with the most
    probability within it; `geoscore`, the point with the largest expected GeoGuessr score."""
    apart_km: float = 50.0
    """Predictions are at least this far apart; 0 lists the best-ranked cells or places, however close."""
    level_50: float = 0.5
    """Probability that the 50 % circle holds; calibration chooses it so that half of all true places lie inside."""
    level_90: float = 0.9
    threshold_bits: float = THRESHOLD_BITS
    calibrated: bool = False

    def __post_init__(self) -> None:
        if self.point not in ("cell", "geoscore"):
            try:
                km = float(self.point)
            except ValueError:
                km = math.nan
            if not 0 < km <= 20_000:
                raise InputError(f"The point is {self.point!r}; choose {POINTS} (above 0, up to 20000).")
        if not 0 <= self.apart_km <= 5_000:
            raise InputError(f"Predictions are to be {self.apart_km} km apart; choose 0 to 5000.")
        for level in (self.level_50, self.level_90):
            if not 0 < level <= 1:
                raise InputError(f"A circle is to hold a probability of {level}; choose above 0, up to 1.")


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
        found = [self._predictions(places, row, self._k) for row in range(len(queries))]
        self._score(found, vectors)
        titles = iter(self._titles(found))
        answers = []
        for row, (query, (discs, predictions)) in enumerate(zip(queries, found, strict=True)):
            named = tuple(p._replace(name=next(titles)) for p in predictions)
            posterior = places.posteriors[row]
            answers.append(self._answer(query, named, discs, posterior, float(places.estimated[row]), searched))
        return answers

    def best(self, places: FoundPlaces, row: int) -> tuple[Discs, Prediction]:
        """Return a query's posterior as discs, and its best point; the score of a point no search scored is NaN."""
        discs, predictions = self._predictions(places, row, 1)
        return discs, predictions[0]

    def _answer(
        self,
        query: str,
        predictions: tuple[Prediction, ...],
        discs: Discs,
        posterior: Posterior,
        estimated: float,
        searched: Searched,
    ) -> Answer:
        entropy = entropy_bits(posterior)
        countries, regions, cities = self._names.areas(posterior.cells, posterior.mass, limits=self._limits)
        best = np.array([predictions[0].lat, predictions[0].lng])
        return Answer(
            query,
            predictions,
            radius_50_km=discs.radius(best, self._how.level_50),
            radius_90_km=discs.radius(best, self._how.level_90),
            countries=countries,
            regions=regions,
            cities=cities,
            cells=tuple(
                CellProbability(name, float(mass))
                for cells, masses in posterior.tree(LEAST_CELL)
                for name, mass in zip(names(cells), masses, strict=True)
            ),
            entropy_bits=entropy,
            localizable=entropy <= self._how.threshold_bits,
            threshold_bits=self._how.threshold_bits,
            estimated=estimated,
            searched=searched,
        )

    def _predictions(self, places: FoundPlaces, row: int, k: int) -> tuple[Discs, list[Prediction]]:
        posterior = places.posteriors[row]
        discs = Discs.of(posterior)
        real = np.isfinite(places.scores[row])
        hits = [
            Prediction(float(lat), float(lng), float(p), float(s), f"{cell:x}")
            for (lat, lng), p, s, cell in zip(
                places.lat_lng[row][real],
                places.probabilities[row][real],
                places.scores[row][real],
                places.cells[row][real],
                strict=True,
            )
        ]
        where = np.concatenate((np.array([(p.lat, p.lng) for p in hits]), discs.lat_lng[:_CANDIDATES]))
        allowed = self._allowed(where)
        chosen = self._chosen(discs, where[allowed])
        first = hits[0] if chosen is None else self._at(chosen, posterior)
        if self._how.apart_km == 0:
            listed = hits[:k] if chosen is None else [first, *hits[: k - 1]]
        else:
            listed = [first, *self._others(first, hits, where, allowed, discs, posterior, k - 1)]
        nearby = discs.within(np.array([(p.lat, p.lng) for p in listed]), NEARBY_KM)
        return discs, [p._replace(nearby=float(n)) for p, n in zip(listed, nearby, strict=True)]

    def _allowed(self, lat_lng: Floats) -> NDArray[np.bool_]:
        """Return which points (C, 2) are inside the region."""
        if self._region is None:
            return np.ones(len(lat_lng), dtype=bool)
        return self._region.holds(lat_lng)

    def _chosen(self, discs: Discs, inside: Floats) -> Floats | None:
        """Return the best point; where that is outside the region, the best of some points (C, 2) inside it."""
        if self._how.point == "cell":
            return None
        gain_km = None if self._how.point == "geoscore" else float(self._how.point)
        best = discs.best_point(gain_km)
        if self._allowed(best[None])[0]:
            return best
        found: Floats = inside[int(np.argmax(discs.gains(inside, gain_km)))]
        return found

    def _others(
        self,
        first: Prediction,
        hits: list[Prediction],
        points: Floats,
        allowed: NDArray[np.bool_],
        discs: Discs,
        posterior: Posterior,
        count: int,
    ) -> list[Prediction]:
        """Return alternatives: each time the place with most probability nearby that no earlier one accounts for.

        Places are points (C, 2) that are allowed (C,); the hits come first.
        """
        if count < 1:
            return []
        apart = allowed.copy()
        left = discs.mass.copy()
        shares = discs.shares(points, NEARBY_KM)
        latest = np.array([[first.lat, first.lng]])
        result: list[Prediction] = []
        while len(result) < count:
            apart &= haversine_km(points, latest) >= self._how.apart_km
            left *= 1 - discs.shares(latest, NEARBY_KM)[0]
            gains = np.where(apart, shares @ left, -1.0)
            best = int(np.argmax(gains))
            if gains[best] <= 0:
                break
            result.append(hits[best] if best < len(hits) else self._at(points[best], posterior))
            latest = points[best : best + 1]
        return result

    def _at(self, lat_lng: Floats, posterior: Posterior) -> Prediction:
        """Return the prediction for a point: its leaf of the posterior; the score is filled in later."""
        cell, mass = leaf_at(posterior, lat_lng)
        return Prediction(float(lat_lng[0]), float(lat_lng[1]), mass, math.nan, f"{cell:x}")

    def _score(self, found: list[tuple[Discs, list[Prediction]]], vectors: NDArray[np.float32]) -> None:
        """Fill in the scores of points that no search scored, all in one call of the encoder."""
        open_ = [(row, n) for row, (_, listed) in enumerate(found) for n, p in enumerate(listed) if math.isnan(p.score)]
        if not open_:
            return
        points = np.array([(found[row][1][n].lat, found[row][1][n].lng) for row, n in open_])
        encoded = self._encode(points)
        for (row, n), vector in zip(open_, encoded, strict=True):
            found[row][1][n] = found[row][1][n]._replace(score=float(vector @ vectors[row]))

    def _titles(self, found: list[tuple[Discs, list[Prediction]]]) -> Sequence[PlaceName]:
        points = [(p.lat, p.lng) for _, listed in found for p in listed]
        return self._names.names(np.array(points), self._limits) if points else ()


_CANDIDATES = 128  # discs that can be alternatives: the heaviest


def entropy_bits(posterior: Posterior) -> float:
    """Return the entropy of the probabilities of cells of `ENTROPY_RES`, in bits."""
    _, mass = posterior.at(ENTROPY_RES)
    mass = mass[mass > 0]
    return max(0.0, float(-(mass * np.log2(mass)).sum()))  # never -0.0


def leaf_at(posterior: Posterior, lat_lng: Floats) -> tuple[int, float]:
    """Return the leaf of a posterior that holds a point (2,), and its probability; at sea, the fine cell and 0."""
    finest: Cells = cells_at(lat_lng[None], posterior.finest)
    for res in range(posterior.finest, -1, -1):
        cell = parents(finest, res)[0]
        row = np.flatnonzero(posterior.cells == cell)
        if len(row):
            return int(cell), float(posterior.mass[row].sum())
    return int(finest[0]), 0.0
