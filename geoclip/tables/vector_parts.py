"""A file of a job that makes vectors in parts: as of `geoclip embed -o`, with a reason where there is no vector."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from geoclip.tables.vectors import METADATA_KEY, PART_ROWS, VECTOR, VectorSource, one_page_writer


class EmbeddedPhoto(NamedTuple):
    """A photo and its vector, or the reason why there is none."""

    query: str
    """The photo's name."""
    vector: NDArray[np.float32] | None
    """(dim,)"""
    error: str | None


class VectorPartWriter:
    """Writes rows; see `vector_part`."""

    def __init__(self, file: pq.ParquetWriter, schema: pa.Schema, dim: int) -> None:
        self._file, self._schema, self._dim = file, schema, dim
        self._waiting: list[EmbeddedPhoto] = []

    def write(self, row: EmbeddedPhoto) -> None:
        """Write one row."""
        self._waiting.append(row)
        if len(self._waiting) == PART_ROWS:
            self.write_group()

    def write_group(self) -> None:
        """Write the rows that wait."""
        if not self._waiting:
            return
        rows, self._waiting = self._waiting, []
        there = np.array([row.vector is not None for row in rows])
        vectors = np.zeros((len(rows), self._dim), dtype=np.float32)
        for at in np.flatnonzero(there).tolist():
            vectors[at] = rows[at].vector
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), self._dim, mask=pa.array(~there))
        names = pa.array([printable(row.query) for row in rows], pa.string())
        errors = pa.array([row.error for row in rows], pa.string())
        self._file.write_table(pa.Table.from_arrays([names, column, errors], schema=self._schema))


@contextmanager
def vector_part(file: BinaryIO, source: VectorSource, dim: int) -> Iterator[VectorPartWriter]:
    """Open a writer to a file: columns photo, vector (null where there is none) and error (null where there is one).

    Args:
        file: stays open.
        source: what makes the vectors, for the file's metadata.
        dim: of the vectors.
    """
    about = {name: value for name, value in asdict(source).items() if value is not None}
    schema = pa.schema(
        [("photo", pa.string()), (VECTOR, pa.list_(pa.float32(), dim)), ("error", pa.string())],
        metadata={METADATA_KEY: json.dumps(about).encode()},
    )
    with one_page_writer(file, schema) as opened:
        writer = VectorPartWriter(opened, schema, dim)
        yield writer
        writer.write_group()


def printable(name: str) -> str:
    """Return a file name as UTF-8, bytes that are none escaped: Parquet strings hold nothing else."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
