"""Parameters as models, made of the option groups that the command line makes its flags of."""

from collections.abc import Sequence
from enum import EnumType
from typing import Any, TypeVar, get_origin

from pydantic import BaseModel, ConfigDict, Field, create_model

from geoclip.option_groups import OptionField, Options, option_fields
from geoclip.options import PhotoOptions, SearchOptions, WordOptions

Group = TypeVar("Group", bound=Options)
Fields = dict[str, Any]


class Parameters(BaseModel):
    """Options of one request; anything else is refused."""

    model_config = ConfigDict(extra="forbid")

    def options(self, group: type[Group]) -> Group:
        """Return a group of options as it is asked for; what is no parameter keeps its default.

        Raises:
            InputError: a value is not allowed.
        """
        return group(**{name: getattr(self, name) for name in option_fields(group) if hasattr(self, name)})


def _model(called: str, groups: Sequence[tuple[type[Options], Sequence[str]]], **others: Any) -> type[Parameters]:
    fields: Fields = {}
    for group, wanted in groups:
        known = option_fields(group)
        fields |= {each: _parameter(known[each]) for each in wanted or known}
    return create_model(called, __base__=Parameters, **fields, **others)


def _parameter(field: OptionField) -> tuple[Any, Any]:
    """Return an option as a parameter. Choices and limits are the group's to check, here they are described."""
    kind: Any = field.kind
    schema: Fields = {}
    if isinstance(kind, EnumType):
        schema["enum"], kind = list(kind.__members__.values()), str
    for key, limit in (("minimum", field.help.least), ("maximum", field.help.most)):
        if limit is not None:
            schema[key] = limit
    many = get_origin(kind) is tuple
    kind = list[str] if many else kind
    text = field.help.text.replace("--", "")
    if many:
        text = f"{text} As {field.help.metavar}; repeatable."
    default = list(field.default) if many else field.default
    described = Field(default, description=text, json_schema_extra=schema or None)
    return (kind | None if field.optional else kind), described


_READING = (PhotoOptions, ("crops", "as_released"))
_INDEX: tuple[Any, Any] = (
    str | None,
    Field(None, description="What is searched: a name of /v1/index. Default: its first."),
)
_NAME: tuple[Any, Any] = (str, Field("", description="What the answer calls a photo that is the whole body."))
EmbedParameters = _model("EmbedParameters", [_READING], index=_INDEX, name=_NAME)
SearchParameters = _model("SearchParameters", [(SearchOptions, ())], index=_INDEX)
LocateParameters = _model(
    "LocateParameters",
    [(SearchOptions, ()), _READING, (WordOptions, ())],
    index=_INDEX,
    name=_NAME,
    together=(bool, Field(False, description="All photos show one place: answer once.")),
    vector=(bool, Field(False, description="In JSON: give the vectors too, to be sent to /v1/search later.")),
)
ToolParameters = _model("ToolParameters", [(SearchOptions, ())])
"""Of a tool, which has one index."""
