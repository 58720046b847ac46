"""Whether an encoder may interpolate: compared with its exact vectors on a sample of the points that are built on."""

import hashlib
import math
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from index.encoder import Encoder
from index.grid.cells import Cells, cells_at, centres, children, pentagons, resolution, spacing_km
from index.grid.siblings import sibling_weights

LEAST_COSINE = 0.9998
"""To the exact vector: what bf16 alone keeps. Below that, nothing is interpolated."""
SMOOTH_COSINE = 0.9997
"""Mean cosine to the exact vectors from which on siblings tell those of their children."""
_LAST_SMOOTH = 11
_RUNS, _RUN_CELLS, _FAMILIES = 32, 3, 12


class Arithmetic(NamedTuple):
    """How an encoder's numbers come out on this machine, for points that lie close together."""

    spacing_km: float
    """What the encoder should take for their distance; infinity where interpolating falls below `LEAST_COSINE`."""
    least_cosine: float
    """The smallest between a sample's exact vectors and those."""
    name: str
    """Hexadecimal; another where the same points have other bytes, as they have on another kind of processor."""

    @classmethod
    def of(cls, cells: Cells, depth: int, encoder: Encoder) -> Self:
        """Try it on a sample of the points that are wanted.

        Args:
            cells: (N,) sorted, of one resolution.
            depth: how many resolutions below them the points are.
            encoder: of the model.
        """
        res, where = resolution(cells[:1]) + depth, sampled(cells, depth)
        exact = encoder.exactly(where)
        for spacing in (spacing_km(res), math.inf):
            vectors = encoder.nearby(where, spacing)
            least = float(np.einsum("nd,nd->n", exact, vectors).min())
            if least >= LEAST_COSINE:
                break
        return cls(spacing, least, hashlib.sha256(vectors.tobytes()).hexdigest())


def smooth_from(cells: Cells, encoder: Encoder) -> int:
    """Return from which resolution on siblings' vectors tell those of their children; 11, the last, where none do.

    Args:
        cells: (N,) the coarse cells, sorted.
        encoder: of the model.
    """
    some = cells[np.unique(np.linspace(0, len(cells) - 1, _FAMILIES).astype(np.int64))]
    places = centres(some[~pentagons(some)])
    for res in range(resolution(cells[:1]) + 1, _LAST_SMOOTH if len(places) else 0):
        parents = cells_at(places, res - 1)
        exact = encoder.exactly(centres(children(parents, res + 1))).reshape(len(parents), 49, -1)
        siblings = encoder.exactly(centres(children(parents, res))).reshape(len(parents), 7, -1)
        told = np.matmul(sibling_weights(res).reshape(49, 7), siblings)
        cosine = np.einsum("fnd,fnd->fn", exact, told) / np.linalg.norm(told, axis=2)
        if cosine.mean() >= SMOOTH_COSINE:
            return res
    return _LAST_SMOOTH


def sampled(cells: Cells, depth: int) -> NDArray[np.float64]:
    """Return the points (N, 2), in degrees, of some cells from all over a grid and their neighbours."""
    starts = np.unique(np.linspace(0, max(len(cells) - _RUN_CELLS, 0), _RUNS).astype(np.int64))
    sample = np.unique(np.concatenate([cells[start : start + _RUN_CELLS] for start in starts]))
    return centres(children(sample, resolution(cells[:1]) + depth))
