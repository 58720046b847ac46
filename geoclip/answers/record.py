"""An answer as plain values: what JSON Lines and Parquet hold, as the types of `geoclip.answers.answer` say."""

import math
from collections.abc import Callable, Sequence
from dataclasses import is_dataclass
from functools import cache, partial
from types import UnionType
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

from geoclip.answers.answer import Answer, Written

SCHEMA = "geoclip-answer/3"
"""Names the fields and their meaning; another number where a reader would have to change."""


class FieldKind(NamedTuple):
    """What a field of an answer holds."""

    base: type
    """str, int, float, bool, or a class with fields."""
    many: bool = False
    optional: bool = False
    written: Written = Written()


@cache
def fields_of(base: type) -> dict[str, FieldKind]:
    """Return the fields of a class in the order they are written; none of str and its like."""
    hints = get_type_hints(base, include_extras=True) if is_dataclass(base) or hasattr(base, "_fields") else {}
    if base is Answer:
        hints |= {"calibrated": bool, "searched": hints.pop("searched")}  # the first of a property
    return {name: _kind(hint) for name, hint in hints.items()}


def _kind(hint: Any) -> FieldKind:
    if get_origin(hint) is Annotated:
        inner, written = get_args(hint)
        return _kind(inner)._replace(written=written)
    if get_origin(hint) in (tuple, Sequence):
        return _kind(get_args(hint)[0])._replace(many=True)
    if isinstance(hint, UnionType):
        return _kind(get_args(hint)[0])._replace(optional=True)
    return FieldKind(hint)


def record(answer: Answer) -> dict[str, Any]:
    """Return an answer as strings, numbers, lists and dicts, in the order they are written.

    Degrees are rounded to 6 decimals (0.1 m), probabilities to 6 significant digits, kilometres to 3. What is not
    known, NaN in the answer, is None.
    """
    return {"schema": SCHEMA, **_plain(FieldKind(Answer))(answer)}


@cache
def _plain(kind: FieldKind) -> Callable[[Any], Any]:
    """Return what makes values of a kind plain."""
    if kind.many:
        one = _plain(kind._replace(many=False))
        return lambda values: [one(value) for value in values]
    if kind.optional:
        known = _plain(kind._replace(optional=False))
        return lambda value: None if value is None else known(value)
    if fields := fields_of(kind.base):
        parts = [(each.written.name or name, name, _plain(each)) for name, each in fields.items()]
        return lambda value: {key: plain(getattr(value, name)) for key, name, plain in parts}
    if kind.written.decimals is not None:
        return partial(rounded, decimals=kind.written.decimals)
    return (lambda value: value) if kind.written.digits is None else partial(significant, digits=kind.written.digits)


def rounded(value: float, decimals: int) -> float | None:
    """Return a number to so many decimals; None where it is not finite."""
    return round(value, decimals) if math.isfinite(value) else None


def significant(value: float, digits: int) -> float | None:
    """Return a number to so many significant digits; None where it is not finite."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None
