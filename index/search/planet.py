"""`Planet`: an opened index. Vectors in; cells, coordinates, scores and probabilities out."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from index.building.representatives import Encoder
from index.grid.cells import FINEST, Cells, cells_at, centres, parents, resolution
from index.grid.region import Region
from index.search.descent import FINEST_ANSWER, Found, Ranking, Scored, descend
from index.search.efforts import Effort, Name, named
from index.search.engine import CoarseEngine, CoarseHits, checked_queries
from index.search.posterior import Land, Posterior, posterior
from index.storage.artifact import MANIFEST, BadIndexError, Manifest
from index.storage.gallery import Gallery
from index.storage.prior import Prior

BATCH = 128
"""Queries that go down together: they share encodings, and memory holds no more."""
EXACT_BATCH = 64
"""Queries whose answers are scored exactly together."""


@dataclass(frozen=True)
class Question:
    """What is asked of a planet, apart from the vectors.

    Raises:
        ValueError: a number is out of range.
    """

    k: int = 10
    """Cells per query."""
    resolution: int = 9
    """Of the cells, from the index's coarse resolution to 11. At the coarse resolution nothing is encoded and scores
    are those of the representatives."""
    effort: Effort | Name = Name.DEFAULT
    prior_weight: float = 0.0
    """Weight of the log prior: 0 ranks by score alone, 1 takes the gallery's density at its word."""
    temperature: float = 1.0
    """Logits are divided by it: above 1 for probabilities less sure than the model's own."""
    region: Region | None = None
    """Only cells that overlap it are found."""
    mass_resolution: int | None = None
    """Rank by the probability summed up to this resolution, and answer with the best cell in each. None ranks the
    cells themselves (MAP)."""
    gallery: bool = True
    """Try the gallery's places inside the cells found: where one scores better than the centre, it is the answer."""

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"k is {self.k}; ask for at least 1 cell.")
        if not 0 <= self.prior_weight <= 2:
            raise ValueError(f"The prior's weight is {self.prior_weight}; choose 0 to 2.")
        if not 0.01 <= self.temperature <= 100:
            raise ValueError(f"The temperature is {self.temperature}; choose 0.01 to 100.")
        if self.mass_resolution is not None and not 0 <= self.mass_resolution <= self.resolution:
            raise ValueError(f"The resolution of the mass is {self.mass_resolution}; choose 0 to {self.resolution}.")


class PlanetHits(NamedTuple):
    """The best cells for N queries, best first; where there are fewer than k: cell 0, NaN, score -inf, probability 0.

    Ranked by score + prior weight / tau * log prior.
    """

    cells: Cells
    """(N, k) H3 ids."""
    lat_lng: NDArray[np.float64]
    """(N, k, 2) degrees: the cell's centre, or a place of the gallery in it."""
    scores: NDArray[np.float32]
    """(N, k) cosine between query and place."""
    probabilities: NDArray[np.float64]
    """(N, k) posterior probability of the cell, or of the coarser cell it stands for with `mass_resolution`."""
    estimated: NDArray[np.float64]
    """(N,) share of the posterior that rests on estimates: all that was not scored at the finest resolution."""
    encodings: NDArray[np.int64]
    """(N,) cells encoded for the query."""
    posteriors: tuple[Posterior, ...] = ()
    """The posterior of each query, where asked for: some 200 kB each."""


class Finding(NamedTuple):
    """What the search for one query scored."""

    query: NDArray[np.float32]
    found: Found
    start_scores: NDArray[np.float32]
    """Of the vectors of the start level."""


