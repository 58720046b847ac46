"""Places where people photograph: coordinates in; clean, deduplicated cells and counts out."""

import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from index.files import written_whole
from index.grid.cells import FINEST, Cells, cells_at, descendant_range, parents, resolutions, valid
from index.grid.sphere import wrapped

_FORMAT = 1
_METADATA = b"index.gallery"
_MOST_PHOTOS = 1 << 40
_MERGE_AT = 1 << 20
"""Rows held back before they are merged into the distinct ones; more where there are more distinct ones."""


@dataclass(frozen=True, eq=False)
class Gallery:
    """Distinct places with how often each was given, in the order of their cells.

    Two coordinates are one place if they are equal in float32, which is what the location encoder sees. The order
    puts the places in any H3 cell side by side, see `within`.
    """

    lat_lng: NDArray[np.float64]
    """(N, 2) degrees, float32 values; longitude in [-180, 180). Sorted by cell, then latitude, then longitude."""
    counts: NDArray[np.int64]
    """(N,) how many rows gave this place, at least 1."""
    cells: Cells
    """(N,) the cell of resolution 15 around each place, ascending; places closer than a metre can share one.

    "In a cell" means here that this cell descends from it. Near the border that is not always the cell that H3 gives
    for the coordinate at the coarser resolution, because seven children do not tile their parent exactly.
    """
    bad: Mapping[str, int] = field(default_factory=dict)
    """How many rows of its table are not in it, by reason; empty for a gallery made from arrays."""

    @classmethod
    def empty(cls) -> Self:
        """Return the gallery without places."""
        return cls(np.zeros((0, 2)), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.uint64))

    @classmethod
    def of(cls, lat_lng: ArrayLike, counts: ArrayLike | None = None) -> Self:
        """Make a gallery from arrays.

        Args:
            lat_lng: (N, 2) degrees; longitudes from -180 to 360, wrapped to [-180, 180). (0, 0) is taken as meant.
            counts: (N,) whole numbers from 1; None counts every row once. Counts of equal places are added.

        Raises:
            ValueError: another shape, a coordinate that is not finite or out of range, a count below 1.
        """
        points = _checked(lat_lng)
        weights = np.ones(len(points), dtype=np.int64) if counts is None else np.asarray(counts)
        if weights.shape != (len(points),) or weights.dtype.kind not in "iu" or (len(points) and weights.min() < 1):
            raise ValueError(f"Counts must be {len(points)} whole numbers from 1, one for each place.")
        return cls._sorted(*_merged([_keys(points)], [weights.astype(np.int64)]), bad={})

    @classmethod
    def gathered(cls, blocks: Iterable[NDArray[np.float64]], bad: Mapping[Any, int]) -> Self:
        """Make a gallery from blocks of coordinates, every row one photo.

        Memory grows with the distinct places, not with the rows.

        Args:
            blocks: (N, 2) degrees each, as for `of`.
            bad: rows that the blocks leave out, by reason; looked at when the last block has been taken.

        Raises:
            ValueError: as `of` does.
        """
        keys: list[NDArray[np.uint64]] = [np.zeros(0, dtype=np.uint64)]
        counts: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
        distinct = waiting = 0
        for block in blocks:
            keys.append(_keys(_checked(block)))
            counts.append(np.ones(len(block), dtype=np.int64))
            waiting += len(block)
            if waiting > max(_MERGE_AT, distinct):
                merged = _merged(keys, counts)
                keys, counts = [merged[0]], [merged[1]]
                distinct, waiting = len(merged[0]), 0
        return cls._sorted(*_merged(keys, counts), bad={str(reason): count for reason, count in bad.items() if count})

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Read the content of a file that `save` wrote.

        Raises:
            ValueError: it is another kind of file, or holds what cannot be a gallery.
        """
        try:
            file = pq.ParquetFile(io.BytesIO(content))
            rows = file.metadata.num_rows
            about = json.loads((file.schema_arrow.metadata or {}).get(_METADATA, b"{}"))
            if about.get("format") != _FORMAT:
                raise ValueError(f"its format is {about.get('format')}, expected {_FORMAT}")
            if file.schema_arrow.types != _SCHEMA.types or rows > len(content):  # distinct places take some 10 bytes
                raise ValueError("its columns are not those of a gallery")
            table = file.read(list(_SCHEMA.names))
            lat, lng, counts, cells = (table[name].to_numpy() for name in _SCHEMA.names)
            bad = {str(reason): int(count) for reason, count in about["bad"].items()}
        except (OSError, KeyError, pa.ArrowException, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"it cannot be opened as a gallery ({_first_line(error)})") from error
        if len(counts) and not 1 <= counts.min() <= counts.max() <= _MOST_PHOTOS:
            raise ValueError(f"a place has {counts.min()} or {counts.max()} photos, expected 1 to {_MOST_PHOTOS}")
        if not ((np.abs(lat) <= 90) & (lng >= -180) & (lng < 180)).all():
            raise ValueError("a coordinate is not within -90 to 90, -180 to 180 degrees")
        if not valid(cells).all() or (cells[1:] < cells[:-1]).any() or (resolutions(cells) != FINEST).any():
            raise ValueError(f"its cells are not sorted cells of resolution {FINEST}")
        return cls(np.stack((lat, lng), axis=1).astype(np.float64), counts, cells, bad)

    def save(self, path: str | Path) -> None:
        """Write the gallery as one Parquet file: lat, lng, count, cell. Equal galleries give equal bytes."""
        about = {"format": _FORMAT, "bad": {str(reason): self.bad[reason] for reason in sorted(self.bad)}}
        lat_lng = self.lat_lng.astype(np.float32)
        columns = [pa.array(column) for column in (lat_lng[:, 0], lat_lng[:, 1], self.counts, self.cells)]
        table = pa.Table.from_arrays(columns, schema=_SCHEMA.with_metadata({_METADATA: json.dumps(about)}))
        with written_whole(Path(path)) as temporary:
            pq.write_table(table, temporary, compression="zstd", compression_level=3, use_dictionary=False)

    def __len__(self) -> int:
        """Return the number of distinct places."""
        return len(self.counts)

    @property
    def total(self) -> int:
        """The number of photos: accepted rows, duplicates included."""
        return int(self.counts.sum())

    def within(self, cells: Cells) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return for each cell, of any resolution, the rows `start` to `stop` (exclusive) of the places in it."""
        first, last = descendant_range(cells, FINEST)
        return np.searchsorted(self.cells, first), np.searchsorted(self.cells, last, side="right")

    def count_in(self, cells: Cells) -> NDArray[np.int64]:
        """Return for each cell, of any resolution, the number of photos in it."""
        start, stop = self.within(cells)
        return self._photos_before[stop] - self._photos_before[start]

    def cells_at(self, res: int) -> Cells:
        """Return the distinct cells of a resolution that hold places, sorted."""
        return np.unique(parents(self.cells, res))

    def digest(self) -> str:
        """Return a sha256 that names the places and their counts, whatever file they came from."""
        digest = hashlib.sha256(f"gallery {_FORMAT} {len(self)}\n".encode())
        digest.update(np.ascontiguousarray(self.lat_lng, dtype="<f4").data)
        digest.update(np.ascontiguousarray(self.counts, dtype="<i8").data)
        return digest.hexdigest()

    @cached_property
    def _photos_before(self) -> NDArray[np.int64]:
        return np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(self.counts)))

    @classmethod
    def _sorted(cls, keys: NDArray[np.uint64], counts: NDArray[np.int64], bad: Mapping[str, int]) -> Self:
        lat_lng = keys.view(np.float32).reshape(-1, 2).astype(np.float64)
        cells = cells_at(lat_lng, FINEST)
        order = np.lexsort((lat_lng[:, 1], lat_lng[:, 0], cells))
        return cls(lat_lng[order], counts[order], cells[order], bad)


