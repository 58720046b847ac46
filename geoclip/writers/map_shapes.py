"""What a map shows of an answer: its circles, and the finest cells of its pruned tree."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from geoclip.answers.answer import Answer, CellProbability
from geoclip.writers.rings import Polygon, circle, outline
from index.grid.cells import Cells, boundaries, parents, resolutions


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
    outlines = map(outline, boundaries(_ids(found)))
    return [DrawnCell(leaf.cell, leaf.probability, shape) for leaf, shape in zip(found, outlines, strict=True)]


def leaves(cells: Sequence[CellProbability]) -> list[CellProbability]:
    """Return those cells of a pruned tree none of whose children is in it, in the same order."""
    ids = _ids(cells)
    levels = resolutions(ids)
    inner = [parents(ids[levels == res], res - 1) for res in set(levels.tolist()) - {0}]
    return [one for one, outer in zip(cells, ~np.isin(ids, np.concatenate([*inner, ids[:0]])), strict=True) if outer]


def _ids(cells: Sequence[CellProbability]) -> Cells:
    return np.array([int(one.cell, 16) for one in cells], dtype=np.uint64)
