"""Reads files of vectors: Parquet and numpy's .npy."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from geoclip.errors import InputError
from geoclip.tables.bad_rows import BadRows, OnProblem, Reason, logged
from geoclip.tables.columns import Columns, shown
from geoclip.tables.coordinates import as_text
from geoclip.tables.rows import plain, reading
from geoclip.tables.vectors import VECTOR, source_of

VECTOR_SUFFIXES = (".parquet", ".pq", ".npy", ".npz")
"""Of which the last is refused in words."""
_READ_ROWS = 1024
_ERROR = "error"
"""The column of files made in parts that says why a row has no vector."""
_TOLERANCE = 0.01
"""How far from 1 a length may be without a word."""


class VectorBatch(NamedTuple):
    """Some rows of a file of vectors."""

    names: list[str]
    """The photo; or `lat,lng`; or the row's number in the file."""
    vectors: NDArray[np.float32]
    """(N, dim)."""
    rows: NDArray[np.int64]
    """(N,) where they stand in the file, from 0."""


class _Read(NamedTuple):
    """Some rows as they stand in a file."""

    batch: VectorBatch
    there: NDArray[np.bool_]
    """(N,) whether a row has a vector; it is NaN where it has none."""
    said: list[str | None]
    """(N,) what the file says of why it has none."""


