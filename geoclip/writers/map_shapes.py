"""What a map shows of an answer: its circles, and the finest cells of its pruned tree."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from geoclip.answers.answer import Answer, CellProbability
from geoclip.writers.rings import Polygon, circle, outline
from index.grid.cells import boundaries


class Circle(NamedTuple):
    """The circle around the best point that holds a share of the probability."""

    share: float
    radius_km: float
    polygons: list[Polygon]


class DrawnCell(NamedTuple):
    """A cell with its outline."""

    cell: str
    probability: float
    polygons: list[Polygon]


def circles(answer: Answer) -> list[Circle]:
    """Return the circles that are known and large enough to be drawn."""
    if not answer.predictions:
        return []
    centre = (answer.best.lat, answer.best.lng)
    known = [(0.5, answer.radius_50_km), (0.9, answer.radius_90_km)]
    drawn = [Circle(share, km, circle(centre, km)) for share, km in known if math.isfinite(km)]
    return [one for one in drawn if one.polygons]


def drawn_cells(answer: Answer) -> list[DrawnCell]:
    """Return the leaves of the pruned tree with their outlines."""
    found = leaves(answer.cells)
    if not found:
        return []
    corners = boundaries(np.array([int(leaf.cell, 16) for leaf in found], dtype=np.uint64))
    return [
        DrawnCell(leaf.cell, leaf.probability, outline([_pair(corner) for corner in ring]))
        for leaf, ring in zip(found, corners, strict=True)
    ]


def leaves(cells: Sequence[CellProbability]) -> list[CellProbability]:
    """Return those cells of a pruned tree none of whose children is in it, in the same order."""
    inner = {_parent(int(one.cell, 16)) for one in cells}
    return [one for one in cells if int(one.cell, 16) not in inner]


def _parent(cell: int) -> int:
    """Return the id of the parent of an H3 cell; of a cell of resolution 0, some number that is no cell."""
    resolution = (cell >> 52) & 0xF
    return (cell - (1 << 52)) | (0b111 << 3 * (15 - resolution))  # one resolution less, and its digit unused


def _pair(corner: Any) -> tuple[float, float]:
    lat, lng = corner
    return float(lat), float(lng)
