"""Files of vectors: Parquet with what they are vectors of, written so that a stopped run can go on.

Columns: what identifies a row (`photo`, or `lat` and `lng`), then `vector`, a fixed-size list of float32 of unit
length. The schema's metadata holds a `VectorSource` under the key `geoclip`.

Files of features, what CLIP's tower gives before the trained perceptron, have the columns `photo`, `view` (0 is the
photo as `geoclip locate` sees it, the others are augmented) and `feature`, a fixed-size list of float16 of any length.
The views of a photo follow each other. Each row group's features are one uncompressed page, so that they can be mapped.
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from geoclip.errors import InputError
from geoclip.files import is_stream, saying, written_whole
from geoclip.journal import Journal

T = TypeVar("T")

VECTOR, FEATURE = "vector", "feature"
FEATURES = "features"
METADATA_KEY = b"geoclip"
PART_ROWS = 4096
PART_SECONDS = 60.0


@dataclass(frozen=True)
class VectorSource:
    """What made the vectors of a file."""

    kind: str
    """`photos`, `coordinates` or `features`."""
    model_digest: str
    """Of the release whose encoders made them; of features, of CLIP's tower (see `geoclip.train.data.extract`)."""
    precision: str
    """`fp32` or `bf16`: the arithmetic they were made in."""
    version: int = 1
    views: int | None = None
    """Of each photo; for features only."""
    seed: int | None = None
    """Of the augmented views; for features only."""
    means: bool | None = None
    """Whether each is the mean of several unit vectors, as of photos of one place, whose length means something."""


