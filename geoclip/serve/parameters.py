"""Query parameters, made of the option groups that the command line makes its flags of."""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from difflib import get_close_matches
from enum import EnumType
from typing import Annotated, Any, TypeVar, get_origin

from fastapi import Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, create_model
from starlette.responses import Response

from geoclip.option_groups import OptionField, Options, option_fields
from geoclip.options import PhotoOptions, SearchOptions, WordOptions

Group = TypeVar("Group", bound=Options)
Fields = dict[str, Any]


class Parameters(BaseModel):
    """What stands behind the question mark of an address; anything else is refused."""

    model_config = ConfigDict(extra="forbid")

    index: Annotated[str | None, Field(description="What is searched: a name of /v1/index. Default: its first.")] = None

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
_NAME: tuple[Any, Any] = (str, Field("", description="What the answer calls a photo that is the whole body."))
EmbedParameters = _model("EmbedParameters", [_READING], name=_NAME)
SearchParameters = _model("SearchParameters", [(SearchOptions, ())])
LocateParameters = _model(
    "LocateParameters",
    [(SearchOptions, ()), _READING, (WordOptions, ())],
    name=_NAME,
    together=(bool, Field(False, description="All photos show one place: answer once.")),
    vector=(bool, Field(False, description="In JSON: give the vectors too, to be sent to /v1/search later.")),
)


def with_query(
    endpoint: Callable[[Request, Any], Awaitable[Response]], parameters: type[Parameters]
) -> Callable[..., Awaitable[Response]]:
    """Return an endpoint whose parameters FastAPI sees, checks and describes."""

    async def handler(request: Request, query: Any) -> Response:
        return await endpoint(request, query)

    keyword = inspect.Parameter.KEYWORD_ONLY
    handler.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter("request", keyword, annotation=Request),
            inspect.Parameter("query", keyword, annotation=Annotated[parameters, Query()]),
        ]
    )
    handler.__name__, handler.__doc__ = endpoint.__name__, endpoint.__doc__
    return handler


def sentence(error: RequestValidationError) -> str:
    """Return what is wrong with the parameters of a request."""
    first = error.errors()[0]
    name = str(first["loc"][-1])
    if first["type"] == "extra_forbidden":
        known = list(LocateParameters.model_fields)
        near = get_close_matches(name, known, 1)
        return f"There is no parameter {name!r:.60}" + (f"; did you mean {near[0]}?" if near else ".")
    what = str(first["msg"])
    return f"{str(first.get('input'))!r:.60} is not allowed for {name:.60}: {what[:1].lower()}{what[1:]}."