class Planet:
    """An index, opened for search.

    Args:
        folder: of the index.
        engine: finds coarse cells.
    """

    def __init__(self, folder: Path, manifest: Manifest, cells: Cells, engine: CoarseEngine) -> None:
        self.folder, self.manifest, self.cells, self.engine = folder, manifest, cells, engine
        self.gallery = Gallery.load(folder / "gallery.parquet")
        log_mass = np.load(folder / "prior.npy").astype(np.float64)
        parameters = {name: value for name, value in manifest.prior.items() if name != "digest"}
        self.prior = Prior.restore(cells, log_mass, self.gallery, parameters)
        self._lengths = np.load(folder / "lengths.npy").astype(np.float32)
        self._land = lru_cache(maxsize=4)(self._make_land)
        self._allowed = lru_cache(maxsize=4)(self._make_allowed)

    @classmethod
    def open(cls, folder: str | Path, *, engine: str = "auto", device: str = "cpu", model: str | None = None) -> Self:
        """Open an index; its vectors stay on disk, mapped into memory, for the engine on the CPU.

        Args:
            folder: of the index.
            engine: `auto`, `tree` (FAISS on the CPU), `exact` (torch) or `faiss-gpu`.
            device: `cpu`, `cuda` or `cuda:N`; where the exact and GPU engines compute.
            model: the digest of the model that queries come from; None does not compare.

        Raises:
            BadIndexError: no index, a damaged one, or one of another model.
        """
        from index.search.engine.choose import open_engine

        path = Path(folder)
        manifest = Manifest.load(path)
        if model is not None and model != manifest.model:
            raise BadIndexError(
                f"{path} was built with the model {manifest.model[:12]}, the queries come from {model[:12]}; "
                "build an index with this model."
            )
        cells: Cells = np.load(path / "cells.npy")
        return cls(path, manifest, cells, open_engine(engine, path, cells, manifest.start_res, device))

    @property
    def digest(self) -> str:
        """The sha256 of the manifest: names the model, the grid, the gallery, the prior and how they were built."""
        return hashlib.sha256((self.folder / MANIFEST).read_bytes()).hexdigest()

    def search(
        self,
        vectors: NDArray[np.float32],
        encode: Encoder,
        question: Question,
        *,
        encode_exactly: Encoder | None = None,
        with_beliefs: bool = False,
    ) -> PlanetHits:
        """Return the best cells for vectors.

        Args:
            vectors: (N, dim) float32, unit length.
            encode: the location encoder of the index's model.
            question: what is asked.
            encode_exactly: the encoder in float32, for the final scores; None where `encode` is that already.
            with_beliefs: also return the posteriors.

        Raises:
            ValueError: another shape, values that are not finite, or a resolution the index cannot answer.
        """
        findings = self.findings(vectors, encode, question)
        n, k = len(vectors), question.k
        hits = PlanetHits(
            np.zeros((n, k), np.uint64),
            np.full((n, k, 2), np.nan),
            np.full((n, k), -np.inf, np.float32),
            np.zeros((n, k)),
            np.zeros(n),
            np.zeros(n, np.int64),
        )
        posteriors, row = [], 0
        while some := list(islice(findings, EXACT_BATCH)):
            for finding, exact in zip(some, _exactly(some, encode_exactly, question), strict=True):
                posterior = self.posterior(finding, question)
                self._fill(hits, row, finding, exact, posterior, encode, encode_exactly, question)
                row += 1
                if with_beliefs:
                    posteriors.append(posterior)
        return hits._replace(posteriors=tuple(posteriors))

    def posteriors(self, vectors: NDArray[np.float32], encode: Encoder, question: Question) -> Iterator[Posterior]:
        """Yield the distribution over the planet for each vector. Arguments and errors as for `search`."""
        return (self.posterior(finding, question) for finding in self.findings(vectors, encode, question))

    def findings(self, vectors: NDArray[np.float32], encode: Encoder, question: Question) -> "Iterator[Finding]":
        """Yield what the search for each vector scored. Arguments and errors as for `search`."""
        queries = checked_queries(vectors, question.k, self.engine.dim)
        self._check(question)
        return self._found(queries, encode, question)

    def posterior(self, finding: "Finding", question: Question) -> Posterior:
        """Return the distribution that scores give.

        The temperature and, where both are above 0, the prior's weight may differ from those that were searched with.
        """
        land = self._land(question.resolution, question.region)
        ranking = self._ranking(question)
        return posterior(finding.found, self._start_scores(finding.start_scores), land, ranking, question.resolution)

    def _ranking(self, question: Question) -> Ranking:
        return Ranking(self.manifest.tau / question.temperature, question.prior_weight, self.prior, question.region)

    def _check(self, question: Question) -> None:
        coarse = self.manifest.coarse_res
        if not coarse <= question.resolution <= FINEST_ANSWER:
            raise ValueError(
                f"The resolution is {question.resolution}; this index answers at {coarse} to {FINEST_ANSWER}."
            )
        if question.region is not None and not self._allowed(question.region).any():
            raise ValueError("The region holds no land of this index; choose another region, or another index.")

    def _found(self, queries: NDArray[np.float32], encode: Encoder, question: Question) -> "Iterator[Finding]":
        effort = named(question.effort)
        ranking = self._ranking(question)
        allowed = None if question.region is None else self._allowed(question.region)
        log_prior = None
        if question.prior_weight:
            log_prior = (question.prior_weight / ranking.tau * self.prior.coarse_log_mass).astype(np.float32)
        for at in range(0, len(queries), BATCH):
            batch = queries[at : at + BATCH]
            coarse = self.engine.search(
                batch,
                min(max(effort.coarse, question.k), len(self.cells)),
                widths=effort.widths,
                log_prior=log_prior,
                allowed=allowed,
            )
            found = self._descended(batch, coarse, encode, ranking, effort, question)
            yield from map(Finding, batch, found, coarse.start_scores)

    def _descended(
        self,
        queries: NDArray[np.float32],
        coarse: CoarseHits,
        encode: Encoder,
        ranking: Ranking,
        effort: Effort,
        question: Question,
    ) -> list[Found]:
        scored = []
        for cells, scores in zip(coarse.cells, coarse.scores, strict=True):
            real = cells > 0
            scored.append(ranking.scored(cells[real], scores[real]))
        if question.resolution == self.manifest.coarse_res:
            return [Found((cells,), 0) for cells in scored]
        return descend(queries, scored, question.resolution, question.k, encode, ranking, effort)

    def _fill(
        self,
        hits: PlanetHits,
        row: int,
        finding: "Finding",
        exact: "_Exact | None",
        posterior: Posterior,
        encode: Encoder,
        encode_exactly: Encoder | None,
        question: Question,
    ) -> None:
        """Write one query's hits into its row."""
        query, found = finding.query, finding.found
        finest = found.finest
        masses = posterior.mass[len(posterior.mass) - len(finest.cells) :]  # a posterior ends with the finest cells
        if exact is not None:
            finest, masses = exact.scored, masses[exact.rows]
        possible = np.flatnonzero(np.isfinite(finest.ranks))
        order = possible[np.lexsort((finest.cells[possible], -finest.ranks[possible]))]
        mass = masses[order]
        if question.mass_resolution is not None and len(order):
            order, mass = _by_mass(finest.cells, order, posterior, question.mass_resolution, question.k)
        order, mass = order[: question.k], mass[: question.k]
        cells, scores, where = finest.cells[order], finest.scores[order], centres(finest.cells[order])
        if encode_exactly is not None and found.encodings and question.mass_resolution is not None:
            scores = encode_exactly(where) @ query  # the best of each group by the other encoder: masses are its, too
        if question.gallery and question.resolution > self.manifest.coarse_res:
            better = self._refined(query, cells, scores, where, encode_exactly or encode, question.region)
            if question.mass_resolution is None:  # a place that scores better also ranks better
                again = np.argsort(-(finest.ranks[order] + better), kind="stable")
                cells, scores, where, mass = cells[again], scores[again], where[again], mass[again]
        count = len(cells)
        hits.cells[row, :count], hits.lat_lng[row, :count] = cells, where
        hits.scores[row, :count], hits.probabilities[row, :count] = scores, mass
        hits.estimated[row], hits.encodings[row] = posterior.estimated, found.encodings

    def _refined(
        self,
        query: NDArray[np.float32],
        cells: Cells,
        scores: NDArray[np.float32],
        where: NDArray[np.float64],
        encode: Encoder,
        region: Region | None,
    ) -> NDArray[np.float32]:
        """Move hits to the best place of the gallery inside their cell, where it scores better; return the gains."""
        gains = np.zeros(len(cells), np.float32)
        starts, stops = self.gallery.within(cells)
        steps = np.maximum(1, -(-(stops - starts) // _PLACES_PER_CELL))  # in tree order: from all over the cell
        rows = [np.arange(*bounds) for bounds in zip(starts, stops, steps, strict=True)]
        if not len(cells) or not sum(map(len, rows)):
            return gains
        places = self.gallery.lat_lng[np.concatenate(rows)]
        place_scores = encode(places) @ query
        if region is not None:  # a cell on its border has places beyond
            place_scores[~region.contains(cells_at(places, FINEST))] = -np.inf
        at = 0
        for hit, own in enumerate(rows):
            if len(own):
                best = at + int(place_scores[at : at + len(own)].argmax())
                if place_scores[best] > scores[hit]:
                    gains[hit] = place_scores[best] - scores[hit]
                    scores[hit], where[hit] = place_scores[best], places[best]
                at += len(own)
        return gains

    def _start_scores(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the score of each start cell: the better of its sides, where it has two."""
        start = self.engine.start
        if len(start.rows) == start.rows[-1] + 1:
            return scores
        best = np.full(int(start.rows[-1]) + 1, -np.inf, np.float32)
        np.maximum.at(best, start.rows, scores)
        return best

    def _make_land(self, finest: int, region: Region | None) -> Land:
        log_mass = self.prior.coarse_log_mass
        if region is not None:
            return self._land(finest, None).within(np.flatnonzero(self._allowed(region)), finest, log_mass)
        start_cells = np.unique(parents(self.cells, self.manifest.start_res))
        start = self.engine.start
        lengths = np.zeros(len(start_cells), np.float32)
        np.maximum.at(lengths, start.rows, start.lengths)
        return Land.of(self.cells, self._lengths, start_cells, lengths, finest, log_mass)

    def _make_allowed(self, region: Region) -> NDArray[np.bool_]:
        return region.among(self.cells)


_PLACES_PER_CELL = 64  # a cell of resolution 9 with more of them is covered well enough


class _Exact(NamedTuple):
    """The best of the finest cells that were found for a query, scored exactly."""

    rows: NDArray[np.int64]
    """Of the finest cells."""
    scored: Scored


def _exactly(
    findings: Sequence[Finding], encode_exactly: Encoder | None, question: Question
) -> Sequence[_Exact | None]:
    """Score the best finest cells of all findings again, by the exact encoder, in one call.

    None where there is none, where nothing was encoded, and where cells are ranked by mass: masses are the other
    encoder's.
    """
    some = [f for f in findings if f.found.encodings]
    if encode_exactly is None or question.mass_resolution is not None or not some:
        return [None] * len(findings)
    best = {id(f): np.lexsort((f.found.finest.cells, -f.found.finest.ranks))[: 2 * question.k] for f in some}
    cells = [f.found.finest.part(best[id(f)]) for f in some]
    ends = np.cumsum([len(own.cells) for own in cells])[:-1]
    vectors = np.split(encode_exactly(centres(np.concatenate([own.cells for own in cells]))), ends)
    exact = {
        id(f): _Exact(best[id(f)], _rescored(own, own_vectors @ f.query))
        for f, own, own_vectors in zip(some, cells, vectors, strict=True)
    }
    return [exact.get(id(f)) for f in findings]


def _rescored(cells: Scored, scores: NDArray[np.float32]) -> Scored:
    """Return cells with other scores."""
    return cells._replace(scores=scores, ranks=cells.ranks - cells.scores + scores)


def _by_mass(
    cells: Cells, order: NDArray[np.int64], posterior: Posterior, res: int, k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the best of the ordered cells in each of the k heaviest cells of `res`, and those cells' masses."""
    groups, masses = posterior.at(res)
    own = parents(cells[order], min(res, resolution(cells)))
    first = {int(group): int(row) for row, group in zip(order[::-1].tolist(), own[::-1].tolist(), strict=True)}
    picked = [(first[int(g)], m) for g, m in zip(groups.tolist(), masses.tolist(), strict=True) if int(g) in first][:k]
    return np.array([row for row, _ in picked], dtype=np.int64), np.array([mass for _, mass in picked])
