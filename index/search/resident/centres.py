"""Centres of H3 cells on tensors, from nothing but their ids and a table of 1,130 rows.

H3 lays hexagons on the faces of an icosahedron, each face in its own plane, and projects a plane from the centre of
the sphere (gnomonically). In the plane a child lies from its parent in a direction that its digit names, at a distance
that shrinks by the root of 7 a resolution; a grid is turned by 19 degrees against those of the resolutions above and
below it. So a centre is the place of an ancestor plus a sum of one complex number a digit. What lies beyond an edge of
the face is brought to the next face as if both were unfolded into one plane.

The ancestor is a base cell, or the first one below a pentagon that is a hexagon: around a pentagon, a corner of the
icosahedron, there is no one plane. Where these lie, and how their grids are turned, is read off h3ronpy when the table
is made, and checked with their children.
"""

import math
from functools import cache
from itertools import combinations
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from index.grid import cells as grid
from index.grid.siblings import DEGREES, TURN
from index.grid.sphere import Floats, unit_vectors
from index.search.resident.cells import bases, digits, pentagon_numbers

Complex = NDArray[np.complex128]

FINEST_CENTRE = 11
"""Of the cells whose centres can be told."""
_UNIT = 0.38196601125010500003
"""H3's distance of neighbouring cells of resolution 0, in a plane that touches a sphere of radius 1."""
_DEPTHS = FINEST_CENTRE + 1
"""Where the first digit of a cell below a pentagon that is not 0 may be: 1 to 11; 0 where there is none."""
_CLOSE = 1e-9
"""An Earth's radius: what a table may be off by, 6 mm."""


class _Faces(NamedTuple):
    """The faces of the icosahedron, each with a plane of complex numbers: 0 in its middle, 1 towards a corner."""

    frames: Floats
    """(20, 3, 3): the middle, and where 1 and i lie from there."""
    edges: Complex
    """(3,) the unit normals of the edges, which are the same for all faces."""
    inside: float
    """Of the middle to an edge."""
    beyond: NDArray[np.int64]
    """(20, 3) the face beyond each edge."""
    turns: Complex
    """(20, 3) what a place beyond an edge is multiplied with ..."""
    moves: Complex
    """(20, 3) ... and moved by, to be one of the plane of the face beyond."""

    @classmethod
    def of(cls, corners: Floats) -> Self:
        """Lay planes onto the faces between corners (12, 3) of unit length."""
        adjacent = corners @ corners.T > 0.4
        faces = [three for three in combinations(range(12), 3) if adjacent[np.ix_(three, three)].all()]
        middles = np.stack([corners[list(three)].sum(axis=0) for three in faces])
        middles /= np.linalg.norm(middles, axis=1, keepdims=True)
        towards = corners[[three[0] for three in faces]]
        real = towards - (towards * middles).sum(axis=1, keepdims=True) * middles
        real /= np.linalg.norm(real, axis=1, keepdims=True)
        frames: Floats = np.stack((middles, real, np.cross(middles, real)), axis=1)
        edges: Complex = np.exp(1j * np.pi * np.array([1 / 3, 1, 5 / 3]))
        own = [_in_plane(frame, corners[list(three)]) for frame, three in zip(frames, faces, strict=True)]
        inside = float((own[0][:, None] * edges.conj()).real.max(axis=0).mean())
        beyond, turns, moves = np.zeros((20, 3), np.int64), np.zeros((20, 3), np.complex128), np.zeros((20, 3), complex)
        for face, three in enumerate(faces):
            for edge in range(3):
                ends = [at for at in range(3) if (own[face][at] * edges[edge].conj()).real > 0]
                shared = [three[at] for at in ends]
                (other,) = (n for n, there in enumerate(faces) if n != face and set(shared) <= set(there))
                here, there = own[face][ends], own[other][[faces[other].index(corner) for corner in shared]]
                beyond[face, edge] = other
                turns[face, edge] = (there[1] - there[0]) / (here[1] - here[0])
                moves[face, edge] = there[0] - turns[face, edge] * here[0]
        return cls(frames, edges, inside, beyond, turns, moves)


