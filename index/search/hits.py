"""From what a search scored to what it answers: the best cells, scored exactly, at the best places in them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from index.encoder import Encode
from index.grid.cells import Cells, centres, parents, resolution
from index.search.descent import DescentResult, Scored
from index.search.features import Features, frame, places, places_html
from index.search.land import Walked
from index.search.posterior import Posterior
from index.search.question import Question
from index.storage.gallery import Gallery


class FoundPlaces(NamedTuple):
    """The best places for N queries, best first; where there are fewer than k: cell 0, NaN, score -inf, probability 0.

    On a planet ranked by score + prior weight / tau * log prior; in a gallery by score.
    """

    cells: Cells
    """(N, k) H3 ids of the cells the places lie in."""
    lat_lng: NDArray[np.float64]
    """(N, k, 2) degrees: a cell's centre, or a place of the gallery."""
    scores: NDArray[np.float32]
    """(N, k) cosine between query and place."""
    probabilities: NDArray[np.float64]
    """(N, k) posterior probability of the cell, or of the coarser cell it stands for with `mass_resolution`. In a
    gallery, of the place among all its places."""
    estimated: NDArray[np.float64]
    """(N,) share of the posterior that rests on estimates: all that was not scored at the finest resolution."""
    encodings: NDArray[np.int64]
    """(N,) cells encoded for the query."""
    posteriors: tuple[Posterior, ...] = ()
    """The posterior of each query, where asked for: some 200 kB each."""

    def __repr__(self) -> str:
        """Return how many there are, and the best of each query."""
        best = [f"({lat:.5f}, {lng:.5f})" for lat, lng in self.lat_lng[:3, 0]]
        best += ["..."] if len(self.cells) > len(best) else []
        return f"<{self.cells.shape[1]} places for each of {len(self.cells)} queries; best: {', '.join(best)}>"

    @property
    def __geo_interface__(self) -> Features:
        """The places of all queries as a GeoJSON FeatureCollection."""
        return places(self)

    def to_geopandas(self) -> Any:
        """Return the places of all queries as a GeoDataFrame in WGS 84, a row each.

        Raises:
            ImportError: GeoPandas is not installed.
        """
        return frame(self.__geo_interface__)

    def _repr_html_(self) -> str:
        return places_html(self)


def joined_hits(parts: Sequence[FoundPlaces]) -> FoundPlaces:
    """Return the hits of several batches of queries one after the other; there must be at least one, of one k."""
    *arrays, posteriors = zip(*parts, strict=True)
    return FoundPlaces._make([*map(np.concatenate, arrays), tuple(chain.from_iterable(posteriors))])


class QueryScores(NamedTuple):
    """What the search for one query scored."""

    query: NDArray[np.float32]
    result: DescentResult
    start_scores: NDArray[np.float32]
    """Of the vectors of the start level."""
    walked: tuple[Walked, ...]
    """Leaves among the cells of the stored levels below the start level; none where the engine tells none."""


