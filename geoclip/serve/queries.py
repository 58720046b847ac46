"""Models of parameters as what stands behind the question mark of an address."""

import inspect
from collections.abc import Awaitable, Callable
from difflib import get_close_matches
from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import Response

from geoclip.serve.parameters import LocateParameters, Parameters


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
