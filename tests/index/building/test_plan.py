"""A build cut into blocks: nothing lost, nothing twice, sizes as announced."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.building.plan import BuildPlan, block_cells_for
from index.grid.cells import Cells, base_cells, children

LAND = children(base_cells()[:5], 3)  # one of them a pentagon


@settings(deadline=None, max_examples=30)
@given(st.integers(1, len(LAND)), st.integers(1, 400))
def test_blocks_are_the_cells_in_order(count: int, block_cells: int) -> None:
    plan = BuildPlan(LAND[:count], block_cells)
    blocks = [plan.block(number) for number in range(len(plan))]
    assert len(blocks) == -(-count // block_cells)
    assert np.array_equal(np.concatenate(blocks), LAND[:count])
    assert all(len(block) == block_cells for block in blocks[:-1])
    assert 1 <= len(blocks[-1]) <= block_cells
    assert plan.encodings == len(children(plan.cells, 4))
    assert plan.encodings == sum(plan.encodings_of(number) for number in range(len(plan)))


@pytest.mark.parametrize("number", [-1, 2])
def test_there_is_no_other_block(number: int) -> None:
    plan = BuildPlan(LAND[:9], 5)
    assert plan.res == 3
    with pytest.raises(IndexError):
        plan.block(number)


@pytest.mark.parametrize(
    ("cells", "block_cells", "message"),
    [
        (LAND[:0], 10, "no land"),
        (LAND[::-1], 10, "sorted and distinct"),
        (LAND[[0, 1, 1, 2]], 10, "sorted and distinct"),
        (base_cells(), 10, "resolution is 0; choose 3 to 8"),
        (children(LAND[:1], 9), 10, "resolution is 9; choose 3 to 8"),
        (LAND, 0, "has 0 cells"),
    ],
)
def test_plans_that_are_none_are_refused(cells: Cells, block_cells: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BuildPlan(cells, block_cells)


@given(st.integers(1, 1 << 50), st.integers(32, 4096))
def test_blocks_stay_below_the_memory_and_have_a_size(memory_bytes: int, dim: int) -> None:
    cells = block_cells_for(memory_bytes, dim)
    assert 64 <= cells <= 16_384
    assert cells == 64 or cells * (7 * 2 * 8 + dim * 6) <= memory_bytes
    assert block_cells_for(memory_bytes * 2, dim) >= cells
