"""What the encoder's smooth part is at the nodes of a grid, one byte a number, so that a search need not compute it.

Of the parts that make up a location's vector those of long waves hardly change within kilometres. Their sum is stored
at the nodes of a fixed grid all over the land; between nodes the encoder interpolates. Which nodes those are, and what
the smooth part is, the encoder knows; here they are numbers with vectors.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.storage.manifest import BadIndexError
from index.storage.rows import Rows, with_sums

_SCALE_BYTES = 4
_STEPS = 127


def node_bytes(dim: int) -> int:
    """Return how many bytes a node takes, without its checksum."""
    return dim + _SCALE_BYTES


def nodes_on_disk(values: NDArray[np.float32]) -> bytes:
    """Return the values (M, dim) at nodes as a file of them holds them."""
    scales = (np.abs(values).max(axis=1, initial=1e-12, keepdims=True) / _STEPS).astype(np.float32)
    codes = np.rint(values / scales).astype(np.int8)
    return with_sums(np.concatenate((codes.view(np.uint8), scales.view(np.uint8)), axis=1)).tobytes()


class Nodes:
    """The nodes of an index, mapped into memory.

    Args:
        path: of the file, for messages.
        keys: (M,) int64, ascending, of the nodes.
        dim: of the vectors.
        mapped: what is opened, where that is another name of the file.

    Raises:
        ValueError: the file has another size.
    """

    def __init__(self, path: Path, keys: NDArray[np.int64], dim: int, *, mapped: Path | None = None) -> None:
        self.keys, self._dim = keys, dim
        self._rows = Rows(path, len(keys), node_bytes(dim), mapped=mapped)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.keys)

    def rows(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where the nodes of some keys (K,) are; -1 where they are not stored."""
        if not len(self):
            return np.full(len(keys), -1, np.int64)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[at] == keys, at, -1)

    def values(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the values (K, dim) at some nodes.

        Raises:
            BadIndexError: some are damaged, or cannot be.
        """
        codes, scales = self.coded(rows)
        values: NDArray[np.float32] = codes * scales
        return values

    def coded(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """Return the values at some nodes as they are stored: (K, dim), and (K, 1) what they are multiplied with.

        Raises:
            BadIndexError: some are damaged, or cannot be.
        """
        codes = self._rows.of(rows)
        scales = np.ascontiguousarray(codes[:, self._dim :]).view(np.float32)
        if not ((scales >= 0) & (scales < 1)).all():
            raise BadIndexError(f"{self._rows.path} holds scales that are not 0 to 1; build the index again.")
        return codes[:, : self._dim].view(np.int8), scales
