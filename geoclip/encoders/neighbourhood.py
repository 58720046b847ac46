"""Many points close together: capsules of long waves are interpolated, only those of short waves are computed.

The encoder is a sum of capsules. One of a small sigma hardly changes between neighbouring points, so it is computed at
the nodes of a square grid in the plane of the projection, and interpolated between the four nodes around a point. The
plane ends at the antimeridian, where the encoder jumps, but its function goes on beyond: nodes lie there too, and a
point is interpolated from its own side. So there is no special case at the antimeridian, the poles or a pentagon.

Grids are fixed in the plane, and which capsule is interpolated depends on the distance between points that the caller
states, not on the points at hand: a point's vector is the same, to the byte, among any others.

What the capsules of long waves are at the nodes of one such grid may also be stored: then a few points anywhere need
those of short waves alone.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from geoclip.encoders.cores import on_all_cores
from geoclip.encoders.few import Products, products
from geoclip.encoders.layers import Layers
from geoclip.encoders.location import GPU_CHUNK, LocationEncoder

T = TypeVar("T")

NODE_TURNS = 2.0**-7
"""Cycles of a capsule's standard frequency between two nodes: measured, an error of 0.005 of the vector's length, which
costs a cosine of 1e-5."""
NODE_POINTS = 1.5
"""A capsule is interpolated where a square between nodes holds at least so many points."""
KM_PER_UNIT = 17_243.0
"""Of the plane, from its area and the Earth's; it does not stretch areas."""
CHUNK = 512
"""Points that one core computes at once; fewer are filled up, because products of another shape can round otherwise."""
STORED_SPACING = 2.0**-10
"""Of nodes whose values are stored: 17 km, which makes 0.6 million of them on land."""
STORED_TURNS = 2.0**-6
"""Most cycles between two of those: an error of 0.014 of the vector's length, which is that of rounding to bf16."""


class NodeGrid(NamedTuple):
    """A grid of nodes, and the capsules that are computed there."""

    spacing: float
    """In the plane: a power of two, so that a coarser grid's nodes are nodes of a finer one, too."""
    capsules: tuple[int, ...]


