"""H3 on tensors: children and their digits by the bits of ids, int64 (an id's highest bit is 0).

Nothing here waits for the device.
"""

import torch
from torch import Tensor

from index.grid.cells import FINEST

_RES_SHIFT, _BASE_SHIFT, _DIGITS = 52, 45, (1 << 45) - 1
_PENTAGON_BASES = (4, 14, 24, 38, 49, 58, 63, 72, 83, 97, 107, 117)
CHILDREN, ABSENT = 7, 1
"""A pentagon has no child of the digit 1; its centre and five others are there."""


def bases(cells: Tensor) -> Tensor:
    """Return the base cell, 0 to 121, of cells (...)."""
    return (cells >> _BASE_SHIFT) & 0x7F


def pentagon_numbers(device: torch.device | str) -> Tensor:
    """Return (122,) int64 the number, from 0, of each base cell among those that are pentagons; -1 of the others."""
    numbers = torch.full((122,), -1, dtype=torch.int64)
    numbers[list(_PENTAGON_BASES)] = torch.arange(len(_PENTAGON_BASES))
    return numbers.to(device)


def digits(cells: Tensor, res: int) -> Tensor:
    """Return the digits (..., res), from resolution 1 on, of cells (...) of a resolution."""
    shifts = torch.arange(FINEST - 1, FINEST - 1 - res, -1, device=cells.device) * 3
    return (cells[..., None] >> shifts) & 7


def pentagons(cells: Tensor, res: int, numbers: Tensor) -> Tensor:
    """Return which cells (...) of a resolution are pentagons; `numbers` are those of `pentagon_numbers`."""
    own = cells & _DIGITS & ~((1 << 3 * (FINEST - res)) - 1)
    return (own == 0) & (numbers[bases(cells)] >= 0)


def children(cells: Tensor, res: int) -> Tensor:
    """Return the children (..., 7), by digit, of cells (...) of a resolution.

    They ascend. That of the digit 1 of a pentagon is no cell.
    """
    shift = 3 * (FINEST - res - 1)
    first = (cells & ~(7 << shift)) + (1 << _RES_SHIFT)
    return first[..., None] + (torch.arange(CHILDREN, device=cells.device) << shift)


def last_descendants(cells: Tensor, res: int) -> Tensor:
    """Return ids of resolution 15 from which on, downwards, lie the descendants of cells (...) of a resolution."""
    return cells & ~(15 << _RES_SHIFT) | (15 << _RES_SHIFT)


def first_descendants(cells: Tensor, res: int) -> Tensor:
    """Return the first descendant of resolution 15 of cells (...) of a resolution."""
    return last_descendants(cells, res) & ~((1 << 3 * (FINEST - res)) - 1)
