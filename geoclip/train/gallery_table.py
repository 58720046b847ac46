"""The places of a gallery's file: bad rows are counted and left out, as everywhere in training."""

import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geoclip.errors import InputError
from geoclip.tables.coordinates import read_table
from geoclip.train.data.checks import RowCounts, usable
from geoclip.train.data.columns import Columns
from geoclip.train.data.rows import numbers_or_binary

_log = logging.getLogger(__name__)


def places_of(path: Path) -> NDArray[np.float64]:
    """Return the usable places of a table, (N, 2) degrees, longitude in [-180, 180), N >= 1.

    Raises:
        InputError: the file cannot be read, a column is missing, or no row is a place.
    """
    table = read_table(path)
    names = [Columns().one(part, table.column_names, str(path)) for part in ("lat", "lng")]
    lat, lng = (numbers_or_binary(pa.concat_arrays(table[name].chunks), path, name) for name in names)
    tally = RowCounts()
    good, lat_lng = usable(np.arange(len(table)), pa.array([b"-"] * len(table), pa.binary()), lat, lng, tally)
    bad = ", ".join(f"{count} {reason}" for reason, count in tally.bad.items())
    if not good.any():
        raise InputError(f"{path} holds no place: {bad or 'it has no rows'}; check its columns lat and lng.")
    if bad:
        _log.warning("%s: %d of %d rows left out: %s.", path, len(table) - good.sum(), len(table), bad)
    places: NDArray[np.float64] = lat_lng[good]
    return places
