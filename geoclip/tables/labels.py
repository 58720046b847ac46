"""Tables of photos with their true places."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geoclip.errors import InputError
from geoclip.tables.bad_rows import OnBadRows
from geoclip.tables.columns import LABELS, PHOTO_NAMES, Columns
from geoclip.tables.coordinates import PhotoNames, read_places
from geoclip.tables.names import rows_of


@dataclass(frozen=True)
class Labels:
    """True places by photo."""

    names: tuple[str, ...] | None
    """(N,) as in the table; None where it names no photos."""
    lat_lng: NDArray[np.float64]
    """(N, 2) degrees, longitude in [-180, 180)."""

    @classmethod
    def read(cls, path: Path, columns: Columns = LABELS, *, policy: OnBadRows = OnBadRows.REFUSE) -> Self:
        """Read a table with a latitude, a longitude and, if photos are named, a name a row; see `read_places`."""
        blocks = list(read_places(path, columns, photos=PhotoNames.TAKE, policy=policy))
        lat_lng = np.concatenate([block.lat_lng for block in blocks])
        names = [block.names for block in blocks if block.names is not None]
        return cls(tuple(pa.chunked_array(names).to_pylist()) if names else None, lat_lng)

    def rows(
        self,
        names: Sequence[str] | None,
        inputs: int,
        *,
        positions: NDArray[np.int64] | None = None,
        by_order: bool = False,
    ) -> NDArray[np.int64]:
        """Return the row of each of N photos, -1 where it has none.

        Args:
            names: of the photos; see `geoclip.tables.names.rows_of`. None where they have none.
            inputs: how many there were, those that cannot be used included.
            positions: (N,) where the photos stand among them, from 0; None if they are all.
            by_order: where names are missing, there or here, the first input is that of the first row, and so on.

        Raises:
            InputError: names are missing and nobody asked for the order, or the rows are not as many as the inputs; or
                a name fits several rows, or a row several names.
        """
        if self.names is not None and names is not None:
            return rows_of(names, self.names)
        if not by_order:
            who, cure = "The inputs have no names to be found in the labels by", f"give them a column {PHOTO_NAMES[0]}"
            if self.names is None:
                who, cure = "The labels name no photos", f"{cure}, or name theirs with {LABELS.options['photo']}"
            raise InputError(
                f"{who}; {cure}, or add --by-order if the first input is that of the first row, and so on."
            )
        if inputs != len(self.lat_lng):
            raise InputError(
                f"The labels have {len(self.lat_lng):,} rows for {inputs:,} inputs; give one row an input."
            )
        return np.arange(inputs) if positions is None else positions
