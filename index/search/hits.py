"""From what a search scored to what it answers: the best cells, scored exactly, at the best places in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.encoder import Encoder
from index.grid.cells import FINEST, Cells, cells_at, centres, parents, resolution
from index.search.descent import DescentResult, Scored
from index.search.posterior import Posterior
from index.search.question import Question
from index.storage.gallery import Gallery


class Places(NamedTuple):
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


def joined_hits(parts: Sequence[Places]) -> Places:
    """Return the hits of several batches of queries one after the other; there must be at least one, of one k."""
    *arrays, posteriors = zip(*parts, strict=True)
    return Places._make([*map(np.concatenate, arrays), tuple(chain.from_iterable(posteriors))])


class QueryScores(NamedTuple):
    """What the search for one query scored."""

    query: NDArray[np.float32]
    result: DescentResult
    start_scores: NDArray[np.float32]
    """Of the vectors of the start level."""


@dataclass(frozen=True)
class HitMaker:
    """Makes the hits of queries from what was scored for them.

    Args:
        question: what is asked.
        encoder: of the model.
        gallery: its places are tried inside the cells found; None tries none.
    """

    question: Question
    encoder: Encoder
    gallery: Gallery | None

    def hits(self, scored: Sequence[QueryScores], posteriors: Sequence[Posterior]) -> Places:
        """Return the best cells of several queries, whose finest cells are scored exactly in one call."""
        n, k = len(scored), self.question.k
        hits = Places(
            np.zeros((n, k), np.uint64),
            np.full((n, k, 2), np.nan),
            np.full((n, k), -np.inf, np.float32),
            np.zeros((n, k)),
            np.array([posterior.estimated for posterior in posteriors]),
            np.array([one.result.encodings for one in scored], np.int64),
        )
        for row, (one, exact, posterior) in enumerate(zip(scored, self._rescored(scored), posteriors, strict=True)):
            self._fill(hits, row, one, exact, posterior)
        return hits

    def _fill(
        self, hits: Places, row: int, scored: QueryScores, exact: "_ExactScores | None", posterior: Posterior
    ) -> None:
        """Write one query's hits into its row."""
        question, query = self.question, scored.query
        finest = scored.result.finest
        masses = posterior.mass[len(posterior.mass) - len(finest.cells) :]  # a posterior ends with the finest cells
        if exact is not None:
            finest, masses = exact.scored, masses[exact.rows]
        possible = np.flatnonzero(np.isfinite(finest.ranks))
        best = possible[np.lexsort((finest.cells[possible], -finest.ranks[possible]))]
        mass = masses[best]
        if question.mass_resolution is not None and len(best):
            best, mass = _by_mass(finest.cells, best, posterior, question.mass_resolution, question.k)
        best, mass = best[: question.k], mass[: question.k]
        cells, scores, where = finest.cells[best], finest.scores[best], centres(finest.cells[best])
        if scored.result.encodings and question.mass_resolution is not None:
            scores = self.encoder.exactly(where) @ query  # the best of each group by the other encoder: masses too
        if self.gallery is not None:
            gains = self._at_gallery_places(self.gallery, query, cells, scores, where)
            if question.mass_resolution is None:  # a place that scores better also ranks better
                again = np.argsort(-(finest.ranks[best] + gains), kind="stable")
                cells, scores, where, mass = cells[again], scores[again], where[again], mass[again]
        count = len(cells)
        hits.cells[row, :count], hits.lat_lng[row, :count] = cells, where
        hits.scores[row, :count], hits.probabilities[row, :count] = scores, mass

    def _rescored(self, scored: Sequence[QueryScores]) -> Sequence["_ExactScores | None"]:
        """Score the best finest cells of all queries again, by the exact encoder, in one call.

        None where there is none, where nothing was encoded, and where cells are ranked by mass: masses are the other
        encoder's.
        """
        some = [one for one in scored if one.result.encodings]
        if self.question.mass_resolution is not None or not some:
            return [None] * len(scored)
        finest = [one.result.finest for one in some]
        best = [np.lexsort((level.cells, -level.ranks))[: 2 * self.question.k] for level in finest]
        parts = [level.part(rows) for level, rows in zip(finest, best, strict=True)]
        ends = np.cumsum([len(part.cells) for part in parts])[:-1]
        vectors = np.split(self.encoder.exactly(centres(np.concatenate([part.cells for part in parts]))), ends)
        exact = {
            id(one): _ExactScores(rows, part.rescored(own @ one.query))
            for one, rows, part, own in zip(some, best, parts, vectors, strict=True)
        }
        return [exact.get(id(one)) for one in scored]

    def _at_gallery_places(
        self,
        gallery: Gallery,
        query: NDArray[np.float32],
        cells: Cells,
        scores: NDArray[np.float32],
        where: NDArray[np.float64],
    ) -> NDArray[np.float32]:
        """Move hits to the best place of the gallery inside their cell, where it scores better; return the gains."""
        gains = np.zeros(len(cells), np.float32)
        starts, stops = gallery.within(cells)
        steps = np.maximum(1, -(-(stops - starts) // _PLACES_PER_CELL))  # in tree order: from all over the cell
        rows = [np.arange(*bounds) for bounds in zip(starts, stops, steps, strict=True)]
        if not len(cells) or not sum(map(len, rows)):
            return gains
        places = gallery.lat_lng[np.concatenate(rows)]
        place_scores = self.encoder.exactly(places) @ query
        if self.question.region is not None:  # a cell on its border has places beyond
            place_scores[~self.question.region.contains(cells_at(places, FINEST))] = -np.inf
        at = 0
        for hit, own in enumerate(rows):
            if len(own):
                best = at + int(place_scores[at : at + len(own)].argmax())
                if place_scores[best] > scores[hit]:
                    gains[hit] = place_scores[best] - scores[hit]
                    scores[hit], where[hit] = place_scores[best], places[best]
                at += len(own)
        return gains


_PLACES_PER_CELL = 64  # a cell of resolution 9 with more of them is covered well enough


class _ExactScores(NamedTuple):
    """The best of the finest cells that were found for a query, scored exactly."""

    rows: NDArray[np.int64]
    """Of the finest cells."""
    scored: Scored


def _by_mass(
    cells: Cells, best: NDArray[np.int64], posterior: Posterior, res: int, k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the best of some cells, best first, in each of the k heaviest cells of `res`, and those cells' masses."""
    groups, masses = posterior.at(res)
    own = parents(cells[best], min(res, resolution(cells)))
    first = {int(group): int(row) for row, group in zip(best[::-1].tolist(), own[::-1].tolist(), strict=True)}
    picked = [(first[int(g)], m) for g, m in zip(groups.tolist(), masses.tolist(), strict=True) if int(g) in first][:k]
    return np.array([row for row, _ in picked], dtype=np.int64), np.array([mass for _, mass in picked])
