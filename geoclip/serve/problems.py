"""What went wrong, as `application/problem+json` (RFC 9457): one sentence and the right status."""

import json
from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import Response

from geoclip.errors import GeoclipError, InputError, PhotoError
from geoclip.writers.wording import one_line
from index.storage.manifest import BadIndexError

PROBLEM = "application/problem+json"
REFUSALS = {
    400: "The body cannot be understood.",
    401: "The key is missing or wrong.",
    403: "The request names another host than this service.",
    404: "There is nothing of this name.",
    406: "No format that is asked for can be had.",
    408: "The body came too slowly.",
    413: "The body, or what it holds, is too large.",
    415: "The body is of a type that is not read.",
    422: "An option is not allowed, or the photo cannot be read.",
    429: "This caller has too many requests waiting.",
    500: "Something of this service is broken.",
    503: "Too much is waiting; try again later.",
}
"""What a status means, for the description of the interface."""


class ProblemError(Exception):
    """A request that is refused.

    Args:
        status: HTTP's.
        detail: one sentence.
        headers: of the answer.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers

    @classmethod
    def of(cls, error: GeoclipError) -> "ProblemError":
        """Return what an error of the library means to a caller."""
        if isinstance(error.__cause__, BadIndexError):
            return cls(500, "The index is damaged; the log of this service says more.")
        if isinstance(error, InputError | PhotoError):
            return cls(422, str(error))
        return cls(503, str(error), {"Retry-After": "5"})

    @property
    def response(self) -> Response:
        """The answer."""
        content = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": one_line(self.detail),
        }
        return Response(json.dumps(content), self.status, self.headers, PROBLEM)
