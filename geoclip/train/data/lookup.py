"""The places of photos in a table of labels, by name: a join in Arrow, without Python strings."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from geoclip.errors import InputError
from geoclip.train.data.checks import Reason, RowCounts
from geoclip.train.data.entries import Entries

_FOLDERS = r"^.*/"


class Lookup:
    """Finds photos in labels: by their whole name; then without the folder at its front; then by its last part.

    Args:
        labels: the entries of the table.
        folder: what the names in the labels are relative to, as photos' names begin.
    """

    def __init__(self, labels: Entries, folder: str | None) -> None:
        self._labels = labels
        self._folder = None if folder is None else f"^{re.escape(folder.rstrip('/'))}/"
        self._names = labels.table["name"].combine_chunks()
        self._last = pc.replace_substring_regex(self._names, _FOLDERS, "")
        self._taken = np.zeros(len(labels), dtype=bool)

    def labelled(
        self, rows: NDArray[np.int64], names: pa.Array, tally: RowCounts
    ) -> tuple[NDArray[np.bool_], pa.Array, pa.Array, pa.Array]:
        """Return which of N photos have a label, and names, latitudes and longitudes from the labels of these.

        Args:
            rows: (N,) of the photos in their file.
            names: (N,) binary.
            tally: where photos without a label are noted.

        Raises:
            InputError: several labels could be meant, or several photos mean one.
        """
        found = self._find(names)
        for position in np.flatnonzero(found < 0).tolist():
            tally.rows += 1
            tally.reject(int(rows[position]), Reason.NO_LABEL, names[position].as_py())
        known = found >= 0
        found = found[known]
        lat, lng = (pa.array(self._labels.lat_lng[found, axis]) for axis in (0, 1))
        return known, self._names.take(pa.array(found)), lat, lng

    def _find(self, names: pa.Array) -> NDArray[np.int64]:
        found = self._positions(names, self._names)
        if self._folder is not None and (found < 0).any():
            relative = pc.replace_substring_regex(names, self._folder, "")
            found = np.where(found < 0, self._positions(relative, self._names), found)
        if (found < 0).any():
            rest = np.flatnonzero(found < 0)
            last = pc.replace_substring_regex(names.take(pa.array(rest)), _FOLDERS, "")
            found[rest] = self._positions(last, self._last)
        for position in found[found >= 0].tolist():
            if self._taken[position]:
                raise InputError(
                    f"Several photos are {_shown(self._names[position])} in the labels; name the photos by their paths."
                )
            self._taken[position] = True
        return found

    def _positions(self, names: pa.Array, known: pa.Array) -> NDArray[np.int64]:
        """Return where names stand among the known ones, -1 for nowhere."""
        counted = pc.value_counts(known.filter(pc.is_in(known, value_set=names)))
        several = counted.field("values").filter(pc.greater(counted.field("counts"), 1))
        if len(several):
            raise InputError(
                f"The labels have several rows for {_shown(several[0])}; name each photo once, by its path."
            )
        found: NDArray[np.int64] = (
            pc.fill_null(pc.index_in(names, value_set=known), -1).to_numpy(zero_copy_only=False).astype(np.int64)
        )
        return found


def _shown(name: pa.Scalar) -> str:
    return repr(Path(name.as_py().decode(errors="replace")).as_posix())