def _in_plane(frame: Floats, vectors: Floats) -> Complex:
    """Return vectors (N, 3) as numbers (N,) of a face's plane."""
    along: Floats = vectors @ frame.T
    return np.asarray((along[:, 1] + 1j * along[:, 2]) / along[:, 0], np.complex128)


class _Roots(NamedTuple):
    """Cells that others are placed by, as h3ronpy has them."""

    rows: NDArray[np.int64]
    """Their rows in the table."""
    cells: grid.Cells
    res: int


class Table(NamedTuple):
    """What centres are computed with; 0.1 MB."""

    steps: Tensor
    """(11 * 8,) complex128, from a parent to a child: by resolution, then by digit."""
    face: Tensor
    """(R,) int64 of each root."""
    place: Tensor
    """(R,) complex128 of each root in the plane of its face, less its own digits' steps."""
    turn: Tensor
    """(R,) complex128 of the root's grid."""
    frames: Tensor
    """(20, 3, 3) of the faces; see `_Faces`, as for all below."""
    edges: Tensor
    inside: float
    beyond: Tensor
    turns: Tensor
    moves: Tensor
    pentagons: Tensor
    """(122,) the number of each base cell among the pentagons; -1 of the others."""

    @classmethod
    def on(cls, device: torch.device | str) -> Self:
        """Return the table on a device."""
        made = _made()
        return cls._make(part.to(device) if isinstance(part, Tensor) else part for part in made)

    def lat_lng(self, cells: Tensor, res: int) -> Tensor:
        """Return the centres (N, 2) of cells (N,) int64 of one resolution, up to 11.

        Returns:
            float64 latitude and longitude in degrees, longitude in [-180, 180): h3ronpy's to 0.1 mm.
        """
        own = digits(cells, res)
        offset = torch.zeros(cells.shape, dtype=torch.complex128, device=cells.device)
        if res:
            at = own + 8 * torch.arange(res, device=cells.device)
            offset = self.steps[at].sum(dim=-1)
        root = self._roots(cells, own)
        face, place = self.face[root], self.place[root] + self.turn[root] * offset
        outside = (place[:, None] * self.edges.conj()).real - self.inside
        most, edge = outside.max(dim=1)
        crossed = most > 0
        place = torch.where(crossed, self.turns[face, edge] * place + self.moves[face, edge], place)
        face = torch.where(crossed, self.beyond[face, edge], face)
        middle, real, imaginary = self.frames[face].unbind(dim=1)
        x, y, z = (middle + place.real[:, None] * real + place.imag[:, None] * imaginary).unbind(dim=1)
        lat, lng = torch.atan2(z, torch.hypot(x, y)), torch.atan2(y, x)
        lng = torch.where(lng >= math.pi, -lng, lng)
        return torch.stack((lat, lng), dim=1) * (180 / math.pi)

    def _roots(self, cells: Tensor, own: Tensor) -> Tensor:
        """Return the row of each cell's root."""
        base = bases(cells)
        number = self.pentagons[base]
        if not own.shape[-1]:
            return base
        filled = own > 0
        first = filled.to(torch.int8).argmax(dim=-1)
        some = filled.any(dim=-1)
        digit = own.gather(-1, first[..., None])[..., 0]
        below = 122 + (number * _DEPTHS + torch.where(some, first + 1, 0)) * 7 + digit
        return torch.where(number >= 0, below, base)


