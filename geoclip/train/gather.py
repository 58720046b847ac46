"""Rows of all ranks joined in every rank, with gradients, so that several processes equal one."""

from typing import Any

import torch
from torch import Tensor, distributed


def ranks() -> int:
    """Return the number of processes that train together."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def own_share(rows: Tensor) -> Tensor:
    """Return this rank's part of rows (N, ...) that every rank has; `gathered` joins the parts in order again."""
    return rows if ranks() == 1 else rows.tensor_split(ranks())[distributed.get_rank()]


def gathered(rows: Tensor) -> Tensor:
    """Join the rows of all ranks, in the order of the ranks; their numbers may differ.

    The gradient of a row is the sum of what all ranks find for it. Where every rank computes the same loss of the
    joined rows, that is `ranks()` times the gradient, and the mean over ranks that DDP takes is the gradient itself.

    Args:
        rows: (n, ...), n of this rank's own; 0 is allowed.

    Returns:
        (sum of n, ...), equal on every rank; `rows` itself where there is one process.
    """
    if ranks() == 1:
        return rows
    counts = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(ranks())]
    distributed.all_gather(counts, torch.tensor([len(rows)], device=rows.device))
    joined: Tensor = _Gather.apply(rows, [int(count) for count in counts])
    return joined


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, counts: list[int]) -> Tensor:
        ctx.counts = counts
        padded = rows.new_zeros(max(counts), *rows.shape[1:])  # the collective takes equal shapes only
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in counts]
        distributed.all_gather(parts, padded)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        total = gradients[0].contiguous().clone()
        distributed.all_reduce(total)
        return torch.split(total, ctx.counts)[distributed.get_rank()], None
