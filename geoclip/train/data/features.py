"""The photos of a features file as entries, with their places from the file itself or from a table of labels."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from geoclip.errors import InputError
from geoclip.train.data.checks import RowCounts, usable
from geoclip.train.data.columns import Columns
from geoclip.train.data.entries import Entries, batch_of, kept
from geoclip.train.data.lookup import Lookup
from geoclip.train.data.rows import as_binary, numbers_or_binary
from geoclip.train.data.sampling import keys_of, place_names

VIEW = "view"
_BATCH_ROWS = 1 << 16


def feature_entries(
    path: Path, labels: tuple[Path, Entries] | None, columns: Columns, rejected: Path, folder: str | None
) -> Entries:
    """Return the photos of a features file that have a place; entries have also `views`, their number.

    Args:
        path: the features.
        labels: the table of places and its entries, see `Lookup`; None where the file has them. The names in the labels
            then are the samples' names.
        columns: of the features file.
        rejected: where to write bad rows.
        folder: what the names in the labels are relative to.

    Raises:
        InputError: no places, a label that several photos could mean, or views out of order.
    """
    files, options = [path, *([labels[0]] if labels else [])], f"features {columns} {folder}"
    lookup = Lookup(labels[1], folder) if labels else None
    return kept(files, options, lambda tally: _entries(path, lookup, columns, tally), rejected)


def _entries(path: Path, lookup: Lookup | None, columns: Columns, tally: RowCounts) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path) as file:
        header = file.schema_arrow.names
        if lookup is None and not columns.has_place(header):
            raise InputError(
                f"{path} has the columns {', '.join(header)} and so no places; name a table of them with `labels`, "
                "or add columns lat and lng."
            )
        named = columns.has("photo", header)
        wanted = ([columns.one("photo", header, str(path))] if named or lookup else []) + (
            [columns.one(part, header, str(path)) for part in ("lat", "lng")] if lookup is None else []
        )
        first, views = _views(file, path)
        start = 0
        for batch in file.iter_batches(_BATCH_ROWS, columns=wanted):
            here = slice(*np.searchsorted(first, (start, start + len(batch))))
            part = batch.take(pa.array(first[here] - start))
            start += len(batch)
            names = as_binary(part[wanted[0]], path, wanted[0]) if named else pa.array([b"-"] * len(part))
            if lookup is None:
                lat, lng = (numbers_or_binary(part[name], path, name) for name in wanted[-2:])
                rows, counts = first[here], views[here]
            else:
                known, names, lat, lng = lookup.labelled(first[here], names, tally)
                rows, counts = first[here][known], views[here][known]
            good, lat_lng = usable(rows, names, lat, lng, tally)
            names = names.filter(pa.array(good)) if named else pa.array(place_names(lat_lng[good]), type=pa.binary())
            counted = pa.array(counts[good], type=pa.int64())
            yield batch_of(rows[good], lat_lng[good], keys_of(names.to_pylist()), names, views=counted)


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
