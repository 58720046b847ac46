"""The numbers of vectors where some cells have two."""

import numpy as np

from index.grid.cells import centres, distinct_parents, resolution
from index.grid.sides import cell_rows, first_vectors, parent_vectors, seconds
from tests.helpers.synthetic import ALPS, FIJI


def test_numbers() -> None:
    rows = cell_rows(5, np.array([1, 4]))
    assert rows.tolist() == [0, 1, 1, 2, 3, 4, 4]
    assert first_vectors(rows).tolist() == [0, 1, 3, 4, 5]
    assert seconds(rows).tolist() == [False, False, True, False, False, False, True]
    assert cell_rows(3, np.zeros(0, np.uint32)).tolist() == [0, 1, 2]


def test_a_vector_has_the_parent_on_its_side() -> None:
    cells = FIJI.cells(6)
    above, parent_rows = distinct_parents(cells)
    lng = centres(cells)[:, 1]
    families = np.flatnonzero(np.bincount(parent_rows, lng < 0) * np.bincount(parent_rows, lng > 0))
    assert len(families) > 1
    rows = cell_rows(len(cells), twice := np.flatnonzero(np.abs(lng) > 179.98))
    found = parent_vectors(cells, rows, parent_rows, above_rows := cell_rows(len(above), families))
    assert above_rows[found].tolist() == parent_rows[rows].tolist()
    side = seconds(above_rows)[found]
    two = np.isin(parent_rows[rows], families)
    assert not side[~two].any()
    single = two & ~np.isin(rows, twice)
    assert side[single].tolist() == (lng[rows[single]] < 0).tolist()
    both = two & np.isin(rows, twice)
    assert both.any()
    assert side[both].tolist() == seconds(rows)[both].tolist()
    assert resolution(above) == 5


def test_without_an_antimeridian_vectors_are_cells() -> None:
    cells = ALPS.cells(6)
    above, parent_rows = distinct_parents(cells)
    none = np.zeros(0, np.int64)
    found = parent_vectors(cells, cell_rows(len(cells), none), parent_rows, cell_rows(len(above), none))
    assert np.array_equal(found, parent_rows)
