"""Which samples a run takes, in which order, and which of them each rank and batch gets. Pure.

A fraction and a held-out part are taken by hash, the same on every machine.

A sample's key is BLAKE2b (8 bytes) of its photo's name as the table has it; of `lat,lng` with six decimals where there
is no name. The low 32 bits, as a fraction of 2^32, must be below `fraction`; so 0.1 is a part of 0.2, whatever the
order of the rows. The high 32 bits decide alike what is held out for validation.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geoclip.errors import InputError

Keys = NDArray[np.uint64]
WINDOW_BLOCKS = 16
"""Shards whose samples are mixed: reading stays within so many files."""


def keys_of(names: pa.Array) -> Keys:
    """Return the key of each name, text."""
    digests = (hashlib.blake2b(name, digest_size=8).digest() for name in names.cast(pa.binary()).to_pylist())
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def place_names(lat_lng: NDArray[np.float64]) -> pa.Array:
    """Return what is hashed of samples without names, (N, 2) degrees."""
    return pa.array([f"{lat:.6f},{lng:.6f}" for lat, lng in lat_lng.tolist()], pa.string())


def chosen(keys: Keys, fraction: float) -> NDArray[np.bool_]:
    """Return which samples belong to a fraction of the data.

    Raises:
        InputError: the fraction is not above 0 and at most 1.
    """
    if not 0 < fraction <= 1:
        raise InputError(f"fraction is {fraction}; it must be above 0 and at most 1.")
    result: NDArray[np.bool_] = (keys & 0xFFFFFFFF) < np.uint64(round(fraction * 2**32))
    return result


def held_out(keys: Keys, val_fraction: float) -> NDArray[np.bool_]:
    """Return which samples are held out for validation.

    Raises:
        InputError: the fraction is not from 0 to below 1.
    """
    if not 0 <= val_fraction < 1:
        raise InputError(f"val_fraction is {val_fraction}; it must be from 0 to below 1.")
    result: NDArray[np.bool_] = (keys >> np.uint64(32)) < np.uint64(round(val_fraction * 2**32))
    return result


def sample_seeds(rows: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.uint64]:
    """Return a seed for each sample in an epoch, whichever rank or process handles it (splitmix64's finaliser)."""
    start = int.from_bytes(hashlib.blake2b(f"{seed},{epoch}".encode(), digest_size=8).digest(), "little")
    x = rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(start)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    result: NDArray[np.uint64] = x ^ (x >> np.uint64(31))
    return result


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
