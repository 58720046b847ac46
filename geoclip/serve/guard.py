"""Around every request: who may ask, what is counted, one line in the log without anything of a photo."""

import hmac
import logging
import time
import traceback
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from geoclip.serve.metrics import Metrics
from geoclip.serve.problems import ProblemError
from geoclip.serve.settings import ServeOptions

log = logging.getLogger("geoclip.serve")
ROUTES = ("/v1/locate", "/v1/search", "/v1/embed", "/v1/index", "/health", "/ready", "/metrics", "/openapi.json")
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


class Guard:
    """Asks for the key, counts and logs requests, and answers for what nobody expected.

    Args:
        app: what is guarded.
        settings: of the service.
        metrics: are told.
    """

    def __init__(self, app: ASGIApp, settings: ServeOptions, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics
        self._key = settings.key.encode()
        self._local = settings.is_local and not self._key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, sent = time.perf_counter(), _Sent(send)
        try:
            try:
                self._check(scope)
                await self._app(scope, receive, sent)
            except ProblemError as problem:
                await problem.response(scope, receive, sent)
        except Exception as error:  # nothing of a photo may be logged: the message is left out
            frames = "".join(traceback.format_tb(error.__traceback__))
            log.error("%s\n%s", type(error).__name__, frames)
            self._metrics.errors.labels("internal").inc()
            if not sent.status:
                broken = ProblemError(500, "Something went wrong that should not; the log of this service says more.")
                await broken.response(scope, receive, sent)
        finally:
            self._count(scope, sent, time.perf_counter() - begun)

    def _check(self, scope: Scope) -> None:
        """Refuse who may not ask.

        Raises:
            ProblemError: the key is missing or wrong, or a page of another site asks through a browser.
        """
        headers = Headers(scope=scope)
        if self._local and urlsplit(f"//{headers.get('host', 'localhost')}").hostname not in LOCAL_NAMES:
            raise ProblemError(403, "This service answers to localhost alone; call it by this name.")
        if self._key and scope["path"].startswith(("/v1/", "/metrics")):
            kind, _, bearer = headers.get("authorization", "").partition(" ")
            given = bearer if kind.lower() == "bearer" else headers.get("x-api-key", "")
            if not hmac.compare_digest(given.strip().encode(), self._key):
                challenge = {"WWW-Authenticate": 'Bearer realm="geoclip"'}
                raise ProblemError(401, "The key is missing or wrong; send it as Authorization: Bearer KEY.", challenge)

    def _count(self, scope: Scope, sent: "_Sent", seconds: float) -> None:
        path = scope["path"]
        route = path if path in ROUTES else "page" if scope["method"] in ("GET", "HEAD") else "other"
        self._metrics.requests.labels(route, str(sent.status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        if sent.status >= 400:
            self._metrics.errors.labels(str(sent.status)).inc()
        if route not in ("/health", "/ready", "/metrics"):
            log.info("%s %s %d %.0f ms %d bytes", scope["method"], route, sent.status, 1000 * seconds, sent.size)


class _Sent:
    """Passes an answer on and takes note of its status and size; 0 where the caller left before."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = self.size = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=_headers_of(message))
            headers["X-Content-Type-Options"] = "nosniff"
        else:
            self.size += len(message.get("body", b""))
        await self._send(message)


def _headers_of(message: Message) -> MutableMapping[str, Any]:
    message.setdefault("headers", [])
    return message
