"""The places that are looked at for an answer: those that a search scored, and middles of heavy coarser cells."""

import math
from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from geoclip.answers.answer import Prediction
from index.grid.cells import Cells, cells_at, centres, children_counts, names, parents, resolutions
from index.grid.region import Region
from index.grid.sphere import Floats, chords_of_km, unit_vectors
from index.search.discs import Discs
from index.search.hits import FoundPlaces
from index.search.posterior import Posterior

_FINE = 200  # scored cells that are looked at beside the hits: the heaviest
_COARSE = 48  # coarser cells: the heaviest


class LookedAt(NamedTuple):
    """C places that are looked at for one query, all in the region that was asked for: first the hits, in order."""

    hits: int
    finest: int
    """The finest resolution."""
    lat_lng: Floats
    """(C, 2) degrees."""
    cells: Cells
    """(C,) that the places stand for: of the finest resolution, or coarser."""
    probabilities: Floats
    """(C,) of these cells."""
    scores: Floats
    """(C,) of the hits; NaN of the others."""
    fine: NDArray[np.bool_]
    """(C,) whether the place was scored at the finest resolution."""
    units: Floats
    """(C, 3) the places as unit vectors."""
    nearness: NDArray[np.float32]
    """(C, L) to the discs, see `Discs.nearness`."""

    @classmethod
    def of(cls, places: FoundPlaces, row: int, discs: Discs, region: Region | None) -> Self:
        """Return the places for a query that has the distribution `discs`."""
        posterior, real = places.posteriors[row], np.isfinite(places.scores[row])
        hits, finest = places.cells[row][real], posterior.finest
        first = posterior.first_finest
        scored, mass = posterior.cells[first:], posterior.mass[first:]
        heaviest = np.argsort(-mass, kind="stable")[:_FINE]
        known = (scored[heaviest][:, None] == hits).any(axis=1)
        heaviest = heaviest[(mass[heaviest] > 0) & ~known]
        coarse = np.flatnonzero(resolutions(discs.cells) < finest)[:_COARSE]
        cells = [scored[heaviest], discs.cells[coarse]]
        masses = [mass[heaviest], discs.mass[coarse]]
        where = [centres(cells[0]), discs.lat_lng[coarse]]
        if region is not None:
            inside = [region.holds(each) for each in where]
            cells, masses, where = (
                [each[own] for each, own in zip(some, inside, strict=True)] for some in (cells, masses, where)
            )
        lat_lng = np.concatenate((places.lat_lng[row][real], *where))
        units = unit_vectors(lat_lng)
        return cls(
            hits=len(hits),
            finest=finest,
            lat_lng=lat_lng,
            cells=np.concatenate((hits, *cells)),
            probabilities=np.concatenate((places.probabilities[row][real], *masses)),
            scores=np.concatenate((places.scores[row][real], np.full(len(lat_lng) - len(hits), np.nan))),
            fine=np.arange(len(lat_lng)) < len(lat_lng) - len(where[1]),
            units=units,
            nearness=discs.nearness(units),
        )

    def within(self, row: int, km: float) -> NDArray[np.bool_]:
        """Return which places are within a distance of one of them."""
        chords = np.square(self.units - self.units[row]).sum(axis=1)
        near: NDArray[np.bool_] = chords <= chords_of_km(km) ** 2
        return near

    def predictions(self, rows: Sequence[int]) -> list[Prediction]:
        """Return some places as predictions; the scores of those that are no hits are filled in later.

        The cell is the finest around the place; if it was not scored it has an even share of the coarser cell's
        probability.
        """
        own = np.array(rows, dtype=np.int64)
        lat_lng, cells, probabilities = self.lat_lng[own], self.cells[own], self.probabilities[own]
        if len(coarse := np.flatnonzero(resolutions(cells) < self.finest)):
            probabilities[coarse] /= children_counts(cells[coarse], self.finest)
            cells[coarse] = cells_at(lat_lng[coarse], self.finest)
        values = zip(lat_lng.tolist(), probabilities.tolist(), self.scores[own].tolist(), names(cells), strict=True)
        return [Prediction(lat, lng, probability, score, cell) for (lat, lng), probability, score, cell in values]

    def also(self, lat_lng: Floats, discs: Discs, posterior: Posterior) -> Self:
        """Return the places and, as the last, a point (2,) of any kind."""
        cell, probability = leaf_at(posterior, lat_lng)
        units = unit_vectors(lat_lng[None])
        return self._replace(
            lat_lng=np.append(self.lat_lng, lat_lng[None], axis=0),
            cells=np.append(self.cells, np.uint64(cell)),
            probabilities=np.append(self.probabilities, probability),
            scores=np.append(self.scores, math.nan),
            fine=np.append(self.fine, False),
            units=np.append(self.units, units, axis=0),
            nearness=np.append(self.nearness, discs.nearness(units), axis=0),
        )


def leaf_at(posterior: Posterior, lat_lng: Floats) -> tuple[int, float]:
    """Return the finest cell at a point (2,), and its probability: of a coarser leaf its even share, at sea 0."""
    finest: Cells = cells_at(lat_lng[None], posterior.finest)
    for res in range(posterior.finest, -1, -1):
        leaf = parents(finest, res)
        if len(row := np.flatnonzero(posterior.cells == leaf[0])):
            return int(finest[0]), float(posterior.mass[row].sum() / children_counts(leaf, posterior.finest)[0])
    return int(finest[0]), 0.0


def held_as_written(predictions: list[Prediction], region: Region | None) -> list[Prediction]:
    """Return predictions in a region so that they are in it as they are written, too, with degrees to 6 decimals.

    A place on its border moves by the last of these, 0.1 m, where rounding would bring it outside.
    """
    if region is None:
        return predictions
    written = np.array([(round(p.lat, 6), round(p.lng, 6)) for p in predictions]).reshape(-1, 2)
    result = list(predictions)
    for row in np.flatnonzero(~region.holds(written)).tolist():
        around = np.round(written[row] + _AROUND, 6)
        around = around[region.holds(around)]
        if len(around):
            lat, lng = around[0].tolist()
            result[row] = result[row]._replace(lat=lat, lng=lng)
    return result


_STEPS = 1e-6 * np.arange(-2, 3)
_AROUND = np.stack(np.meshgrid(_STEPS, _STEPS), axis=-1).reshape(-1, 2)
_AROUND = _AROUND[np.argsort(np.square(_AROUND).sum(axis=1), kind="stable")]