class StoredNodes(Protocol):
    """Values of the capsules of long waves at nodes, from a file."""

    def rows(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where the values for some nodes (K,) are; -1 where they are not stored."""

    def values(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the values (K, dim)."""


class NodeValues(Protocol):
    """The same on the device where points are encoded."""

    def at(self, keys: Tensor) -> tuple[Tensor, Tensor]:
        """Return the values (K, dim) float32 at some nodes (K,) and which are stored, (K,) bool."""


class FromHost(NamedTuple):
    """Brings stored values to the device."""

    stored: StoredNodes

    def at(self, keys: Tensor) -> tuple[Tensor, Tensor]:
        """See `NodeValues.at`."""
        rows = self.stored.rows(keys.cpu().numpy())
        values = torch.from_numpy(self.stored.values(np.maximum(rows, 0)))
        return values.to(keys.device), torch.from_numpy(rows >= 0).to(keys.device)


class NodeTable(NamedTuple):
    """What grids gave at nodes, the finest grid's and all coarser ones' together."""

    keys: Tensor
    """(M,) int64, ascending."""
    values: Tensor
    """(M, dim) float32."""


def grids(sigma: Mapping[int, float], spacing_km: float) -> tuple[list[NodeGrid], tuple[int, ...]]:
    """Return the grids for points this far apart, coarse ones first, and the capsules computed at the points.

    Args:
        sigma: of each capsule, by its number.
        spacing_km: from a point to its neighbours.
    """
    by_spacing: dict[float, tuple[int, ...]] = {}
    for number, scale in sigma.items():
        spacing = 2.0 ** math.floor(math.log2(NODE_TURNS / scale))
        if (spacing * KM_PER_UNIT / spacing_km) ** 2 < NODE_POINTS:
            spacing = 0.0
        by_spacing[spacing] = (*by_spacing.get(spacing, ()), number)
    computed = by_spacing.pop(0.0, ())
    return [NodeGrid(spacing, by_spacing[spacing]) for spacing in sorted(by_spacing, reverse=True)], computed


def stored_capsules(sigma: Sequence[float]) -> dict[int, float]:
    """Return the sigma, by number, of the capsules that are smooth enough to be stored at nodes."""
    return {number: scale for number, scale in enumerate(sigma) if scale * STORED_SPACING <= STORED_TURNS}


def nodes_around(plane: Tensor) -> NDArray[np.int64]:
    """Return the keys (K,) int64, ascending, of the stored nodes that surround projected points (N, 2) float64."""
    keys: NDArray[np.int64] = _Squares.around(plane, STORED_SPACING).keys.cpu().numpy()
    return keys


class Neighbourhood:
    """Encodes points that lie close together.

    Args:
        encoder: whose weights do not change any more.
        layers: its layers, in the arithmetic that is wanted.
        spacing_km: from a point to its neighbours; how far apart the points are decides what is interpolated.
        capsules: the sigma of those that are wanted, by number; all unless said otherwise.
    """

    def __init__(
        self,
        encoder: LocationEncoder,
        layers: Layers,
        spacing_km: float = math.inf,
        capsules: Mapping[int, float] | None = None,
    ) -> None:
        self._encoder, self._layers = encoder, layers
        self._all = dict(enumerate(encoder.sigma)) if capsules is None else capsules
        self._grids, self._computed = grids(self._all, spacing_km)
        self._on_gpu = encoder.device.type == "cuda"
        self._tables: dict[float, NodeTable] = {}  # of the call before: its neighbours are often the next call's

    def embed_into(self, out: Tensor, plane: Tensor, *, unit: bool = True) -> None:
        """Fill `out` (N, dim) float32 with the vectors of projected points (N, 2) float64, of length 1 unless not."""
        self._fill(out, plane, self._grids, self._computed, CHUNK, unit=unit)

    def values_at(self, keys: Tensor) -> Tensor:
        """Return what the capsules are, (K, dim), at stored nodes (K,)."""
        values = torch.empty(len(keys), self._encoder.dim, device=keys.device)
        self.embed_into(values, _positions(keys) * STORED_SPACING, unit=False)
        return values

    def embed_few(self, out: Tensor, plane: Tensor, nodes: NodeValues | None = None) -> None:
        """Fill `out` with the unit vectors of a few hundred points at most, wherever they are.

        Where nodes around a point are stored, only the other capsules are computed. A vector's last bits may differ
        from those of `embed_into`, but not with the points that are asked for together.
        """
        stored = stored_capsules(self._encoder.sigma)
        if nodes is None or not stored or not len(plane):
            self._compute_few(out, plane, tuple(self._all), None)
            return
        squares = _Squares.around(plane, STORED_SPACING)
        table, stored_there = nodes.at(squares.keys)
        known = stored_there[squares.corners].all(dim=1)
        rest = tuple(number for number in self._all if number not in stored)
        if bool(known.all()):
            self._compute_few(out, plane, rest, Given(squares, table))
            return
        for own, capsules in ((known, rest), (~known, tuple(self._all))):
            some = out[own]
            here = _Squares(squares.keys, squares.corners[own], squares.weights[own])
            self._compute_few(some, plane[own], capsules, Given(here, table) if capsules is rest else None)
            out[own] = some

    def _compute_few(self, out: Tensor, plane: Tensor, computed: tuple[int, ...], given: "Given | None") -> None:
        cut = Products(GPU_CHUNK, shared=True)
        if not self._on_gpu:
            cut = products(len(out), computed, self._encoder, self._layers)
        self._compute(out, plane, computed, cut, given, unit=True)

    def _fill(
        self,
        out: Tensor,
        plane: Tensor,
        levels: list[NodeGrid],
        computed: tuple[int, ...],
        step: int,
        *,
        unit: bool = False,
    ) -> None:
        """Fill `out` with capsules computed at the points plus what the grids give there.

        A coarse grid is interpolated at the nodes of the next finer one: in between, that gives the same again.
        """
        given = None
        if levels and len(plane):
            squares = self._alone(lambda: _Squares.around(plane, levels[-1].spacing))
            given = Given(squares, self._at_nodes(squares.keys, levels))
        cut = Products(GPU_CHUNK if self._on_gpu else step, shared=False)
        self._compute(out, plane, computed, cut, given, unit=unit)

    def _compute(
        self,
        out: Tensor,
        plane: Tensor,
        computed: tuple[int, ...],
        cut: Products,
        given: "Given | None",
        *,
        unit: bool,
    ) -> None:
        """Fill `out` with some capsules, computed in products as they are cut, plus what is given at nodes."""
        step = cut.rows

        def fill(start: int) -> None:
            with torch.inference_mode(), torch.autocast(plane.device.type, enabled=False):
                rows = slice(start, start + step)
                points, wanted = plane[rows].float(), out[rows]
                short = step - len(points) if step < GPU_CHUNK else 0
                some = wanted.new_zeros(len(points) + short, self._encoder.dim) if short else wanted.zero_()
                if computed:
                    padded = F.pad(points, (0, 0, 0, short))
                    cut.add(some, padded, computed, self._encoder, self._layers)
                some = some[: len(points)]
                if given is not None:
                    corners, weights = given.squares.corners[rows], given.squares.weights[rows]
                    some += F.embedding_bag(corners, given.table, per_sample_weights=weights, mode="sum")
                if unit:
                    F.normalize(some, dim=1, out=some)
                if short:
                    wanted.copy_(some)

        on_all_cores(fill, range(0, len(plane), step), cores=1 if cut.shared or self._on_gpu else None, alone=True)

    def _at_nodes(self, keys: Tensor, levels: list[NodeGrid]) -> Tensor:
        """Return what the grids give at the nodes (M,) of the finest."""
        *coarser, finest = levels
        values = torch.empty(len(keys), self._encoder.dim, device=keys.device)
        known = self._tables.get(finest.spacing)
        missing = torch.ones(len(keys), dtype=torch.bool, device=keys.device)
        if known is not None:
            at = torch.searchsorted(known.keys, keys).clamp_(max=len(known.keys) - 1)
            missing = known.keys[at] != keys
            values[~missing] = known.values[at[~missing]]
        computed = torch.empty(int(missing.sum()), self._encoder.dim, device=keys.device)
        self._fill(computed, _positions(keys[missing]) * finest.spacing, coarser, finest.capsules, CHUNK)
        values[missing] = computed
        self._tables[finest.spacing] = NodeTable(keys, values)
        return values

    def _alone(self, run: Callable[[], T]) -> T:
        """Run something small on one of the cores that compute."""
        result: list[T] = []

        def inside(_: int) -> None:
            with torch.inference_mode():
                result.append(run())

        on_all_cores(inside, range(1), cores=1 if self._on_gpu else None, alone=True)
        return result[0]


class _Squares(NamedTuple):
    """Where points lie in a grid."""

    keys: Tensor
    """(M,) int64 the nodes that are needed, ascending."""
    corners: Tensor
    """(N, 4) int64 which of them are around each point."""
    weights: Tensor
    """(N, 4) float32 of those nodes; together 1."""

    @classmethod
    def around(cls, plane: Tensor, spacing: float) -> "_Squares":
        """Find the squares of points (N, 2) float64."""
        at = plane / spacing
        low = at.floor()
        x, y = (at - low).unbind(dim=1)
        weights = torch.stack(((1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y), dim=1).float()
        low = low.long() + _OFFSET
        squares, square = _distinct(low[:, 0] * _STRIDE + low[:, 1])
        steps = torch.tensor([0, _STRIDE, 1, _STRIDE + 1], device=plane.device)
        keys, corners = _distinct(squares[:, None] + steps)
        return cls(keys, corners[square], weights)


class Given(NamedTuple):
    """Values at nodes, to be interpolated at points."""

    squares: _Squares
    table: Tensor
    """(M, dim), in the order of the squares' keys."""


# A node's key is its column times the stride plus its row, both moved to be positive.
_STRIDE, _OFFSET = 1 << 31, 1 << 30


def _positions(keys: Tensor) -> Tensor:
    """Return the columns and rows (M, 2) of nodes, float64."""
    return torch.stack((keys // _STRIDE, keys % _STRIDE), dim=1).double() - _OFFSET


def _distinct(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distinct keys, ascending, and where each key is among them."""
    distinct, rows = keys.unique(return_inverse=True)  # type: ignore[no-untyped-call]
    return distinct, rows
