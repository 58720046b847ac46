"""A build as numbered blocks of cells. Pure: no files, no clocks, no devices."""

from dataclasses import dataclass

import numpy as np

from index.grid.cells import Cells, children_counts, resolution

COARSEST, FINEST_COARSE = 3, 8
"""The range of resolutions that an index can store."""


@dataclass(frozen=True)
class BuildPlan:
    """The coarse cells of an index, cut into blocks that are encoded and written one by one.

    Args:
        cells: (N,) uint64, sorted, of one resolution from 3 to 8.
        block_cells: cells a block; the last block has what is left.

    Raises:
        ValueError: no cells, cells that are not sorted, another resolution, or blocks without cells.
    """

    cells: Cells
    block_cells: int

    def __post_init__(self) -> None:
        if not len(self.cells):
            raise ValueError("The region holds no land; choose a larger one.")
        if not (self.cells[1:] > self.cells[:-1]).all():
            raise ValueError("The cells of a plan must be sorted and distinct.")
        if not COARSEST <= self.res <= FINEST_COARSE:
            raise ValueError(f"The coarse resolution is {self.res}; choose {COARSEST} to {FINEST_COARSE}.")
        if self.block_cells < 1:
            raise ValueError(f"A block has {self.block_cells} cells; it needs at least 1.")

    @property
    def res(self) -> int:
        """The coarse resolution."""
        return resolution(self.cells[:1])

    def __len__(self) -> int:
        """Return the number of blocks."""
        return (len(self.cells) + self.block_cells - 1) // self.block_cells

    def block(self, number: int) -> Cells:
        """Return the cells of block `number`, from 0."""
        if not 0 <= number < len(self):
            raise IndexError(number)
        return self.cells[number * self.block_cells : (number + 1) * self.block_cells]

    @property
    def encodings(self) -> int:
        """How many points are encoded: the children of all cells."""
        return int(children_counts(self.cells, self.res + 1).sum())

    def encodings_of(self, number: int) -> int:
        """How many points block `number` encodes."""
        return int(children_counts(self.block(number), self.res + 1).sum())


def block_cells_for(memory_bytes: int, dim: int) -> int:
    """Return how many cells a block may have so that making it stays well below `memory_bytes`.

    A cell needs its seven children's coordinates and a float32 and a float16 vector of its own; a quarter of the
    memory is given to that, and at most 16,384 cells, so that a kill loses seconds and not minutes.
    """
    per_cell = 7 * 64 + dim * 6
    return int(np.clip(memory_bytes // 4 // per_cell, 64, 16_384))