@dataclass(frozen=True)
class HitMaker:
    """Makes the hits of queries from what was scored for them.

    The best cells by the scores of the search are scored again, exactly; the best of these are hits 1 to 10. Of what is
    left, with more cells, the best are hits 11 to 50, and so on: the first hits do not depend on how many are asked.
    A hit is in the region: where a cell's centre is not, a point near it is, or the cell is not a hit.

    Args:
        question: what is asked.
        exactly: encodes places for the scores that are answered.
        quickly: tells which places those may be.
        gallery: its places are tried inside the cells found; None tries none.
    """

    question: Question
    exactly: Encode
    quickly: Encode
    gallery: Gallery | None

    def hits(self, scored: Sequence[QueryScores], posteriors: Sequence[Posterior]) -> FoundPlaces:
        """Return the best cells of several queries."""
        n, k = len(scored), self.question.k
        hits = FoundPlaces(
            np.zeros((n, k), np.uint64),
            np.full((n, k, 2), np.nan),
            np.full((n, k), -np.inf, np.float32),
            np.zeros((n, k)),
            np.array([posterior.estimated for posterior in posteriors]),
            np.array([one.result.encodings for one in scored], np.int64),
        )
        best = [_Best.of(one, own, self.question) for one, own in zip(scored, posteriors, strict=True)]
        start = 0
        for end in _ends(k):
            self._score([(one, one.upcoming(end, 2 * end)) for one in best])
            for one in best if start == 0 else ():
                self._score_until_one_is_inside(one)
            for row, one in enumerate(best):
                rows = one.take(end - start)
                gains = one.move_to_places(rows)
                if self.question.mass_resolution is None:  # a place that scores better also ranks better
                    rows = rows[np.argsort(-(one.cells.ranks[rows] + gains), kind="stable")]
                rows = rows[: k - start]
                own = slice(start, start + len(rows))
                hits.cells[row, own], hits.lat_lng[row, own] = one.cells.cells[rows], one.where[rows]
                hits.scores[row, own], hits.probabilities[row, own] = one.cells.scores[rows], one.mass[rows]
            start = end
        return hits

    def _score(self, batch: "Sequence[tuple[_Best, NDArray[np.int64]]]") -> None:
        """Find where in the cells of some rows the hits are, and score them there, in one call."""
        if not batch:
            return
        region = self.question.region
        cells = np.concatenate([one.cells.cells[rows] for one, rows in batch])
        sizes = [len(rows) for _, rows in batch]
        owners = np.repeat(np.arange(len(batch)), sizes)
        where = centres(cells) if region is None else region.points_in(cells)
        places, owner_rows = self._promising_places(batch, cells, where, owners)
        encoded = np.concatenate([one.encoded[rows] for one, rows in batch])
        points = np.concatenate((np.nan_to_num(where[encoded]), places))
        vectors = self.exactly(points) if len(points) else np.zeros((0, len(batch[0][0].query)), np.float32)
        at_centres, at_places = vectors[: encoded.sum()], vectors[encoded.sum() :]
        first = 0
        for (one, rows), size in zip(batch, sizes, strict=True):
            part = slice(first, first + size)
            own = encoded[part]
            done = int(encoded[:first].sum())
            one.where[rows] = where[part]
            one.rescore(rows, at_centres[done : done + int(own.sum())] @ one.query)
            inside = (owner_rows >= first) & (owner_rows < first + size)
            one.propose(rows[owner_rows[inside] - first], places[inside], at_places[inside] @ one.query)
            first += size

    def _promising_places(
        self,
        batch: "Sequence[tuple[_Best, NDArray[np.int64]]]",
        cells: Cells,
        where: NDArray[np.float64],
        owners: NDArray[np.int64],
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return places (P, 2) of the gallery, one a cell, that may score better there, and the row of each cell."""
        if self.gallery is None or not len(cells):
            return np.zeros((0, 2)), np.zeros(0, np.int64)
        starts, stops = self.gallery.within(cells)
        steps = np.maximum(1, -(-(stops - starts) // _PLACES_PER_CELL))  # in tree order: from all over the cell
        numbers = [np.arange(*bounds) for bounds in zip(starts, stops, steps, strict=True)]
        cell = np.repeat(np.arange(len(cells)), [len(each) for each in numbers])
        places = self.gallery.lat_lng[np.concatenate(numbers)]
        if self.question.region is not None:  # a cell on its border has places beyond
            held = self.question.region.holds(places)
            places, cell = places[held], cell[held]
        if not len(cell):
            return places, cell
        own = np.unique(cell)
        vectors = self.quickly(np.concatenate((places, np.nan_to_num(where[own]))))
        queries = np.stack([one.query for one, _ in batch])[owners]
        scores = np.einsum("pd,pd->p", vectors[: len(places)], queries[cell])
        centre_scores = np.einsum("pd,pd->p", vectors[len(places) :], queries[own])
        order = np.lexsort((np.arange(len(cell)), -scores, cell))
        best = order[np.unique(cell[order], return_index=True)[1]]
        best = best[scores[best] >= centre_scores - _ABOUT]
        return places[best], cell[best]

    def _score_until_one_is_inside(self, one: "_Best") -> None:
        """Go on with cells that touch the region and have no place in it; as a last resort take a cell's centre."""
        while not len(one.waiting) and len(rows := one.upcoming(one.seen + 20, one.seen + 20)):
            self._score([(one, rows)])
        if not len(one.waiting) and one.seen:
            one.where[0], one.waiting = centres(one.cells.cells[:1])[0], np.zeros(1, np.int64)


_PLACES_PER_CELL = 64  # a cell of resolution 9 with more of them is covered well enough
_ABOUT = 0.01
"""How far scores of the search are from exact ones; one in a hundred is farther."""


def _ends(k: int) -> Iterator[int]:
    """Yield up to which hit the best are taken of what has been scored by then: 10, 50, 250, ... until k is reached."""
    end = 10
    yield end
    while end < k:
        end *= 5
        yield end


@dataclass
class _Best:
    """The finest cells that were found for a query, on their way to being hits."""

    query: NDArray[np.float32]
    cells: Scored
    """Best first; ranks and scores become exact."""
    encoded: NDArray[np.bool_]
    """Which of them have a score of the encoder; at the coarse resolution none has."""
    where: NDArray[np.float64]
    """(cells, 2) degrees."""
    mass: NDArray[np.float64]
    by_mass: bool
    loose: bool
    """Whether exact scores may be far from those of the search: a point of the region stands for a cell's centre."""
    seen: int = 0
    """How many of the cells have an exact score."""
    waiting: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Rows of those among them that are no hits yet."""
    places: dict[int, tuple[np.float32, NDArray[np.float64]]] = field(default_factory=dict)
    """Of some rows the best place of the gallery in the cell: its score and where it is."""

    @classmethod
    def of(cls, scored: QueryScores, posterior: Posterior, question: Question) -> Self:
        """Order the cells: by rank, or by the mass of what they lie in."""
        finest = scored.result.finest
        mass = posterior.mass[len(posterior.mass) - len(finest.cells) :]  # a posterior ends with the finest cells
        possible = np.flatnonzero(np.isfinite(finest.ranks))
        rows = possible[np.lexsort((finest.cells[possible], -finest.ranks[possible]))]
        by_mass = question.mass_resolution is not None
        mass = mass[rows]
        if question.mass_resolution is not None and len(rows):
            rows, mass = _by_mass(finest.cells, rows, posterior, question.mass_resolution)
        cells = finest.part(rows)  # a copy
        encoded = np.full(len(rows), scored.result.encodings > 0)
        loose = by_mass or question.region is not None
        return cls(scored.query, cells, encoded, np.full((len(rows), 2), np.nan), mass, by_mass, loose)

    def upcoming(self, count: int, most: int) -> NDArray[np.int64]:
        """Return the rows of cells that may be among the first `count`, and `most` at most, not returned before."""
        ranks = self.cells.ranks
        if not self.loose and len(ranks) > count:
            may = ~self.cells.sure[count:most] | (ranks[count:most] >= ranks[count - 1] - _ABOUT)
            most = count + int(np.flatnonzero(may).max(initial=-1)) + 1
        rows = np.arange(self.seen, max(min(most, len(ranks)), self.seen))
        self.seen += len(rows)
        return rows

    def rescore(self, rows: NDArray[np.int64], scores: NDArray[np.float32]) -> None:
        """Take the scores of those of some rows that have an encoder's; drop those without a place in the region."""
        own = rows[self.encoded[rows]]
        self.cells.ranks[own] += scores - self.cells.scores[own]
        self.cells.scores[own] = scores
        self.waiting = np.concatenate((self.waiting, rows[np.isfinite(self.where[rows, 0])]))

    def propose(self, rows: NDArray[np.int64], places: NDArray[np.float64], scores: NDArray[np.float32]) -> None:
        """Take note of places (P, 2) in the cells of some rows (P,), with their exact scores."""
        for row, place, score in zip(rows.tolist(), places, scores, strict=True):
            if row not in self.places or score > self.places[row][0]:
                self.places[row] = score, place

    def move_to_places(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Move hits to the best place in their cell, where it scores better; return the gains."""
        gains = np.zeros(len(rows))
        for at, row in enumerate(rows.tolist()):
            score, place = self.places.get(row, (np.float32(-np.inf), None))
            if place is not None and score > self.cells.scores[row]:
                gains[at] = score - self.cells.scores[row]
                self.where[row], self.cells.scores[row] = place, score
        return gains

    def take(self, count: int) -> NDArray[np.int64]:
        """Return the rows of the next hits, best first."""
        if not self.by_mass:
            at = self.waiting
            self.waiting = at[np.lexsort((self.cells.cells[at], -self.cells.ranks[at]))]
        taken, self.waiting = self.waiting[:count], self.waiting[count:]
        return taken


def _by_mass(
    cells: Cells, best: NDArray[np.int64], posterior: Posterior, res: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the best of some cells, best first, in each cell of `res`, heaviest first, and these cells' masses."""
    groups, masses = posterior.at(res)
    own = parents(cells[best], min(res, resolution(cells)))
    first = {int(group): int(row) for row, group in zip(best[::-1].tolist(), own[::-1].tolist(), strict=True)}
    picked = [(first[int(g)], m) for g, m in zip(groups.tolist(), masses.tolist(), strict=True) if int(g) in first]
    return np.array([row for row, _ in picked], dtype=np.int64), np.array([mass for _, mass in picked])
