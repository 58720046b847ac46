"""From what a search scored to what it answers: the best cells, scored exactly, at the best places in them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from index.encoder import Encoder
from index.grid.cells import Cells, centres, parents, resolution
from index.search.descent import DescentResult, Scored
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


@dataclass(frozen=True)
class HitMaker:
    """Makes the hits of queries from what was scored for them.

    The best cells by the scores of the search are scored again, exactly; the best of these are hits 1 to 10. Of what is
    left, with more cells, the best are hits 11 to 50, and so on: the first hits do not depend on how many are asked.
    A hit is in the region: where a cell's centre is not, a point near it is, or the cell is not a hit.

    Args:
        question: what is asked.
        encoder: of the model.
        gallery: its places are tried inside the cells found; None tries none.
    """

    question: Question
    encoder: Encoder
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
            self._score([(one, one.upcoming(2 * end)) for one in best])
            for one in best if start == 0 else ():
                self._score_until_one_is_inside(one)
            for row, one in enumerate(best):
                rows, gains = one.take(end - start), np.zeros(0)
                if self.gallery is not None:
                    gains = self._at_gallery_places(self.gallery, one, rows)
                if len(gains) and self.question.mass_resolution is None:  # a place that scores better also ranks better
                    rows = rows[np.argsort(-(one.cells.ranks[rows] + gains), kind="stable")]
                rows = rows[: k - start]
                own = slice(start, start + len(rows))
                hits.cells[row, own], hits.lat_lng[row, own] = one.cells.cells[rows], one.where[rows]
                hits.scores[row, own], hits.probabilities[row, own] = one.cells.scores[rows], one.mass[rows]
            start = end
        return hits

    def _score(self, batch: "Sequence[tuple[_Best, NDArray[np.int64]]]") -> None:
        """Find where in the cells of some rows the hits are, and score them there, in one call."""
        region = self.question.region
        for one, rows in batch:
            cells = one.cells.cells[rows]
            one.where[rows] = centres(cells) if region is None else region.points_in(cells)
        where = [one.where[rows][one.encoded[rows]] for one, rows in batch]
        if not sum(map(len, where)):
            vectors = [np.zeros((0, len(one.query)), np.float32) for one, _ in batch]
        else:
            encoded = self.encoder.exactly(np.nan_to_num(np.concatenate(where)))
            vectors = np.split(encoded, np.cumsum([len(own) for own in where])[:-1])
        for (one, rows), own in zip(batch, vectors, strict=True):
            one.rescore(rows, own @ one.query)

    def _score_until_one_is_inside(self, one: "_Best") -> None:
        """Go on with cells that touch the region and have no place in it; as a last resort take a cell's centre."""
        while not len(one.waiting) and len(rows := one.upcoming(one.seen + 20)):
            self._score([(one, rows)])
        if not len(one.waiting) and one.seen:
            one.where[0], one.waiting = centres(one.cells.cells[:1])[0], np.zeros(1, np.int64)

    def _at_gallery_places(self, gallery: Gallery, best: "_Best", rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Move hits to the best place of the gallery inside their cell, where it scores better; return the gains."""
        gains = np.zeros(len(rows))
        starts, stops = gallery.within(best.cells.cells[rows])
        steps = np.maximum(1, -(-(stops - starts) // _PLACES_PER_CELL))  # in tree order: from all over the cell
        own = [np.arange(*bounds) for bounds in zip(starts, stops, steps, strict=True)]
        if not sum(map(len, own)):
            return gains
        places = gallery.lat_lng[np.concatenate(own)]
        scores = self.encoder.exactly(places) @ best.query
        if self.question.region is not None:  # a cell on its border has places beyond
            scores[~self.question.region.holds(places)] = -np.inf
        hit = np.repeat(np.arange(len(rows)), [len(each) for each in own])
        order = np.lexsort((np.arange(len(hit)), -scores, hit))
        first = order[np.unique(hit[order], return_index=True)[1]]  # the best place of each hit that has any
        better = first[scores[first] > best.cells.scores[rows[hit[first]]]]
        moved = rows[hit[better]]
        gains[hit[better]] = scores[better] - best.cells.scores[moved]
        best.where[moved], best.cells.scores[moved] = places[better], scores[better]
        return gains


_PLACES_PER_CELL = 64  # a cell of resolution 9 with more of them is covered well enough


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
    seen: int = 0
    """How many of the cells have an exact score."""
    waiting: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Rows of those among them that are no hits yet."""

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
        return cls(scored.query, cells, encoded, np.full((len(rows), 2), np.nan), mass, by_mass)

    def upcoming(self, count: int) -> NDArray[np.int64]:
        """Return the rows of the cells up to a count that have not been returned yet."""
        rows = np.arange(self.seen, min(count, len(self.cells.cells)))
        self.seen += len(rows)
        return rows

    def rescore(self, rows: NDArray[np.int64], scores: NDArray[np.float32]) -> None:
        """Take the scores of those of some rows that have an encoder's; drop those without a place in the region."""
        own = rows[self.encoded[rows]]
        self.cells.ranks[own] += scores - self.cells.scores[own]
        self.cells.scores[own] = scores
        self.waiting = np.concatenate((self.waiting, rows[np.isfinite(self.where[rows, 0])]))

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