@cache
def _made() -> Table:
    base = grid.base_cells()
    numbers = pentagon_numbers("cpu").numpy()
    pentagon = base[numbers >= 0]
    corners = unit_vectors(grid.centres(pentagon))
    faces = _Faces.of(corners / np.linalg.norm(corners, axis=1, keepdims=True))
    steps = _steps()
    rows = 122 + 12 * _DEPTHS * 7
    face, place, turn = np.zeros(rows, np.int64), np.zeros(rows, complex), np.ones(rows, complex)
    for roots in _all_roots(base, numbers):
        face[roots.rows], place[roots.rows], turn[roots.rows] = _placed(roots, faces, steps)
    for number, corner in enumerate(corners):  # a pentagon of whatever resolution is the corner itself
        near = int((faces.frames[:, 0] @ corner).argmax())
        own = [122 + number * _DEPTHS * 7, int(np.flatnonzero(numbers == number)[0])]
        face[own], place[own] = near, _in_plane(faces.frames[near], corner[None])[0]
    tensors = map(torch.from_numpy, (faces.frames, faces.edges, faces.beyond, faces.turns, faces.moves))
    frames, edges, beyond, turns, moves = tensors
    return Table(
        torch.from_numpy(steps[1:].reshape(-1)),
        torch.from_numpy(face),
        torch.from_numpy(place),
        torch.from_numpy(turn),
        frames,
        edges,
        faces.inside,
        beyond,
        turns,
        moves,
        torch.from_numpy(numbers),
    )


def _steps() -> Complex:
    """Return (13, 8): by resolution and digit, the way from a parent to its child, where grids are not turned."""
    res = np.arange(FINEST_CENTRE + 2)
    scale: Complex = _UNIT / np.sqrt(7.0) ** res * np.exp(1j * TURN * (res % 2))
    steps: Complex = np.zeros((len(res), 8), complex)
    steps[:, 1:7] = scale[:, None] * np.exp(1j * DEGREES[1:])
    return steps


def _all_roots(base: grid.Cells, numbers: NDArray[np.int64]) -> list[_Roots]:
    """Return the base cells that are hexagons; then, for each resolution, the hexagons around pentagons."""
    hexagons = np.flatnonzero(numbers < 0)
    result = [_Roots(hexagons, base[hexagons], 0)]
    pentagon = base[numbers >= 0]
    for res in range(1, FINEST_CENTRE + 1):
        around = grid.children(pentagon, res).reshape(12, 6)
        own = np.arange(12)[:, None] * _DEPTHS * 7 + res * 7 + np.arange(2, 7)
        result.append(_Roots(122 + own.reshape(-1), around[:, 1:].reshape(-1), res))
        pentagon = around[:, 0]
    return result


def _placed(roots: _Roots, faces: _Faces, steps: Complex) -> tuple[NDArray[np.int64], Complex, Complex]:
    """Return face, place and turn of roots: the turn, of six, by which their children lie where they do."""
    own = unit_vectors(grid.centres(roots.cells))
    children = unit_vectors(grid.centres(grid.children(roots.cells, roots.res + 1))).reshape(-1, 7, 3)
    face = (own @ faces.frames[:, 0].T).argmax(axis=1)
    place, turn, off = np.zeros(len(own), complex), np.ones(len(own), complex), np.full(len(own), np.inf)
    for at, frame in enumerate(faces.frames[face]):
        place[at] = _in_plane(frame, own[at : at + 1])[0]
        inner = int((children[at, 1:] @ frame[0]).argmax()) + 1  # surely on the face
        seen = _in_plane(frame, children[at, inner : inner + 1])[0] - place[at]
        for sixth in range(6):
            tried = np.exp(1j * np.pi / 3 * sixth)
            miss = abs(seen - tried * steps[roots.res + 1, inner])
            if miss < off[at]:
                off[at], turn[at] = miss, tried
    if off.max() > _CLOSE:
        raise RuntimeError(f"H3's cell {roots.cells[off.argmax()]:x} does not lie as its family does.")
    digit = ((roots.cells >> np.uint64(3 * (grid.FINEST - roots.res))) & np.uint64(7)).astype(np.int64)
    return face, place - turn * (steps[roots.res, digit] if roots.res else 0), turn
