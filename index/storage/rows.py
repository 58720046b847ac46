"""Rows of bytes on disk, mapped into memory: each ends with its own checksum, and is checked when it is first read."""

from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from index.storage.manifest import BadIndexError

SUM_BYTES = 4


def with_sums(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return rows (N, bytes) with the checksum of each behind it."""
    sums = np.array([crc32(row) for row in np.ascontiguousarray(rows)], np.uint32)
    return np.concatenate((rows, sums.view(np.uint8).reshape(-1, SUM_BYTES)), axis=1)


class Rows:
    """The rows of a file.

    Args:
        path: of the file, for messages.
        count: how many rows there are.
        width: bytes of a row without its checksum.
        mapped: what is opened, where that is another name of the file.

    Raises:
        ValueError: the file has another size.
    """

    def __init__(self, path: Path, count: int, width: int, *, mapped: Path | None = None) -> None:
        mapped, whole = mapped or path, width + SUM_BYTES
        if mapped.stat().st_size != count * whole:
            raise ValueError(f"it has {mapped.stat().st_size} bytes; {count} rows take {count * whole}")
        self.path, self._width = path, width
        content = np.memmap(mapped, np.uint8, "r", shape=(count, whole)) if count else np.zeros((0, whole), np.uint8)
        self._content = np.asarray(content)  # rows of a plain array are taken faster
        self._unchecked = np.ones(count, np.bool_)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._content)

    def of(self, rows: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Return some rows (R, width).

        Raises:
            BadIndexError: some are damaged.
        """
        content = self._content[rows]
        fresh = np.flatnonzero(self._unchecked[rows])
        if len(fresh):
            sums = np.ascontiguousarray(content[fresh, self._width :]).view(np.uint32)[:, 0]
            for at, row in enumerate(np.ascontiguousarray(content[fresh, : self._width])):
                if crc32(row) != sums[at]:
                    raise BadIndexError(
                        f"{self.path} is damaged: row {rows[fresh[at]]} differs from its checksum; copy the index "
                        "again or build it again."
                    )
            self._unchecked[rows[fresh]] = False
        found: NDArray[np.uint8] = content[:, : self._width]
        return found
