"""What an index keeps of cells beside their vectors, in a GPU's memory: slopes, lengths, nodes, the prior, a region.

Read whole and checked when it is opened. For `planet`, of 4.17 million cells and 0.58 million nodes: slopes 0.55 GB,
nodes 0.31 GB, ids of cells 33 MB, lengths 17 MB, the prior 67 MB and 24 bytes a cell with photos.
"""

import math
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from index.grid.region import Region
from index.grid.siblings import DIRECTIONS
from index.search.resident.cells import first_descendants, last_descendants
from index.storage.nodes import Nodes
from index.storage.prior import Prior
from index.storage.slopes import BYTES_AS_SIGNS, TERMS, Slopes

_ROWS = 1 << 17
"""Read at once."""
_SIGNS = 1 << 26
"""Numbers of bytes looked up at once: 0.5 GB of positions."""


def moved(array: NDArray[Any], device: torch.device) -> Tensor:
    """Copy an array, which may be read-only, to a device."""
    return torch.from_numpy(np.array(array)).to(device)


class ResidentSlopes:
    """The slopes of all coarse cells: see `index/storage/slopes.py`.

    Args:
        slopes: of the index.
        cells: how many there are.
        device: where they are to lie.

    Raises:
        BadIndexError: some are damaged.
    """

    def __init__(self, slopes: Slopes, cells: int, device: torch.device) -> None:
        signs, scales = list[Tensor](), list[Tensor]()
        for start in range(0, cells, _ROWS):
            some = slopes.parts(np.arange(start, min(start + _ROWS, cells)))
            signs.append(moved(some[0], device))
            scales.append(moved(some[1], device))
        self._signs, self._scales = torch.cat(signs), torch.cat(scales)
        self._bytes = moved(BYTES_AS_SIGNS, device)
        self._directions = moved(DIRECTIONS, device)

    def told(self, rows: Tensor, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Return about what the children of cells score above their mean, and which cells have slopes.

        Args:
            rows: (N, B) of the cells that each query asks about.
            queries: (N, dim) float32.

        Returns:
            (N, B, 7) float32, by digit, and (N, B) bool.
        """
        width = queries.shape[1] // 8
        sums = queries.view(len(queries), width, 8) @ self._bytes.T  # of each byte, for each query
        places = torch.arange(width, device=rows.device) * 256
        scores, known = list[Tensor](), list[Tensor]()
        step = max(1, _SIGNS // max(rows.shape[1] * self._signs.shape[1] * width, 1))
        for at in range(0, len(rows), step):
            some = rows[at : at + step]
            scales = self._scales[some].float()
            numbers = (self._signs[some].long() + places).flatten(1)
            products = sums[at : at + step].flatten(1).gather(1, numbers).view(*scales.shape, width).sum(dim=-1)
            terms = products * scales
            told = terms[..., :TERMS] @ self._directions.T
            scores.append(told + terms[..., TERMS:] if terms.shape[-1] > TERMS else told)
            known.append(scales[..., :TERMS].any(dim=-1))
        return torch.cat(scores), torch.cat(known)


class ResidentNodes:
    """The values of the encoder's smooth part, a byte a number: see `index/storage/nodes.py`.

    Args:
        nodes: of the index; at least one.
        device: where they are to lie.

    Raises:
        BadIndexError: some are damaged.
    """

    def __init__(self, nodes: Nodes, device: torch.device) -> None:
        codes, scales = list[Tensor](), list[Tensor]()
        for start in range(0, len(nodes), _ROWS):
            some = nodes.coded(np.arange(start, min(start + _ROWS, len(nodes))))
            codes.append(moved(some[0], device))
            scales.append(moved(some[1], device))
        self._codes, self._scales = torch.cat(codes), torch.cat(scales)
        self._keys = moved(nodes.keys, device)

    def at(self, keys: Tensor) -> tuple[Tensor, Tensor]:
        """See `index.encoder.NodeValues.at`."""
        rows = torch.searchsorted(self._keys, keys).clamp_(max=len(self._keys) - 1)
        return self._codes[rows] * self._scales[rows], self._keys[rows] == keys


class PriorState(NamedTuple):
    """The prior of some cells (...), and what that of their children follows from."""

    log_mass: Tensor
    """float64 natural logarithms; 0 where the prior has no weight."""
    photos: Tensor
    """float64, of the gallery, in each cell."""


class ResidentPrior:
    """The prior, carried down the tree: see `index/storage/prior.py`.

    Args:
        prior: of the index.
        coarse_res: of its coarse cells.
        device: where it is to lie.
    """

    def __init__(self, prior: Prior, coarse_res: int, device: torch.device) -> None:
        self._prior, self._device = prior, device
        self._levels: dict[int, tuple[Tensor, Tensor, Tensor]] = {}
        coarse = prior.level(coarse_res)
        self._coarse = PriorState(moved(coarse.log_mass, device), moved(coarse.photos, device))

    @property
    def coarse_log_mass(self) -> Tensor:
        """(cells,) float64."""
        return self._coarse.log_mass

    def of_coarse(self, rows: Tensor) -> PriorState:
        """Return the prior of coarse cells by their rows (...)."""
        return PriorState(*(part[rows] for part in self._coarse))

    def of_children(self, above: PriorState, pentagon: Tensor, cells: Tensor, res: int) -> PriorState:
        """Return the prior of the children (..., 7), of resolution `res`, of cells (...)."""
        counts = pentagon.double() * math.log(6 / 7) + math.log(7)
        kappa = float(self._prior.kappas[res])
        log_mass = (above.log_mass - counts - torch.log1p(above.photos / kappa))[..., None].expand(cells.shape)
        known, table, photos = self._level(res)
        if not len(known):
            return PriorState(log_mass, torch.zeros_like(log_mass))
        at = torch.searchsorted(known, cells).clamp_(max=len(known) - 1)
        found = known[at] == cells
        return PriorState(torch.where(found, table[at], log_mass), torch.where(found, photos[at], 0.0))

    def _level(self, res: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the cells with photos of a resolution below the coarse one, sorted, and what is known of them."""
        if res not in self._levels:
            level = self._prior.level(res)
            cells = moved(level.cells.view(np.int64), self._device)
            self._levels[res] = cells, moved(level.log_mass, self._device), moved(level.photos, self._device)
        return self._levels[res]


class ResidentRegion(NamedTuple):
    """A region's ranges of ids of resolution 15."""

    first: Tensor
    last: Tensor

    @classmethod
    def of(cls, region: Region, device: torch.device) -> Self:
        """Copy a region to a device."""
        return cls(*(moved(ids.view(np.int64), device) for ids in (region.first, region.last)))

    def overlaps(self, cells: Tensor, res: int) -> Tensor:
        """Return which cells (...) of a resolution have any descendant in the region."""
        row = torch.searchsorted(self.last, first_descendants(cells, res))
        inside = row < len(self.last)
        begins = self.first[row.clamp_(max=len(self.last) - 1)]
        return inside & (begins <= last_descendants(cells, res))
