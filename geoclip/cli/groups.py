"""Makes flags of groups of options: a command takes dataclasses, Typer sees their fields."""

import functools
import inspect
from collections.abc import Callable
from enum import EnumType
from typing import Annotated, Any, get_args, get_origin

import typer

from geoclip.option_groups import OptionField, Options, Panel, number, option_fields


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Replace every parameter that is a group by the group's fields; `Annotated[Group, "a", "b"]` has these alone."""
    parameters, groups = [], {}
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        group, *wanted = (
            get_args(parameter.annotation) if get_origin(parameter.annotation) is Annotated else [parameter.annotation]
        )
        if not (isinstance(group, type) and issubclass(group, Options)):
            parameters.append(parameter)
            continue
        names = wanted or list(option_fields(group))
        groups[parameter.name] = group, names
        parameters += [_flag(name, option_fields(group)[name]) for name in names]

    @functools.wraps(command)
    def wrapped(**given: Any) -> None:
        made = {key: group(**{name: given.pop(name) for name in names}) for key, (group, names) in groups.items()}
        command(**given, **made)

    keywords = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in sorted(parameters, key=_panel)]
    wrapped.__signature__ = inspect.Signature(keywords)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in keywords}
    return wrapped


def _panel(parameter: inspect.Parameter) -> int:
    """Return where the panel of a parameter stands in the help; 0 is before all panels."""
    panels = [getattr(each, "rich_help_panel", None) for each in get_args(parameter.annotation)]
    return next((1 + list(Panel).index(panel) for panel in panels if panel), 0)


def _flag(name: str, field: OptionField) -> inspect.Parameter:
    """Return an option as Typer takes it. Choices and limits are the group's to check, which says more in less."""
    is_list, kind, help_ = get_origin(field.kind) is tuple, field.kind, field.help
    metavar, limits = help_.metavar, ""
    if isinstance(kind, EnumType):
        metavar, kind = "|".join(kind.__members__.values()), str
    elif help_.least is not None:
        limits = f" From {number(help_.least)}" + (f" to {number(help_.most)}." if help_.most is not None else " on.")
    option = typer.Option(
        *(help_.names or _names(name, field)),
        help=help_.text + limits,
        rich_help_panel=help_.panel,
        metavar=metavar,
    )
    kind = list[str] if is_list else kind
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=list(field.default) if is_list else field.default,
        annotation=Annotated[kind | None if field.optional else kind, option],
    )


def _names(name: str, field: OptionField) -> list[str]:
    flag = name.replace("_", "-")
    if field.kind is bool:
        return [f"--{flag}/--no-{flag}"] if field.default else [f"--{flag}"]
    return [f"--{flag}"]