class ResumableVectors:
    """Writes vectors in parts beside the target; `finish` joins them under the target's name.

    A part is written whole or not at all, at least once a minute, so a stopped run loses at most a minute. A complete
    file can be gone on with too: what was added at the end of the inputs, and what failed, is added to it. Use as a
    context manager; leaving it writes what is waiting.

    Args:
        target: the Parquet file to make.
        columns: names and types of the columns before the vectors.
        source: what makes the vectors. Of the kind `features`, the file is one of features.
        options: what else they depend on, beside the inputs; all must be the same when a run is resumed.
        resume: go on with a stopped run, if there is one.

    Raises:
        InputError: parts of a stopped run are there and `resume` is not set, or it was another run.
    """

    def __init__(
        self,
        target: Path,
        columns: dict[str, pa.DataType],
        source: VectorSource,
        options: Mapping[str, Any] = MappingProxyType({}),
        *,
        resume: bool,
    ) -> None:
        self._target, self._folder, self._columns = target, target.with_name(target.name + ".parts"), columns
        self._features, self._views = source.kind == FEATURES, source.views or 1
        about = {name: value for name, value in asdict(source).items() if value is not None}
        self._metadata = {METADATA_KEY: json.dumps(about).encode()}
        if resume and is_stream(target):
            raise InputError(f"{target} is not a file that a run can go on with; leave --resume out.")
        if self._folder.exists() and not resume:
            raise InputError(f"{self._folder} holds a stopped run; continue it with --resume, or delete that folder.")
        self._journal = Journal(
            target, about | dict(options), resume=resume and (self._folder.exists() or target.exists())
        )
        for part in self._parts()[self._journal.kept.size :]:
            part.unlink()
        self._waiting: list[tuple[tuple[Any, ...], NDArray[np.float32]]] = []
        self._whole = 0  # of those that wait: rows of whole batches
        self._begun, self._last_write = False, time.monotonic()

    def __enter__(self) -> "ResumableVectors":
        return self

    def __exit__(self, *exception: object) -> None:
        self._write_part()

    def remaining(self, inputs: Iterable[T], key: Callable[[T], tuple[bytes, bytes]], batch: int = 1) -> Iterator[T]:
        """Yield the inputs that are not embedded yet; see `Journal.remaining`."""
        return self._journal.remaining(inputs, key, batch)

    @property
    def done(self) -> int:
        """How many inputs were done before."""
        return self._journal.kept.done

    def add(self, row: tuple[Any, ...], vector: NDArray[np.float32]) -> None:
        """Append one row, of the next of the `remaining` inputs: the values of the columns, and the vector (D,)."""
        self.add_together([(row, vector)])

    def add_together(self, rows: Sequence[tuple[tuple[Any, ...], NDArray[np.float32]]]) -> None:
        """Append the rows of the next of the `remaining` inputs; a stopped run has all of them or none.

        An input without rows has failed and is tried again when the run is gone on with.
        """
        if not self._begun:
            self._journal.save(self._journal.kept.size)  # that of an older run is no longer true
            self._begun = True
        self._waiting.extend(rows)
        if self._journal.finished(failed=not rows):
            self._whole = len(self._waiting)
            if self._whole >= PART_ROWS or time.monotonic() - self._last_write > PART_SECONDS:
                self._write_part()

    def finish(self) -> int:
        """Join the parts under the target's name, remove them, and return the number of rows."""
        self._journal.complete()
        self._whole = len(self._waiting)
        self._write_part()
        if not (parts := self._parts()):
            return pq.read_metadata(self._target).num_rows if self.done else 0
        schema, rows = pq.read_schema(parts[0]), 0
        with written_whole(self._target) as temporary, one_page_writer(temporary, schema) as writer:
            for table in _regrouped(parts, schema, PART_ROWS // self._views * self._views):
                writer.write_table(table)
                rows += len(table)
        if is_stream(self._target):  # nothing that can be gone on with
            self._journal.remove()
        else:
            self._journal.save(0)
        shutil.rmtree(self._folder)
        return rows

    def _parts(self) -> list[Path]:
        return sorted(self._folder.glob("[0-9]*.parquet"))

    def _write_part(self) -> None:
        if self._whole:
            with saying(self._folder):
                self._folder.mkdir(parents=True, exist_ok=True)
                if self.done and not self._journal.kept.size and not self._parts():
                    self._begin_with_target()
            table = self._table(self._waiting[: self._whole])
            with written_whole(self._folder / f"{len(self._parts()):06d}.parquet") as temporary:
                pq.write_table(table, temporary, compression="none", use_dictionary=False)
            self._journal.save(len(self._parts()))
        self._waiting, self._whole, self._last_write = self._waiting[self._whole :], 0, time.monotonic()

    def _begin_with_target(self) -> None:
        """Make the complete file the first part, beside which it stays until it is replaced."""
        first = self._folder / f"{0:06d}.parquet"
        try:
            os.link(self._target, first)
        except OSError:  # a file system without links
            shutil.copyfile(self._target, first)

    def _table(self, waiting: Sequence[tuple[tuple[Any, ...], NDArray[np.float32]]]) -> pa.Table:
        rows, vectors = zip(*waiting, strict=True)
        with np.errstate(over="ignore"):  # is said below
            stacked = np.stack(vectors).astype(np.float16 if self._features else np.float32)
        if self._features and not np.isfinite(stacked).all():
            raise InputError("A feature is not finite in float16; check the weights of the tower that makes them.")
        arrays = [
            pa.array(values, type=kind)
            for values, kind in zip(zip(*rows, strict=True), self._columns.values(), strict=True)
        ]
        arrays.append(pa.FixedSizeListArray.from_arrays(pa.array(stacked.reshape(-1)), stacked.shape[1]))
        fields = [pa.field(name, kind) for name, kind in self._columns.items()]
        fields.append(feature_field(stacked.shape[1]) if self._features else pa.field(VECTOR, arrays[-1].type))
        return pa.Table.from_arrays(
            [array.cast(field.type) for array, field in zip(arrays, fields, strict=True)],
            schema=pa.schema(fields, metadata=self._metadata),
        )


def _regrouped(parts: Sequence[Path], schema: pa.Schema, rows: int) -> Iterator[pa.Table]:
    """Yield the rows of files in tables of `rows`, the last of what is left, whenever the files were written."""
    waiting = schema.empty_table()
    for part in parts:
        with pq.ParquetFile(part) as file:
            for batch in file.iter_batches(rows):
                waiting = pa.concat_tables([waiting, pa.Table.from_batches([batch]).cast(schema)])
                if len(waiting) >= rows:
                    yield waiting[:rows].combine_chunks()
                    waiting = waiting[rows:]
    if len(waiting):
        yield waiting.combine_chunks()


def feature_field(dim: int) -> pa.Field:
    """Return the column of features of `dim` numbers each."""
    return pa.field(FEATURE, pa.list_(pa.field("element", pa.float16(), nullable=False), dim), nullable=False)


def one_page_writer(path: Path | BinaryIO, schema: pa.Schema) -> pq.ParquetWriter:
    """Open a Parquet file in which each table that is written becomes one row group of one page a column."""
    return pq.ParquetWriter(path, schema, compression="none", use_dictionary=False, data_page_size=1 << 30)


def source_of(schema: pa.Schema) -> VectorSource | None:
    """Return what a file's schema says of its vectors; None if nothing.

    Raises:
        InputError: it is from another version.
    """
    text = (schema.metadata or {}).get(METADATA_KEY)
    try:
        return None if text is None else VectorSource(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise InputError("The file of vectors comes from another version of this program; make it again.") from error