class VectorFile:
    """A file of vectors; iterating reads it in batches, as often as wanted.

    Vectors come at length 1, whatever their length in the file; only where the file or the caller says that they are
    means those shorter than 1 stay. Rows that are not finite or have length 0 are left out. Both is said, once.

    Args:
        path: .parquet with a column `vector` (list of `dim` numbers), or .npy of shape (N, dim).
        dim: the length that vectors must have.
        model_digest: of the model they will be compared with; a file that names another is refused.
        means: they are means of several vectors of length 1; a .npy cannot say so itself.
        on_problem: told of rows that are left out, and of other lengths.
        content: of the file, where that is at hand: `path` says then what to call it, and which format it has.

    Raises:
        InputError: the file cannot be read, has another shape, comes from another model or, when its last batch has
            been taken, has no vector that can be used.
    """

    def __init__(
        self,
        path: Path,
        *,
        dim: int,
        model_digest: str,
        means: bool = False,
        on_problem: OnProblem = logged,
        content: bytes | None = None,
    ) -> None:
        self.path, self.dim, self._on_problem, self._content = path, dim, on_problem, content
        self._means, self._said, self._lengths_said = means, False, False
        self.named = False
        """Whether the rows have names of their own, not only numbers."""
        self.rows = self.left_out = 0
        """How many there are, and how many of them cannot be used, when the last batch has been taken."""
        if path.suffix.lower() in (".npy", ".npz"):
            self._batches: Callable[[], Iterator[_Read]] = self._of_npy
            return
        if path.suffix.lower() not in VECTOR_SUFFIXES:
            raise InputError(f"{path} is not a file of vectors; give .parquet (from `geoclip embed`) or .npy.")
        self._batches = self._of_parquet
        with reading(path):
            schema = pq.read_schema(self._source())
        if schema.names.count(VECTOR) != 1:
            raise InputError(f"{path} has the columns {shown(schema.names)}; one called {VECTOR} is needed.")
        source = source_of(schema)
        if source is not None and source.model_digest != model_digest:
            raise InputError(f"{path} was made by another model than the one searched; embed its inputs again.")
        self._means = means or (source is not None and bool(source.means))
        self._photo = Columns().find_photo(schema.names, path)
        self.named = self._photo is not None or {"lat", "lng"} <= set(schema.names)

    def __iter__(self) -> Iterator[VectorBatch]:
        """Yield the vectors that can be used."""
        bad = BadRows()
        for (names, vectors, rows), reasons, _ in self._judged():
            for at, reason in enumerate(reasons):
                if reason is not None:
                    bad.reject(int(rows[at]) + 1, reason, names[at])
            bad.rows += len(names)
            good = np.array([reason is None for reason in reasons], dtype=bool)
            kept = names if good.all() else [name for name, use in zip(names, good, strict=True) if use]
            yield VectorBatch(kept, vectors[good], rows[good])
        self.rows, self.left_out = bad.rows, bad.total
        bad.settle(self.path, on_problem=(lambda _: None) if self._said else self._on_problem)
        self._said = True

    def all_rows(self) -> Iterator[tuple[VectorBatch, list[str | None]]]:
        """Yield all rows, and of each why it cannot be used; None where it can.

        The reason is the file's own, where it has a column `error`. A file of none that can be used is read too.
        """
        for batch, reasons, said in self._judged():
            pairs = zip(reasons, said, strict=True)
            yield batch, [reason and (own or f"T{reason[1:]}.") for reason, own in pairs]

    def _judged(self) -> Iterator[tuple[VectorBatch, list[Reason | None], list[str | None]]]:
        """Yield all rows with the vectors as they are used, why they cannot be, and what the file says of that."""
        with reading(self.path):
            for (names, vectors, rows), there, said in self._batches():
                lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
                good = np.isfinite(lengths) & (lengths > 0)
                self._say_lengths(lengths[good])
                scale = np.where(good & ((lengths > 0.999) | (not self._means)), lengths, 1.0)
                reasons: list[Reason | None] = [None] * len(names)
                for at in np.flatnonzero(~good).tolist():
                    wrong = Reason.NO_LENGTH if lengths[at] == 0 else Reason.VECTOR
                    reasons[at] = wrong if there[at] else Reason.NO_VECTOR
                yield VectorBatch(names, (vectors / scale[:, None]).astype(np.float32), rows), reasons, said

    def _source(self) -> Path | pa.BufferReader:
        return self.path if self._content is None else pa.BufferReader(self._content)

    def _say_lengths(self, lengths: NDArray[np.float64]) -> None:
        other = lengths[np.abs(lengths - 1) > _TOLERANCE]
        if len(other) and not (self._means or self._lengths_said):
            self._lengths_said = True
            self._on_problem(
                f"{self.path} holds vectors of other lengths than 1, such as {other[0]:.3g}; they are brought to "
                "length 1. Means of several vectors keep their lengths in a file that says so, or with --means."
            )

    def _of_npy(self) -> Iterator[_Read]:
        try:
            if self._content is None:
                array = np.load(self.path, mmap_mode="r", allow_pickle=False)
            else:
                array = np.load(io.BytesIO(self._content), allow_pickle=False)
        except OSError:
            raise
        except Exception as error:  # numpy's header is Python, and so are the errors of reading it
            raise ValueError(str(error)) from error
        if not isinstance(array, np.ndarray):
            raise InputError(f"{self.path} holds several arrays (.npz); save the one of vectors with numpy.save.")
        if array.ndim != 2 or array.shape[1] != self.dim or array.dtype.kind != "f":
            raise InputError(
                f"{self.path} holds {array.dtype} of shape {array.shape}; expected floats of shape (N, {self.dim})."
            )
        for start in range(0, len(array), _READ_ROWS):
            vectors = np.asarray(array[start : start + _READ_ROWS], dtype=np.float32)
            rows = np.arange(start, start + len(vectors))
            batch = VectorBatch([str(row) for row in rows.tolist()], vectors, rows)
            yield _Read(batch, np.ones(len(rows), dtype=bool), [None] * len(rows))

    def _of_parquet(self) -> Iterator[_Read]:
        with pq.ParquetFile(self._source()) as file:
            header = file.schema_arrow.names
            by = [header[self._photo]] if self._photo is not None else ["lat", "lng"] if self.named else []
            says = [_ERROR] if header.count(_ERROR) == 1 and _ERROR not in by else []
            start = 0
            for batch in file.iter_batches(_READ_ROWS, columns=[*by, *says, VECTOR]):
                rows = np.arange(start, start + len(batch))
                start += len(batch)
                if self._photo is not None:
                    names = [str(name) for name in as_text(plain(batch.column(by[0]))).to_pylist()]
                elif by:
                    pairs = zip(*(batch.column(name).to_pylist() for name in by), strict=True)
                    names = [f"{lat:.6f},{lng:.6f}" for lat, lng in pairs]
                else:
                    names = [str(row) for row in rows.tolist()]
                column = batch.column(VECTOR)
                said = as_text(plain(batch.column(_ERROR))).to_pylist() if says else [None] * len(batch)
                there = np.array(column.is_valid(), dtype=bool)
                yield _Read(VectorBatch(names, self._matrix(column), rows), there, said)

    def _matrix(self, column: pa.Array) -> NDArray[np.float32]:
        """Return vectors (N, dim); a row without one is NaN."""
        lengths = pc.list_value_length(column)
        if pc.any(pc.not_equal(lengths, self.dim)).as_py():
            raise InputError(f"{self.path}: the vectors do not have {self.dim} numbers each.")
        there = np.array(column.is_valid(), dtype=bool)
        matrix = np.full((len(column), self.dim), np.nan, dtype=np.float32)
        flat = column.drop_null().flatten().cast(pa.float32()).to_numpy(zero_copy_only=False)
        matrix[there] = flat.reshape(-1, self.dim)
        return matrix
