"""The order of an epoch, and which part of it each rank and batch takes. Pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoclip.errors import InputError

WINDOW_BLOCKS = 16
"""Shards whose samples are mixed: reading stays within so many files."""


@dataclass(frozen=True)
class EpochPlan:
    """An epoch cut into joint batches, and each of these dealt out to the ranks.

    Ranks have the same number of batches, disjoint shares, and together every sample once. Batches have
    `batch_size` samples; those of the last number fewer, or one more where fewer samples than ranks would be left.

    Raises:
        InputError: the batch size is below 1.
    """

    samples: int
    batch_size: int
    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise InputError(f"batch_size is {self.batch_size}; give at least 1.")

    def __len__(self) -> int:
        """Batches of each rank."""
        whole, rest = divmod(self.samples, self.batch_size * self.world)
        return whole + (rest >= self.world or (whole == 0 and rest > 0))

    def share(self, order: NDArray[np.int64], number: int) -> NDArray[np.int64]:
        """Return this rank's part of joint batch `number` of an epoch's order (samples,)."""
        joint = self.batch_size * self.world
        stop = self.samples if number == len(self) - 1 else (number + 1) * joint
        return order[number * joint : stop][self.rank :: self.world]


def epoch_order(
    positions: NDArray[np.int64], blocks: NDArray[np.int64] | None, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return the samples shuffled.

    Args:
        positions: (N,) the samples, ascending.
        blocks: (M,) first sample of each block, ascending, to shuffle block by block: blocks are shuffled, then the
            samples of each `WINDOW_BLOCKS` of them together. None shuffles everything together.
        rng: the epoch's.
    """
    if blocks is None or len(blocks) <= WINDOW_BLOCKS:
        return rng.permutation(positions)
    parts = np.split(positions, np.searchsorted(positions, blocks[1:]))
    turn = rng.permutation(len(parts))
    windows = [turn[start : start + WINDOW_BLOCKS] for start in range(0, len(turn), WINDOW_BLOCKS)]
    return np.concatenate([rng.permutation(np.concatenate([parts[i] for i in window])) for window in windows])
