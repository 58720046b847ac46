"""How the application stands on its port, seen from inside the process that serves it."""

import contextlib
import gc
import http.client
import os
import signal
import socket
import stat
import threading
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI

from geoclip.serve.running import run
from geoclip.serve.settings import ServeOptions


class Seen(NamedTuple):
    """What a caller saw who looked at the service while it served."""

    status: int
    nodelay: list[int]
    """Of the service's ends of the caller's connection: TCP_NODELAY."""
    app_is_collected: bool


def seen(app: FastAPI, host: str) -> Seen:
    """Serve an application in this thread while another one calls it, and then ends it with SIGTERM."""
    found: list[Seen] = []

    def call(address: str) -> None:
        try:
            parts = urlsplit(address)
            assert parts.hostname
            caller = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
            with contextlib.closing(caller):
                caller.request("GET", "/nothing")
                status = caller.getresponse().status
                assert caller.sock is not None
                options = nodelay_of(caller.sock.getsockname())
            found.append(Seen(status, options, any(each is app for each in gc.get_objects())))
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    callers: list[threading.Thread] = []

    def on_listening(address: str) -> None:
        callers.append(threading.Thread(target=call, args=(address,)))
        callers[0].start()

    run(app, ServeOptions(host=host, port=0), on_listening)
    callers[0].join()
    return found[0]


def nodelay_of(peer: tuple[object, ...]) -> list[int]:
    """Return TCP_NODELAY of each socket of this process whose other end is `peer`."""
    options = []
    for descriptor in (int(path.name) for path in list(Path("/proc/self/fd").iterdir())):
        with contextlib.suppress(OSError):  # no socket, one that only listens, or closed meanwhile
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                with socket.socket(fileno=os.dup(descriptor)) as end:
                    if end.getpeername() == peer:
                        options.append(end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
    return options


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_answers_do_not_wait_for_acknowledgements_and_what_is_loaded_is_not_collected(host: str) -> None:
    if host == "::1" and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    app = FastAPI()
    assert any(each is app for each in gc.get_objects())
    looked = seen(app, host)
    assert looked.status == 404
    assert looked.nodelay == [1]
    assert not looked.app_is_collected


def has_ipv6() -> bool:
    """Whether ::1 can be listened on."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True
