"""Tables of coordinates: CSV and Parquet in, Parquet out."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from geoclip.errors import InputError

LAT_NAMES = ("lat", "latitude", "lat_deg", "y")
LNG_NAMES = ("lng", "lon", "long", "longitude", "lng_deg", "lon_deg", "x")


def read_table(path: Path) -> pa.Table:
    """Read a CSV or Parquet file whole.

    Raises:
        InputError: no such file, another format, or a file that cannot be parsed.
    """
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            return pq.read_table(path)
        if path.suffix.lower() in (".csv", ".tsv", ".txt"):
            return _parse_csv(path.read_bytes(), "\t" if path.suffix.lower() == ".tsv" else ",")
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; check the path.") from error
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} cannot be read as a table: {_first_line(error)}") from error
    raise InputError(f"{path} is not a table this program reads; give .csv, .tsv or .parquet.")


def read_lat_lng(path: Path) -> NDArray[np.float64]:
    """Read the coordinates of a CSV or Parquet file.

    Columns are found by name, case ignored: lat or latitude; lng, lon or longitude.

    Returns:
        (N, 2) float64, (lat, lng) in degrees.

    Raises:
        InputError: the file cannot be read, a column is missing, or a value is not a number.
    """
    return lat_lng_columns(read_table(path), str(path))


def parse_lat_lng_csv(content: bytes) -> NDArray[np.float64]:
    """Return the coordinates (N, 2) in a CSV file's bytes; see `read_lat_lng`."""
    return lat_lng_columns(_parse_csv(content, ","), "the gallery")


def lat_lng_columns(table: pa.Table, name: str) -> NDArray[np.float64]:
    """Return the coordinates (N, 2) float64 of a table; `name` stands in the error messages."""
    columns = []
    for names in (LAT_NAMES, LNG_NAMES):
        found = [column for column in table.column_names if column.strip().lower() in names]
        if not found:
            raise InputError(
                f"{name} has the columns {', '.join(table.column_names)}; one of {', '.join(names)} is needed."
            )
        try:
            values = table[found[0]].cast(pa.float64()).to_numpy(zero_copy_only=False)
        except pa.ArrowException as error:
            raise InputError(
                f"{name}: column {found[0]} holds something that is no number: {_first_line(error)}"
            ) from error
        columns.append(values)
    return np.stack(columns, axis=1)


def write_lat_lng(path: Path, lat_lng: NDArray[np.float32]) -> None:
    """Write coordinates as Parquet with the released column names LAT and LON."""
    pq.write_table(pa.table({"LAT": lat_lng[:, 0], "LON": lat_lng[:, 1]}), path)


def _parse_csv(content: bytes, delimiter: str) -> pa.Table:
    return pa_csv.read_csv(pa.BufferReader(content), parse_options=pa_csv.ParseOptions(delimiter=delimiter))


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
