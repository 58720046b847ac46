"""The application on a port: uvicorn, with an end for callers that say nothing, and an orderly end for itself."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from typing import Any, ClassVar

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from geoclip.errors import InputError
from geoclip.long_lived import keep_loaded
from geoclip.serve.settings import ServeOptions

FINISHING_S = 120
"""What runs when the service is told to stop may take so long."""


class _Protocol(H11Protocol):
    """HTTP/1.1; who sends half of a request's head does not keep a connection."""

    upload_s: ClassVar[float]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_request()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._expect_request()

    def _expect_request(self) -> None:
        latest = self.cycle

        def close() -> None:
            if self.cycle is latest and not self.transport.is_closing():
                self.transport.close()

        self.loop.call_later(self.upload_s, close)


def run(app: FastAPI, settings: ServeOptions, on_listening: Callable[[str], object] = lambda _: None) -> None:
    """Serve until SIGTERM or Ctrl-C: then nothing new is accepted, what was accepted is answered.

    Args:
        app: the application.
        settings: where to listen.
        on_listening: told the address.

    Raises:
        InputError: the address cannot be had.
        KeyboardInterrupt: it was Ctrl-C.
    """
    listening = _socket(settings)
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING)
    logging.getLogger("geoclip.serve").setLevel(logging.INFO)
    config: Any = uvicorn.Config(
        app,
        http=type("_", (_Protocol,), {"upload_s": settings.upload_s}),
        ws="none",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=256,
        timeout_graceful_shutdown=FINISHING_S,
    )
    keep_loaded()
    before = signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn raises it again at the end
    try:
        host, port = listening.getsockname()[:2]
        on_listening(f"http://{f'[{host}]' if ':' in host else host}:{port}")
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        signal.signal(signal.SIGTERM, before)


def _socket(settings: ServeOptions) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        listening = socket.create_server((settings.host, settings.port), family=family, backlog=256)
        # accepted sockets inherit it; asyncio sets it only where the socket names its protocol, which this one does not
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except OSError as error:
        raise InputError(
            f"Cannot listen on {settings.host}, port {settings.port} ({error.strerror or error}); choose others with "
            "--host and --port."
        ) from error
