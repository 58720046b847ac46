"""Groups of options: frozen dataclasses whose annotated fields are options, checked when they are made.

A field `Annotated[type, Help(...)]` is a flag of the commands (`geoclip.cli.groups` makes them); the library takes the
same fields as keyword arguments. Importing this loads nothing heavy.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, NamedTuple, Self, get_args, get_origin, get_type_hints

from geoclip.errors import InputError


class Panel(StrEnum):
    """Headings in a command's help, in order; the flags that most people need stand before them."""

    INPUT = "Input"
    OUTPUT = "Output"
    WHERE = "Where to look"
    SEARCH = "Search"
    COLUMNS = "Columns"
    COMPARING = "Comparing"
    BUILD = "The index"
    MODEL = "Model"
    LIMITS = "Limits"
    MACHINE = "Machine"


class Help(NamedTuple):
    """What people read about an option, and its limits."""

    text: str
    panel: Panel | None = None
    """None stands before all panels."""
    names: tuple[str, ...] = ()
    """Of the flag, where they do not follow from the field's name."""
    metavar: str | None = None
    least: float | None = None
    most: float | None = None
    """Only beside `least`."""


class OptionField(NamedTuple):
    """A field of a group that is an option."""

    kind: Any
    """Its type, without None."""
    optional: bool
    default: Any
    help: Help


@dataclass(frozen=True)
class Options:
    """A group of options, checked when it is made.

    A text stands for a list of one, as numbers do for their text; a text for a path; the name of a choice for it.

    Raises:
        InputError: a value is not among the choices, or beyond the limits.
    """

    def __post_init__(self) -> None:
        for name, field in option_fields(type(self)).items():
            value = getattr(self, name)
            if value is not None or not field.optional:
                object.__setattr__(self, name, _checked(name, value, field))

    def changed(self, **changes: Any) -> Self:
        """Return the options with some of them changed.

        Raises:
            InputError: there is no such option, or a value is not allowed.
        """
        if unknown := changes.keys() - option_fields(type(self)).keys():
            name = min(unknown)
            near = get_close_matches(name, option_fields(type(self)), 1)
            hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(option_fields(type(self)))}."
            raise InputError(f"There is no option {name!r}; {hint}")
        return replace(self, **changes)


def option_fields(group: type[Options]) -> Mapping[str, OptionField]:
    """Return the options of a group by name, in order."""
    hints = get_type_hints(group, include_extras=True)
    found = {}
    for field in fields(group):
        if get_origin(hints[field.name]) is Annotated:
            kind, help_ = get_args(hints[field.name])[:2]
            optional = isinstance(kind, UnionType)
            found[field.name] = OptionField(get_args(kind)[0] if optional else kind, optional, field.default, help_)
    return found


def _checked(name: str, value: Any, field: OptionField) -> Any:
    if get_origin(field.kind) is tuple:
        parts = [value] if isinstance(value, str | Path) else list(value)
        is_one = bool(parts) and all(isinstance(part, int | float) for part in parts)  # near=(48.86, 2.35, 50)
        return (",".join(map(str, parts)),) if is_one else tuple(map(str, parts))
    if issubclass(field.kind, StrEnum):
        if value not in list(field.kind):
            raise InputError(f"{value!r} is not allowed for {_called(name, field)}; choose {', '.join(field.kind)}.")
        return field.kind(value)
    if field.kind is Path:
        return Path(value)
    least, most = field.help.least, field.help.most
    if least is not None and not (value >= least and (most is None or value <= most)):
        limits = f"at least {number(least)}" if most is None else f"{number(least)} to {number(most)}"
        raise InputError(f"{value} is not allowed for {_called(name, field)}; choose {limits}.")
    return value


def number(value: float) -> str:
    """Return a limit as people read it: 4, 0.05, 1,000,000."""
    return f"{value:,.12g}"


def _called(name: str, field: OptionField) -> str:
    """Return what an option is called in Python, and its flag where that is another word."""
    flag = field.help.names[0] if field.help.names else f"--{name.replace('_', '-')}"
    return flag if flag.removeprefix("--").replace("-", "_") == name else f"{name} ({flag})"