_SCHEMA = pa.schema([("lat", pa.float32()), ("lng", pa.float32()), ("count", pa.int64()), ("cell", pa.uint64())])


def _checked(lat_lng: ArrayLike) -> NDArray[np.float64]:
    points = np.asarray(lat_lng, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"Coordinates have the shape {points.shape}; expected (N, 2), latitude and longitude.")
    if len(bad := np.flatnonzero(~((points >= (-90.0, -180.0)) & (points <= (90.0, 360.0))).all(axis=1))):
        raise ValueError(
            f"Row {bad[0]} is {points[bad[0]].tolist()}; latitudes are -90 to 90, longitudes -180 to 360; drop or "
            "correct such rows."
        )
    return points


def _keys(lat_lng: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Return each place as one integer: its two float32 values side by side, longitude wrapped, no negative zero."""
    lng = lat_lng[:, 1]
    inside = np.where((lng < -180.0) | (lng >= 180.0), wrapped(lng), lng)
    places = np.stack((lat_lng[:, 0], inside), axis=1).astype(np.float32)
    places[places[:, 1] >= 180.0, 1] = -180.0  # 179.9999999 is 180 in float32
    return (places + np.float32(0.0)).view(np.uint64).ravel()


def _merged(
    keys: list[NDArray[np.uint64]], counts: list[NDArray[np.int64]]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the distinct keys, sorted, and the sum of each one's counts."""
    distinct, inverse = np.unique(np.concatenate(keys), return_inverse=True)
    sums = np.zeros(len(distinct), dtype=np.int64)
    np.add.at(sums, inverse, np.concatenate(counts))
    return distinct, sums


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
