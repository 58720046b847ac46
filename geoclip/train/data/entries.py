"""The samples of a source that can be used, kept in an Arrow file in the cache and memory-mapped from there.

Reading a table of millions takes seconds to minutes once; later runs and other ranks map its entries.
They are made anew when a source file's size or time has changed.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geoclip.errors import InputError
from geoclip.files import cache_dir, written_whole
from geoclip.tables.bad_rows import BadRows, Reason
from geoclip.tables.columns import Columns
from geoclip.tables.coordinates import PhotoNames, read_places
from geoclip.train.data.sampling import keys_of

_FORMAT = 2
_FIELDS = [
    ("row", pa.int64()),
    ("lat", pa.float64()),
    ("lng", pa.float64()),
    ("key", pa.uint64()),
    ("name", pa.string()),
]


@dataclass(frozen=True)
class Entries:
    """Samples that can be used, in the order of their source."""

    table: pa.Table
    """Memory-mapped: row (from 0), lat, lng, key, name, and what the kind of source adds."""
    rows_read: int
    bad: dict[Reason, int]
    rejected: Path | None
    """Where the bad rows were written; None if there are none."""

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def lat_lng(self) -> NDArray[np.float64]:
        """(N, 2) degrees."""
        lat_lng = np.empty((len(self), 2))
        for axis, column in enumerate(("lat", "lng")):
            lat_lng[:, axis] = self.table[column]
        return lat_lng

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """(N,) where each sample stands in its source."""
        return self.numbers("row")

    def numbers(self, column: str) -> NDArray[Any]:
        """Return a column of numbers as an array (N,)."""
        return np.asarray(self.table[column].to_numpy())

    def name(self, position: int) -> str:
        """Return the photo's name as its source has it."""
        name: str = self.table["name"][position].as_py()
        return name


def table_entries(path: Path, columns: Columns, rejected: Path) -> Entries:
    """Return the places of photos in a table; see `kept` and `geoclip.tables.coordinates.read_places`."""

    def read(bad: BadRows) -> Iterator[pa.RecordBatch]:
        for rows, lat_lng, names in read_places(path, columns, bad, photos=PhotoNames.NEED):
            yield batch_of(rows, lat_lng, names)

    return kept([path], f"table {columns}", read, rejected)


def batch_of(
    rows: NDArray[np.int64], lat_lng: NDArray[np.float64], names: pa.Array, **more: pa.Array
) -> pa.RecordBatch:
    """Return some entries as `kept` takes them; rows are numbered from 1."""
    columns = [
        rows - 1,
        np.ascontiguousarray(lat_lng[:, 0]),
        np.ascontiguousarray(lat_lng[:, 1]),
        keys_of(names),
        names,
    ]
    arrays = [pa.array(column, type=kind) for column, (_, kind) in zip(columns, _FIELDS, strict=True)]
    return pa.RecordBatch.from_arrays([*arrays, *more.values()], names=[*(name for name, _ in _FIELDS), *more])


def kept(
    files: Sequence[Path], options: str, read: Callable[[BadRows], Iterator[pa.RecordBatch]], rejected: Path
) -> Entries:
    """Return the entries of a source, from the cache or read anew.

    Args:
        files: what is read; all of them must exist.
        options: how it is read; another way is another cache file.
        read: yields entries (see `batch_of`), noting the others in what it is given.
        rejected: the CSV file for bad rows, see `BadRows.write`. Where it cannot be written it goes to the cache.

    Raises:
        InputError: a file does not exist or holds no sample, or what `read` raises, or the cache cannot be written.
    """
    stamp = [_FORMAT, *(part for file in files for part in _stamp(file))]
    name = hashlib.sha256("\0".join([options, *(str(file.resolve()) for file in files)]).encode()).hexdigest()[:32]
    arrow, about = (cache_dir() / "entries" / f"{name}.{suffix}" for suffix in ("arrow", "json"))
    entries = _opened(arrow, about, stamp)
    if entries is not None and (entries.rejected is None or entries.rejected in (rejected, arrow.with_suffix(".csv"))):
        return entries
    bad = BadRows()
    with written_whole(arrow) as temporary:
        _write(temporary, read(bad))
        where = _write_rejected(bad, rejected, arrow.with_suffix(".csv"))
        bad.settle(files[0], then=f"They are left out, and listed in {where}.")
    described = {"stamp": stamp, "rows": bad.rows, "bad": bad.counts, "rejected": where and str(where)}
    with written_whole(about) as temporary:
        temporary.write_text(json.dumps(described), encoding="utf-8")
    return Entries(_mapped(arrow), bad.rows, dict(bad.counts), where)


def _opened(arrow: Path, about: Path, stamp: list[int]) -> Entries | None:
    """Return what the cache holds, if it is of these files as they are and its list of bad rows is there."""
    try:
        described = json.loads(about.read_text(encoding="utf-8"))
        if described["stamp"] != stamp:
            return None
        where = Path(described["rejected"]) if described["rejected"] else None
        if where is not None and not where.exists():
            return None
        bad = {Reason(reason): count for reason, count in described["bad"].items()}
        return Entries(_mapped(arrow), described["rows"], bad, where)
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):  # not there, or from another version
        return None


def _stamp(file: Path) -> tuple[int, int]:
    try:
        status = file.stat()
    except OSError as error:
        raise InputError(f"{file} cannot be opened: {error.strerror}; check the path.") from error
    return status.st_size, status.st_mtime_ns


def _write(path: Path, batches: Iterator[pa.RecordBatch]) -> None:
    first = next(batches, None)
    schema = pa.schema(_FIELDS) if first is None else first.schema
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        if first is not None:
            writer.write_batch(first)
        for batch in batches:
            writer.write_batch(batch)


def _mapped(path: Path) -> pa.Table:
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def _write_rejected(bad: BadRows, wanted: Path, fallback: Path) -> Path | None:
    if not bad.total:
        return None
    try:
        bad.write(wanted)
    except InputError:
        bad.write(fallback)
        return fallback
    return wanted
