"""The tree above the leaves of a distribution against sums over every leaf's ancestors, cell by cell."""

from collections import defaultdict

import numpy as np
import pytest
from numpy.typing import NDArray

from index.grid.cells import Cells, base_cells, children, parents, resolutions
from index.search.cell_tree import CellTree, Leaves

Floats = NDArray[np.float64]
FINEST = 7


def leaves(seed: int) -> tuple[Cells, Floats]:
    """Disjoint leaves in any order, of masses of all sizes; some stand for what is left of a cell above others."""
    rng = np.random.default_rng(seed)
    open_, found = base_cells()[rng.permutation(122)[:6]], list[Cells]()
    for res in range(FINEST):
        below = children(open_, res + 1)
        taken = below[rng.random(len(below)) < rng.choice([0.2, 0.9])]
        found += [taken[60:], open_[rng.random(len(open_)) < 0.2]]  # the latter are rests, or have no other leaf
        open_ = taken[:60]
    cells = np.unique(np.concatenate((*found, open_)))
    cells = cells[rng.permutation(len(cells))]
    mass = rng.exponential(size=len(cells)) ** 4
    return cells, mass / mass.sum()


def whole_cells(cells: Cells, mass: Floats) -> tuple[dict[int, float], dict[int, int]]:
    """The mass of every cell that is a leaf or above one, and how many leaves it has."""
    sums, counts = defaultdict[int, float](float), defaultdict[int, int](int)
    for cell, own in zip(cells, mass.tolist(), strict=True):
        for res in range(int(resolutions(cell[None])[0]) + 1):
            above = int(parents(cell[None], res)[0])
            sums[above] += own
            counts[above] += 1
    return sums, counts


def up(cell: int) -> int | None:
    """The parent of a cell."""
    res = cell >> 52 & 15
    return int(parents(np.array([cell], np.uint64), res - 1)[0]) if res else None


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("least", [1e-2, 1e-3, 1e-5])
def test_cells_and_masses_are_those_of_sums_over_all_leaves(seed: int, least: float) -> None:
    cells, mass = leaves(seed)
    sums, counts = whole_cells(cells, mass)
    own = dict(zip(cells.tolist(), mass.tolist(), strict=True))
    wanted = {cell for cell in sums if (above := up(cell)) is None or sums[above] >= least}
    tree = CellTree.of(Leaves.of(cells, mass), FINEST, least)
    size = tree.bounds[-1]
    assert tree.cells[:size].tolist() == sorted(wanted)
    np.testing.assert_array_equal(np.diff(tree.bounds), np.bincount(resolutions(tree.cells[:size]), minlength=8))
    np.testing.assert_allclose(tree.mass[:size], [sums[cell] for cell in sorted(wanted)], rtol=1e-12)
    rests = {cell for cell in wanted & own.keys() if counts[cell] > 1 and sums[cell] >= least}
    assert set(tree.cells[size:].tolist()) == rests
    assert len(rests) > (2 if least < 1e-2 else -1)
    assert tree.mass[size:].tolist() == [own[cell] for cell in tree.cells[size:].tolist()]
    heavy = [part.tolist() for part, _ in tree.heavy(2 * least)]
    assert heavy == [sorted(c for c in sums if c >> 52 & 15 == res and sums[c] >= 2 * least) for res in range(8)]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("least", [1e-2, 1e-3])
def test_light_cells_are_joined_and_single_leaves_stay(seed: int, least: float) -> None:
    cells, mass = leaves(seed)
    sums, counts = whole_cells(cells, mass)
    expected = dict[int, float]()
    for cell, own in zip(cells.tolist(), mass.tolist(), strict=True):
        path = [cell]
        while (above := up(path[-1])) is not None:
            path.append(above)
        top = next((each for each in reversed(path) if sums[each] < least), cell)  # the coarsest light cell it is in
        stands = cell if counts[top] == 1 else top
        expected[stands] = expected.get(stands, 0.0) + own
    tree = CellTree.of(Leaves.of(cells, mass), FINEST, 1e-5)
    joined, masses = tree.joined(least)
    assert joined.tolist() == sorted(expected)
    assert tree.count(least) == len(joined)
    np.testing.assert_allclose(masses, [expected[cell] for cell in joined.tolist()], rtol=1e-12)
    assert masses.sum() == pytest.approx(1, abs=1e-12)


def test_where_there_would_be_many_the_larger_limit_counts() -> None:
    own = Leaves.of(*leaves(1))
    many = CellTree.of(own, FINEST, 1e-5).count(1e-5)
    assert CellTree.of(own, FINEST, 1e-5, many=many + 1, least_of_many=1e-2).least == 1e-5
    fewer, alike = CellTree.of(own, FINEST, 1e-5, many=many, least_of_many=1e-2), CellTree.of(own, FINEST, 1e-2)
    assert fewer.least == 1e-2
    assert fewer.cells.tolist() == alike.cells.tolist()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("res", range(FINEST + 1))
def test_sums_at_a_resolution(seed: int, res: int) -> None:
    cells, mass = leaves(seed)
    groups = defaultdict[int, float](float)
    for cell, own in zip(cells, mass.tolist(), strict=True):
        groups[int(parents(cell[None], min(res, int(resolutions(cell[None])[0])))[0])] += own
    expected = [groups[cell] for cell in sorted(groups, key=lambda cell: cell & ((1 << 52) - 1))]  # a rest comes last
    np.testing.assert_allclose(Leaves.of(cells, mass).sums_at(res), expected, rtol=1e-12)


def test_no_leaves_and_one() -> None:
    nothing = CellTree.of(Leaves.of(base_cells()[:0], np.zeros(0)), FINEST, 1e-3)
    assert nothing.count(1e-3) == len(nothing.cells) == 0
    for cell in (base_cells()[5:6], children(base_cells()[5:6], 4)[9:10]):
        tree = CellTree.of(Leaves.of(cell, np.ones(1)), FINEST, 1e-3)
        assert tree.joined(1e-3)[0].tolist() == cell.tolist()
        assert len(tree.cells) == int(resolutions(cell)[0]) + 1
        assert tree.leaf.tolist() == [False] * int(resolutions(cell)[0]) + [True]
