"""Scores of children from those of a family, against a function that is a quadratic in the plane."""

import numpy as np
import pytest
from numpy.typing import NDArray

from index.grid.cells import Cells, base_cells, cells_at, centres, children, descendant_range, pentagons
from index.grid.siblings import children_scores, digits


def quadratic(cells: Cells, about: Cells) -> NDArray[np.float32]:
    """Some quadratic of the distances east and north of a cell, in units of its size."""
    (lat, lng), where = centres(about)[0], centres(cells)
    size = np.ptp(centres(children(about, 11))[:, 0])
    x, y = (where[:, 1] - lng) * np.cos(np.radians(lat)) / size, (where[:, 0] - lat) / size
    result: NDArray[np.float32] = (0.3 + 0.5 * x - 0.2 * y + 0.4 * x * x - 0.7 * x * y - 0.3 * y * y).astype(np.float32)
    return result


@pytest.mark.parametrize("res", [7, 8, 9, 10])
@pytest.mark.parametrize("place", [(46.6, 8.2), (-33.0, 151.0), (0.5, 20.0), (62.0, -114.0)])
def test_a_quadratic_is_told_exactly(place: tuple[float, float], res: int) -> None:
    parent = cells_at([place], res - 1)
    family = children(parent, res)
    below = children(family, res + 1)
    opened = family[[5, 0, 6]]
    order = np.random.default_rng(0).permutation(7)
    alone = np.zeros(7, np.int64)
    scores, known = children_scores(opened, family[order], quadratic(family, parent)[order], res, alone[:3], alone)
    assert known.all()
    assert scores.dtype == np.float32
    expected = quadratic(below, parent).reshape(7, 7)[[5, 0, 6]]
    np.testing.assert_allclose(scores, expected, atol=2e-3)
    assert np.ptp(expected) > 0.05
    assert digits(below, res + 1).reshape(7, 7).tolist() == [list(range(7))] * 7


def test_families_that_miss_a_sibling_tell_nothing() -> None:
    whole, part = (children(cells_at([place], 7), 8) for place in ((46.6, 8.2), (10.0, 10.0)))
    pentagon = descendant_range(base_cells()[pentagons(base_cells())][:1], 7)[0]
    known = np.concatenate((whole, part[1:], children(pentagon, 8)))
    owners = np.zeros(len(known), np.int64)
    scores, told = children_scores(known[[0, 7, 13]], known, np.ones(len(known), np.float32), 8, owners[:3], owners)
    assert told.tolist() == [True, False, False]
    np.testing.assert_allclose(scores, np.array([[1.0], [0.0], [0.0]]) * np.ones(7), atol=1e-6)


def test_queries_do_not_mix() -> None:
    """The same families, known to several queries with other scores; to one of them in part."""
    family = children(cells_at([(46.6, 8.2)], 7), 8)
    known = np.concatenate((family, family, family[:6]))
    owners = np.repeat([0, 2, 3], [7, 7, 6])
    scores = np.repeat([1.0, 2.0, 3.0], [7, 7, 6]).astype(np.float32)
    found, told = children_scores(family[[1, 4, 2]], known, scores, 8, np.array([0, 2, 3]), owners)
    assert told.tolist() == [True, True, False]
    np.testing.assert_allclose(found, np.array([[1.0], [2.0], [0.0]]) * np.ones(7), atol=1e-6)
