"""Answers as columns of Arrow: the values that `geoclip.answers.record` gives, without an object for each of them.

An answer lists hundreds of cells, so records of Python's would take longer than all else that is done for a vector.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import chain
from operator import attrgetter
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geoclip.answers.record import FieldKind, fields_of, rounded, significant
from geoclip.writers.wording import utf8

_NAMES = {str: pa.string(), int: pa.int32(), float: pa.float64(), bool: pa.bool_()}
_POWERS = 10.0 ** np.arange(23)
"""All that are exact: a whole number below 2^53 divided by one is the float nearest to that decimal."""


class Column(ABC):
    """Collects values of a kind."""

    type: pa.DataType

    @abstractmethod
    def add(self, values: Sequence[Any]) -> None:
        """Add values."""

    @abstractmethod
    def taken(self) -> pa.Array:
        """Return what was added since the last time."""


def column_of(kind: FieldKind) -> Column:
    """Return a column for values of a kind."""
    if kind.many:
        return _Lists(column_of(kind._replace(many=False)))
    if not fields_of(kind.base):
        return _Values(kind)
    return _Optional(Records(kind.base)) if kind.optional else Records(kind.base)


class Records(Column):
    """Values with fields: a struct."""

    def __init__(self, base: type) -> None:
        fields = fields_of(base)
        self.columns = [column_of(kind) for kind in fields.values()]
        names = [kind.written.name or name for name, kind in fields.items()]
        self.type = pa.struct([(name, column.type) for name, column in zip(names, self.columns, strict=True)])
        self._getters = None if issubclass(base, tuple) else [attrgetter(name) for name in fields]

    def add(self, values: Sequence[Any]) -> None:
        """See `Column.add`."""
        if not values:
            return
        parts = (
            zip(*values, strict=True) if self._getters is None else (list(map(get, values)) for get in self._getters)
        )
        for column, part in zip(self.columns, parts, strict=True):
            column.add(part)

    def taken(self) -> pa.StructArray:
        """See `Column.taken`."""
        return pa.StructArray.from_arrays([column.taken() for column in self.columns], fields=list(self.type))


class _Optional(Column):
    """Values with fields, or None: null."""

    def __init__(self, known: Records) -> None:
        self._known, self.type = known, known.type
        self._rows: list[int | None] = []
        self._count = 0

    def add(self, values: Sequence[Any]) -> None:
        known = [value for value in values if value is not None]
        rows = iter(range(self._count, self._count + len(known)))
        self._rows += [None if value is None else next(rows) for value in values]
        self._count += len(known)
        self._known.add(known)

    def taken(self) -> pa.Array:
        known, rows = self._known.taken(), pa.array(self._rows, pa.int64())
        self._rows, self._count = [], 0
        return known.take(rows) if rows.null_count else known


class _Lists(Column):
    """Several values."""

    def __init__(self, values: Column) -> None:
        self._values, self.type = values, pa.list_(values.type)
        self._lengths: list[int] = []

    def add(self, values: Sequence[Any]) -> None:
        self._lengths += map(len, values)
        self._values.add(list(chain.from_iterable(values)))

    def taken(self) -> pa.ListArray:
        bounds = np.cumsum([0, *self._lengths], dtype=np.int32)
        self._lengths = []
        return pa.ListArray.from_arrays(bounds, self._values.taken(), type=self.type)


class _Values(Column):
    """Texts and numbers, rounded as they are written; None, and NaN where it is rounded, is null."""

    def __init__(self, kind: FieldKind) -> None:
        self.type = next(_NAMES[base] for base in kind.base.__mro__ if base in _NAMES)
        self._written = kind.written
        self._values: list[Any] = []

    def add(self, values: Sequence[Any]) -> None:
        self._values += values

    def taken(self) -> pa.Array:
        values, self._values = self._values, []
        if (digits := self._written.digits) is not None:
            numbers = np.array(values, dtype=np.float64)
            return pa.array(significant_all(numbers, digits), self.type, mask=~np.isfinite(numbers))
        if (decimals := self._written.decimals) is not None:
            return pa.array([None if value is None else rounded(value, decimals) for value in values], self.type)
        try:
            return pa.array(values, self.type)
        except UnicodeEncodeError:
            return pa.array([value if value is None else utf8(value) for value in values], self.type)


def significant_all(values: NDArray[np.float64], digits: int) -> NDArray[np.float64]:
    """Return numbers (N,) to so many significant digits, at most 9: what `significant` gives, at once.

    What is not finite stays.
    """
    result = values.copy()
    with np.errstate(all="ignore"):
        size = np.abs(values)
        shift = digits - 1 - np.floor(np.log10(size))
        power = _POWERS[np.minimum(np.abs(np.nan_to_num(shift, nan=22, posinf=22, neginf=22)), 22).astype(np.int64)]
        scaled = np.where(shift >= 0, size * power, size / power)
        whole = np.rint(scaled)
        sure = (np.abs(shift) <= 22) & (scaled >= 10.0 ** (digits - 1)) & (scaled < 10.0**digits)
        sure &= np.abs(scaled - np.floor(scaled) - 0.5) > 1e-5  # else the product's own rounding could decide
        rounded_off = np.copysign(np.where(shift >= 0, whole / power, whole * power), values)
    result[sure] = rounded_off[sure]
    for row in np.flatnonzero(~sure & np.isfinite(values)):
        result[row] = significant(float(values[row]), digits)
    return result
