"""Which row of a table belongs to which photo: a join by name, in Arrow, for millions of names."""

import os
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from geoclip.errors import InputError
from geoclip.tables.rows import readable

_SUFFIX = r"\.[A-Za-z][A-Za-z0-9]{0,4}$"
_DEEPEST = 8
Names: TypeAlias = Sequence[str] | pa.Array | pa.ChunkedArray


def rows_of(names: Names, known: Names, what: str = "The labels") -> NDArray[np.int64]:
    r"""Return the row of each of N names among the known ones, -1 where it has none.

    Each name is looked for whole; then by as many of its last parts as there are in common, down to the file's name
    alone; then likewise without suffix. A row that one name fits better is not given to another. Names are compared in
    Unicode's composed form (NFC), `\\` is `/`, and bytes that are not UTF-8 are Windows-1252.

    Args:
        names: N names, of which some may be equal.
        known: the names of the rows.
        what: has the rows; begins messages.

    Raises:
        InputError: several rows fit a name equally well, or several names fit a row.
    """
    encoded = _normal(names).dictionary_encode()
    wanted, rows_by_name = encoded.dictionary, _normal(known)
    found = np.full(len(wanted), -1, dtype=np.int64)
    free = np.ones(len(rows_by_name), dtype=bool)
    depth = min(_depth(wanted), _depth(rows_by_name))
    for suffix in (True, False):
        for parts in (None, *range(depth, 0, -1)):
            rest, rows = np.flatnonzero(found < 0), np.flatnonzero(free)
            if not len(rest) or not len(rows):
                break
            keys, others = (
                _key(each.take(pa.array(at)), parts, suffix=suffix)
                for each, at in ((wanted, rest), (rows_by_name, rows))
            )
            at = _positions(keys, others, what)
            found[rest[at >= 0]] = rows[at[at >= 0]]
            free[rows[at[at >= 0]]] = False
    rows_of_names: NDArray[np.int64] = found[encoded.indices.to_numpy()]
    return rows_of_names


def spellings(name: str) -> Iterator[str]:
    """Yield a photo's name, and how the same could be written in a file system: other accents, slashes, bytes."""
    yield name
    if not name.isascii() or "\\" in name:
        yield name.replace("\\", "/")
        yield from (unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
        with suppress(UnicodeEncodeError):
            yield os.fsdecode(name.encode("cp1252"))


def _normal(names: Names) -> pa.Array:
    if not isinstance(names, pa.Array | pa.ChunkedArray):
        names = pa.array(map(readable, names), pa.string())
    if isinstance(names, pa.ChunkedArray):
        names = names.combine_chunks()
    return pc.utf8_normalize(pc.replace_substring(names, "\\", "/"), form="NFC")


def _depth(names: pa.Array) -> int:
    """Return the parts of the longest path, within reason."""
    return min(_DEEPEST, 1 + (pc.max(pc.count_substring(names, "/")).as_py() or 0))


def _key(names: pa.Array, parts: int | None, *, suffix: bool) -> pa.Array:
    """Return names shortened to their last parts, None for all of them."""
    if not suffix:
        names = pc.replace_substring_regex(names, _SUFFIX, "")
    if parts is None:
        return names
    return pc.replace_substring_regex(names, rf"^.*/((?:[^/]*/){{{parts - 1}}}[^/]*)$", r"\1")


def _positions(keys: pa.Array, known: pa.Array, what: str) -> NDArray[np.int64]:
    """Return where keys stand among the known ones, -1 for nowhere.

    Raises:
        InputError: a key stands there twice, or two are equal.
    """
    encoded = known.dictionary_encode()
    code = np.array(pc.fill_null(pc.index_in(keys, value_set=encoded.dictionary), -1), dtype=np.int64)
    codes, kinds = encoded.indices.to_numpy(), len(encoded.dictionary)
    rows, photos = np.bincount(codes, minlength=kinds), np.bincount(code[code >= 0], minlength=kinds)
    for count, other in ((rows, photos), (photos, rows)):
        if len(twice := np.flatnonzero((count > 1) & (other > 0))):
            name, more = (
                encoded.dictionary[twice[0]].as_py(),
                f" ({len(twice) - 1:,} more are so)" if len(twice) > 1 else "",
            )
            one = (
                f"{rows[twice[0]]} rows for {name!r}"
                if count is rows
                else f"one row for {photos[twice[0]]} photos called {name!r}"
            )
            raise InputError(f"{what} have {one}{more}; name each photo once, by its path.")
    first = np.zeros(kinds + 1, dtype=np.int64)
    first[codes] = np.arange(len(codes))
    return np.where(code < 0, -1, first[code])
