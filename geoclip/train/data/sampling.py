"""Which samples a run takes: a fraction and a held-out part, by hash, the same on every machine.

A sample's key is BLAKE2b (8 bytes) of its photo's name as the table has it; of `lat,lng` with six decimals where there
is no name. The low 32 bits, as a fraction of 2^32, must be below `fraction`; so 0.1 is a part of 0.2, whatever the
order of the rows. The high 32 bits decide alike what is held out for validation.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from geoclip.errors import InputError

Keys = NDArray[np.uint64]


def keys_of(names: Iterable[bytes]) -> Keys:
    """Return the key of each name."""
    return np.frombuffer(b"".join(hashlib.blake2b(name, digest_size=8).digest() for name in names), dtype="<u8").astype(
        np.uint64
    )


def place_names(lat_lng: NDArray[np.float64]) -> list[bytes]:
    """Return what is hashed of samples without names, (N, 2) degrees."""
    return [f"{lat:.6f},{lng:.6f}".encode() for lat, lng in lat_lng.tolist()]


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
