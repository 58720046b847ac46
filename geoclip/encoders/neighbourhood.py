"""Many points close together: capsules of long waves are interpolated, only those of short waves are computed.

The encoder is a sum of capsules. One of a small sigma hardly changes between neighbouring points, so it is computed at
the nodes of a square grid in the plane of the projection, and interpolated between the four nodes around a point. The
plane ends at the antimeridian, where the encoder jumps, but its function goes on beyond: nodes lie there too, and a
point is interpolated from its own side. So there is no special case at the antimeridian, the poles or a pentagon.

Grids are fixed in the plane, and which capsule is interpolated depends on the distance between points that the caller
states, not on the points at hand: a point's vector is the same, to the byte, among any others.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from geoclip.encoders.cores import on_all_cores
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
FEW = 64
"""The same where there are few."""


class NodeGrid(NamedTuple):
    """A grid of nodes, and the capsules that are computed there."""

    spacing: float
    """In the plane: a power of two, so that a coarser grid's nodes are nodes of a finer one, too."""
    capsules: tuple[int, ...]


class NodeTable(NamedTuple):
    """What grids gave at nodes, the finest grid's and all coarser ones' together."""

    keys: Tensor
    """(M,) int64, ascending."""
    values: Tensor
    """(M, dim) float32."""


def grids(sigma: Sequence[float], spacing_km: float) -> tuple[list[NodeGrid], tuple[int, ...]]:
    """Return the grids for points this far apart, coarse ones first, and the capsules computed at the points."""
    by_spacing: dict[float, tuple[int, ...]] = {}
    for number, scale in enumerate(sigma):
        spacing = 2.0 ** math.floor(math.log2(NODE_TURNS / scale))
        if (spacing * KM_PER_UNIT / spacing_km) ** 2 < NODE_POINTS:
            spacing = 0.0
        by_spacing[spacing] = (*by_spacing.get(spacing, ()), number)
    computed = by_spacing.pop(0.0, ())
    return [NodeGrid(spacing, by_spacing[spacing]) for spacing in sorted(by_spacing, reverse=True)], computed


class Neighbourhood:
    """Encodes points that lie close together.

    Args:
        encoder: whose weights do not change any more.
        layers: its layers, in the arithmetic that is wanted.
        spacing_km: from a point to its neighbours; how far apart the points are decides what is interpolated.
    """

    def __init__(self, encoder: LocationEncoder, layers: Layers, spacing_km: float) -> None:
        self._encoder, self._layers = encoder, layers
        self._grids, self._computed = grids(encoder.sigma, spacing_km)
        self._on_gpu = encoder.device.type == "cuda"
        self._tables: dict[float, NodeTable] = {}  # of the call before: its neighbours are often the next call's

    def embed_into(self, out: Tensor, plane: Tensor, *, few: bool = False) -> None:
        """Fill `out` (N, dim) float32 with the unit vectors of projected points (N, 2) float64.

        For `few` points products are smaller; a vector's last bits depend on their shape, and on nothing else.
        """
        self._fill(out, plane, self._grids, self._computed, FEW if few else CHUNK, unit=True)

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
        squares, table = None, out
        if levels and len(plane):
            squares = self._alone(lambda: _Squares.around(plane, levels[-1].spacing))
            table = self._at_nodes(squares.keys, levels)
        if self._on_gpu:
            step = CHUNK if step == FEW else GPU_CHUNK

        def fill(start: int) -> None:
            with torch.inference_mode(), torch.autocast(plane.device.type, enabled=False):
                rows = slice(start, start + step)
                points, given = plane[rows].float(), out[rows]
                short = step - len(points) if step < GPU_CHUNK else 0
                some = given.new_zeros(len(points) + short, self._encoder.dim) if short else given.zero_()
                if computed:
                    self._encoder.add_capsules(some, F.pad(points, (0, 0, 0, short)), computed, self._layers)
                some = some[: len(points)]
                if squares is not None:
                    some += F.embedding_bag(
                        squares.corners[rows], table, per_sample_weights=squares.weights[rows], mode="sum"
                    )
                if unit:
                    F.normalize(some, dim=1, out=some)
                if short:
                    given.copy_(some)

        on_all_cores(fill, range(0, len(plane), step), cores=1 if self._on_gpu else None, alone=True)

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


_STRIDE, _OFFSET = (
    1 << 31,
    1 << 30,
)  # a node's key is its column times the stride plus its row, both moved to be positive


def _positions(keys: Tensor) -> Tensor:
    """Return the columns and rows (M, 2) of nodes, float64."""
    return torch.stack((keys // _STRIDE, keys % _STRIDE), dim=1).double() - _OFFSET


def _distinct(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distinct keys, ascending, and where each key is among them."""
    distinct, rows = keys.unique(return_inverse=True)  # type: ignore[no-untyped-call]
    return distinct, rows
