"""A web server of the files of a folder, on this machine alone, that can be told to misbehave."""

import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class FileServer(ThreadingHTTPServer):
    """What it serves, what it was asked, and how it misbehaves."""

    daemon_threads = True

    def __init__(self, folder: Path, tls: tuple[Path, Path] | None = None) -> None:
        self.folder, self.asked = folder, list[tuple[str, str]]()
        self.change: Callable[[str, bytes], bytes] = lambda name, content: content
        self.redirect: str | None = None
        self.ranges = True
        self.cuts = dict[str, int]()
        """How many of the answers with a file will end in the middle."""
        self.fails = dict[str, int]()
        """How many of the next answers for a file are that the server is busy."""
        super().__init__(("127.0.0.1", 0), partial(_Handler))
        self._scheme = "http"
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.socket, self._scheme = context.wrap_socket(self.socket, server_side=True), "https"

    @property
    def address(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: FileServer

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        name, wanted = self.path.partition("?")[0].lstrip("/"), self.headers.get("Range", "")
        self.server.asked.append((name, wanted))
        path = self.server.folder / name
        if self.server.redirect is not None:
            self.send_response(302)
            self.send_header("Location", self.server.redirect)
            self.end_headers()
            return
        if self.server.fails.get(name):
            self.server.fails[name] -= 1
            self.send_response(503)
            self.end_headers()
            return
        if not path.is_file():
            self.send_response(404)
            self.end_headers()
            return
        content = self.server.change(name, path.read_bytes())
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted) if self.server.ranges else None
        start = int(found[1]) if found else 0
        stop = min(int(found[2]) + 1, len(content)) if found and found[2] else len(content)
        if found and start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if found else 200)
        if self.server.ranges:
            self.send_header("Accept-Ranges", "bytes")
        if found:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(content)}")
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        if body and self.server.cuts.get(name) and stop - start > 1:
            self.server.cuts[name] -= 1
            self.wfile.write(content[start : (start + stop) // 2])
            self.close_connection = True
        elif body:
            self.wfile.write(content[start:stop])

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Say nothing of what was asked."""


@contextmanager
def serving(folder: Path, tls: tuple[Path, Path] | None = None) -> Iterator[FileServer]:
    """Serve a folder until the end; over TLS with a certificate and its key."""
    with FileServer(folder, tls) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()
