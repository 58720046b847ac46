"""Representatives against means in float64, one cell at a time, over h3-py's tree."""

import h3.api.basic_int as h3
import numpy as np
import pytest
from numpy.typing import NDArray

from index.building.levels import complete_families
from index.building.representatives import Representatives, joined, of_cells, of_representatives
from index.grid.cells import Cells, base_cells, cells_at, centres, children, descendant_range, parents, pentagons
from index.grid.region import Region
from tests.helpers.synthetic import FIJI, encode

CHUKOTKA = Region.bbox(66.0, 179.0, 68.0, -179.0)
PENTAGONS = descendant_range(base_cells()[pentagons(base_cells())], 6)[0]
POLES = cells_at([(90.0, 0.0), (-90.0, 0.0)], 6)
PLACES = {
    "land": Region.disk(46.8, 8.2, 30).cells(6),
    "fiji": FIJI.cells(6),
    "chukotka": CHUKOTKA.cells(5),
    "pentagons": PENTAGONS,
    "poles": np.sort(POLES),
}


def oracle(cell: int) -> list[NDArray[np.float64]]:
    """The sums of the children's vectors over their number: one, or one a side, positive longitudes first."""
    where = np.array([h3.cell_to_latlng(child) for child in sorted(h3.cell_to_children(cell))])
    where[where[:, 1] >= 180.0, 1] -= 360.0
    vectors = encode(where).astype(np.float64)
    if np.ptp(where[:, 1]) <= 180.0:
        return [vectors.mean(axis=0)]
    return [vectors[where[:, 1] >= 0].mean(axis=0), vectors[where[:, 1] < 0].mean(axis=0)]


@pytest.mark.parametrize("place", PLACES)
def test_means_equal_float64(place: str) -> None:
    cells = PLACES[place]
    found = of_cells(cells, encode)
    expected = [(cell, mean) for cell in cells.tolist() for mean in oracle(cell)]
    assert found.cells.dtype == np.uint64
    assert found.vectors.dtype == found.lengths.dtype == np.float32
    assert found.cells.tolist() == [cell for cell, _ in expected]
    means = np.array([mean for _, mean in expected])
    lengths = np.linalg.norm(means, axis=1)
    np.testing.assert_allclose(found.lengths, lengths, atol=1e-6)
    np.testing.assert_allclose(found.vectors, means / lengths[:, None], atol=1e-5)
    if place != "poles":
        assert (len(found.cells) > len(cells)) == (place in {"fiji", "chukotka"})


def test_one_side_says_nothing_about_the_other() -> None:
    cells = FIJI.cells(6)
    found = of_cells(cells, encode)
    second = np.flatnonzero(found.cells[1:] == found.cells[:-1]) + 1
    across = (found.vectors[second] * found.vectors[second - 1]).sum(axis=1)
    assert len(second) > 10
    assert across.max() < 0.5
    assert found.lengths[second].min() > 0.8  # a mean over both sides would be far shorter
    both = [np.linalg.norm(encode(centres(children(cells[cells == c], 7))).mean(axis=0)) for c in found.cells[second]]
    assert max(both) < found.lengths[second].min()


@pytest.mark.parametrize("place", ["land", "fiji", "chukotka", "pentagons"])
def test_parents_are_the_means_of_what_is_below_each_side(place: str) -> None:
    below = of_cells(PLACES[place], encode)
    found = of_representatives(below)
    east = sides(below)
    expected = []
    for parent in np.unique(parents(below.cells, h3.get_resolution(int(below.cells[0])) - 1)).tolist():
        own = parents(below.cells, h3.get_resolution(parent)) == parent
        astride = np.unique(below.cells[own]).size < own.sum() or np.ptp(centres(below.cells[own])[:, 1]) > 180
        groups = [own & east, own & ~east] if astride else [own]
        expected += [(parent, below.vectors[group].astype(np.float64).mean(axis=0)) for group in groups]
    assert found.cells.tolist() == [cell for cell, _ in expected]
    means = np.array([mean for _, mean in expected])
    np.testing.assert_allclose(found.vectors, means / np.linalg.norm(means, axis=1, keepdims=True), atol=1e-5)
    assert ((found.lengths > 0) & (found.lengths <= 1)).all()


def sides(found: Representatives) -> NDArray[np.bool_]:
    """Which representatives stand for positive longitudes: by their centre, or where a cell has two, the first."""
    east = centres(found.cells)[:, 1] >= 0
    first = np.flatnonzero(found.cells[1:] == found.cells[:-1])
    east[first], east[first + 1] = True, False
    return east


def test_lengths_go_up_the_tree() -> None:
    """A grandparent's length is about that of the mean of all that was encoded below it."""
    cells = children(cells_at([(46.8, 8.2)], 4), 6)
    grandparent = of_representatives(of_representatives(of_cells(cells, encode)))
    mean = encode(centres(children(cells, 7))).astype(np.float64).mean(axis=0)
    assert grandparent.cells.tolist() == cells_at([(46.8, 8.2)], 4).tolist()
    assert grandparent.lengths[0] == pytest.approx(np.linalg.norm(mean), rel=0.05)
    assert grandparent.vectors[0] @ mean / np.linalg.norm(mean) > 0.99


@pytest.mark.parametrize("seed", range(20))
def test_families_stay_together_however_the_stream_is_cut(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cells = FIJI.cells(6)[: int(rng.integers(1, 200))]
    whole = of_cells(cells, encode)
    cuts = np.flatnonzero(np.diff(whole.cells, prepend=np.uint64(0)))  # a cell's two sides are never apart
    cuts = np.unique(np.append(0, rng.choice(cuts, rng.integers(0, min(len(cuts), 40)), replace=False)))
    stream = [whole.part(slice(a, b)) for a, b in zip(cuts, [*cuts[1:], len(whole.cells)], strict=True)]
    families = list(complete_families(stream))
    again = joined(families)
    assert np.array_equal(again.cells, whole.cells)
    assert np.array_equal(again.vectors, whole.vectors)
    assert np.array_equal(again.lengths, whole.lengths)
    assert all(len(family.cells) for family in families)
    seen: list[Cells] = [np.unique(parents(family.cells, 5)) for family in families]
    assert len(np.concatenate(seen)) == len(np.unique(np.concatenate(seen)))
