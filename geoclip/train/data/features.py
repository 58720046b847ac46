"""Cached features: a Parquet file read where its vectors lie, and its photos with their places.

`geoclip embed --features` writes each row group's vectors as one uncompressed page, so a row is found by its number and
nothing is decoded. A file that another program wrote anew (labels added, compressed) is copied once into the cache.
"""

import hashlib
import logging
import mmap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor

from geoclip.errors import InputError
from geoclip.files import cache_dir, written_whole
from geoclip.tables.bad_rows import BadRows, Reason
from geoclip.tables.columns import Columns, MissingColumnError
from geoclip.tables.coordinates import as_text, judge, refuse_plane
from geoclip.tables.names import rows_of
from geoclip.tables.rows import plain, reading
from geoclip.tables.vectors import FEATURE, FEATURES, VectorSource, feature_field, one_page_writer, source_of
from geoclip.train.data.entries import Entries, batch_of, kept
from geoclip.train.data.sampling import place_names

VIEW = "view"
_BATCH_ROWS = 1 << 16
_PAGE_HEADER_BYTES = 256
"""No page header is longer: it holds a dozen numbers. A row of 768 float16 is."""
_DTYPE = np.dtype(np.float16)
_log = logging.getLogger(__name__)


class FeatureFile:
    """The vectors of a features file.

    Raises:
        InputError: the file cannot be read, or holds no features of this program.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with pq.ParquetFile(path) as file:
                schema = file.schema_arrow
                source = source_of(schema)
                if FEATURE not in schema.names or source is None or source.kind != FEATURES:
                    raise InputError(f"{path} holds no features; make them with `geoclip embed PHOTOS --features`.")
                self.source: VectorSource = source
                self.rows = file.metadata.num_rows
                kind = schema.field(FEATURE).type
            if not pa.types.is_fixed_size_list(kind) or not pa.types.is_floating(kind.value_type):
                raise InputError(f"{path}: column {FEATURE} holds {kind}; expected lists of equal length.")
            self.dim = kind.list_size
            if (starts := self._starts(path)) is None:
                path = self._copied(path)
                starts = self._starts(path)
        except FileNotFoundError as error:
            raise InputError(f"{path} does not exist; check the path.") from error
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}") from error
        if starts is None:
            raise InputError(f"{path} cannot be mapped; make it again with `geoclip embed --features`.")
        self._groups, self._offsets = starts
        with path.open("rb") as content:
            self._bytes = memoryview(mmap.mmap(content.fileno(), 0, access=mmap.ACCESS_READ))

    def gather(self, rows: NDArray[np.int64]) -> Tensor:
        """Return the vectors of rows (B,) as (B, D) float32."""
        width = self.dim * _DTYPE.itemsize
        groups = np.searchsorted(self._groups, rows, side="right") - 1
        starts = (self._offsets[groups] + (rows - self._groups[groups]) * width).tolist()
        content = bytearray().join([self._bytes[start : start + width] for start in starts])
        vectors = np.frombuffer(content, dtype=_DTYPE).reshape(len(rows), self.dim)
        return torch.from_numpy(vectors).to(torch.float32)

    def _starts(self, path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
        """Return the first row of each row group and the file offset of its vectors; None if they are not one run."""
        width = self.dim * _DTYPE.itemsize
        first, offsets, row = [], [], 0
        with pq.ParquetFile(path) as file, path.open("rb") as content:
            if file.schema_arrow.field(FEATURE) != feature_field(self.dim):  # float16, and none is missing
                return None
            paths = [file.schema.column(i).path for i in range(len(file.schema))]
            column = next(i for i, path in enumerate(paths) if path.split(".")[0] == FEATURE)
            for number in range(file.metadata.num_row_groups):
                group = file.metadata.row_group(number)
                chunk = group.column(column)
                if chunk.compression != "UNCOMPRESSED" or chunk.has_dictionary_page:
                    return None
                content.seek(chunk.data_page_offset)
                page = _page_bytes(content.read(_PAGE_HEADER_BYTES))
                if not 0 < chunk.total_compressed_size - page <= _PAGE_HEADER_BYTES:  # more pages than one
                    return None
                first.append(row)
                # the values end the page, behind the lengths of the lists
                offsets.append(chunk.data_page_offset + chunk.total_compressed_size - group.num_rows * width)
                row += group.num_rows
        return np.array(first, dtype=np.int64), np.array(offsets, dtype=np.int64)

    def _copied(self, path: Path) -> Path:
        """Return a copy in the cache with the layout that can be mapped."""
        status = path.stat()
        key = f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}"
        copy = cache_dir() / "features" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.parquet"
        if not copy.exists():
            _log.warning("%s was written by another program; its features are copied to %s, once.", path, copy)
            schema = pa.schema([feature_field(self.dim)])
            with (
                written_whole(copy) as temporary,
                one_page_writer(temporary, schema) as writer,
                pq.ParquetFile(path) as file,
            ):
                for batch in file.iter_batches(4096, columns=[FEATURE]):
                    if batch.column(0).null_count or batch.column(0).flatten().null_count:
                        raise InputError(f"{path}: column {FEATURE} has missing values; every row needs a vector.")
                    writer.write_table(pa.Table.from_batches([batch]).cast(schema))
        return copy


def _page_bytes(header: bytes) -> int:
    """Return the size of a page's content from its header (Thrift's compact protocol).

    The header begins with three numbers, fields 1 to 3: the kind of page, its size, its compressed size.
    """
    position, value = 0, 0
    for _ in range(3):
        position, value = position + 1, 0
        for shift in range(0, 35, 7):
            byte = header[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
    return value >> 1  # zigzag, never negative here


def feature_entries(path: Path, labels: tuple[Path, Entries] | None, columns: Columns, rejected: Path) -> Entries:
    """Return the photos of a features file that have a place; entries have also `views`, their number.

    Args:
        path: the features.
        labels: the table of places and its entries, see `geoclip.tables.names`; None where the file has them. The names
            in the labels then are the samples' names.
        columns: of the features file.
        rejected: where to write bad rows.

    Raises:
        InputError: no places, a label that several photos could mean, or views out of order.
    """
    files = [path, *([labels[0]] if labels else [])]
    read = _labelled if labels else _placed
    return kept(files, f"features {columns}", lambda bad: read(path, labels and labels[1], columns, bad), rejected)


def _placed(path: Path, _: Entries | None, columns: Columns, bad: BadRows) -> Iterator[pa.RecordBatch]:
    """Yield the photos of a file that has their places."""
    with reading(path), pq.ParquetFile(path) as file:
        header = file.schema_arrow.names
        try:
            found = columns.find(header, path)
        except MissingColumnError as error:
            raise InputError(f"{error} Or name a table of the photos' places with `labels`.") from error
        wanted = [header[at] for at in (found.lat, found.lng, found.photo) if at is not None]
        first, views = _views(file, path)
        start = 0
        for batch in file.iter_batches(_BATCH_ROWS, columns=wanted):
            here = slice(*np.searchsorted(first, (start, start + len(batch))))
            part = batch.take(pa.array(first[here] - start))
            start += len(batch)
            lat, lng, *named = (plain(part.column(name)) for name in wanted)
            bad.rows += len(part)
            judged = judge(first[here] + 1, as_text(named[0]) if named else None, lat, lng, bad)
            if found.plane:
                refuse_plane(path, bad)
            rows, lat_lng, names = judged.places()
            counts = pa.array(views[here][judged.good], type=pa.int64())
            yield batch_of(rows, lat_lng, place_names(lat_lng) if names is None else names, views=counts)


def _labelled(path: Path, labels: Entries | None, columns: Columns, bad: BadRows) -> Iterator[pa.RecordBatch]:
    """Yield the photos of a file that have a label."""
    assert labels is not None
    with reading(path), pq.ParquetFile(path) as file:
        header = file.schema_arrow.names
        if (photo := columns.find_photo(header, path)) is None:
            raise columns.no_photo(header, path)
        first, views = _views(file, path)
        column = file.read(columns=[header[photo]])[header[photo]].combine_chunks().take(pa.array(first))
        names, known = as_text(plain(column)), labels.table["name"].combine_chunks()
    bad.rows += len(names)
    found = rows_of(names, known)
    for photo_at in np.flatnonzero(found < 0).tolist():
        bad.reject(int(first[photo_at]) + 1, Reason.NO_LABEL, names[photo_at].as_py())
    there = np.flatnonzero(found >= 0)
    for start in range(0, len(there), _BATCH_ROWS):
        at = there[start : start + _BATCH_ROWS]
        views_of = pa.array(views[at], type=pa.int64())
        yield batch_of(first[at] + 1, labels.lat_lng[found[at]], known.take(pa.array(found[at])), views=views_of)


def _views(file: pq.ParquetFile, path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first row of each photo, ascending, and how many rows it has.

    Raises:
        InputError: a photo's views do not follow each other from 0.
    """
    rows = file.metadata.num_rows
    if VIEW not in file.schema_arrow.names:
        return np.arange(rows, dtype=np.int64), np.ones(rows, dtype=np.int64)
    view = file.read(columns=[VIEW])[VIEW].cast(pa.int64()).to_numpy()
    before = np.concatenate(([-1], view[:-1]))
    if ((view != 0) & (view != before + 1)).any() or (rows and view[0] != 0):
        raise InputError(f"{path}: the views of a photo must be rows 0, 1, ... after each other; keep embed's order.")
    first = np.flatnonzero(view == 0)
    return first, np.diff(first, append=rows)
