"""A service of a small index, as tests ask it."""

import base64
import http.client
import json
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoclip.encoders.location import LocationEncoder
from tests.helpers.commands import command, geoclip
from tests.helpers.pictures import make_photo
from tests.helpers.small_release import SmallRelease

PLACES = {"FR": (47.60, 7.48), "DE": (47.65, 7.72), "CH": (47.48, 7.65)}
"""Around Basel, each some kilometres from its borders."""


class ServedWork(NamedTuple):
    """What a service is given, and what it is asked."""

    folder: Path
    basel: Path
    """The index."""
    photos: list[Path]
    vectors: NDArray[np.float32]
    """Of `PLACES`."""

    def json_vectors(self, **others: Any) -> bytes:
        """The vectors as a body."""
        return json.dumps({"vectors": self.vectors.tolist(), **others}).encode()

    def json_photos(self, count: int = 1) -> bytes:
        """Photos as a body."""
        photos = [
            {"name": path.name, "data": base64.b64encode(path.read_bytes()).decode()} for path in self.photos[:count]
        ]
        return json.dumps({"photos": photos}).encode()


def served_work(folder: Path, encoder: LocationEncoder, small_towers: SmallRelease) -> ServedWork:
    """Build a small index around Basel, and make photos and vectors."""
    assert small_towers.clip.is_file()
    done = geoclip("build", folder / "basel", "--region", "disk:47.56,7.6,16")
    assert done.exit_code == 0, done.stderr
    photos = [make_photo(folder / "photos" / f"{i}.png", seed=i) for i in range(6)]
    vectors = np.asarray(encoder.embed(np.array(list(PLACES.values()))), dtype=np.float32)
    return ServedWork(folder, folder / "basel", photos, vectors)


class ServerProcess:
    """`geoclip serve` as a process of its own, which may write no file: its limit on their size is 0.

    Args:
        arguments: of the command.
    """

    def __init__(self, *arguments: str | Path) -> None:
        self.process = subprocess.Popen(
            ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *command("serve", "--port", "0", *arguments)],
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log: list[str] = []
        self.port = 0
        self._ready = threading.Event()
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        assert self._ready.wait(300), self.log
        assert self.port, self.log

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line)
            if found := re.search(r"Listening on http://127\.0\.0\.1:(\d+);", line):
                self.port = int(found[1])
                self._ready.set()
        self._ready.set()

    def ask(self, method: str, address: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """Return the status and the content of one answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(
                method, address, body, {name.replace("_", "-"): value for name, value in headers.items()}
            )
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def patiently(self, method: str, address: str, body: bytes, **headers: str) -> bytes:
        """Return the content of an answer; where there is no room, ask again."""
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            status, content = self.ask(method, address, body, **headers)
            if status == 200:
                return content
            assert status == 503, content
            time.sleep(0.05)
        raise AssertionError("There was no room for minutes.")

    def connection(self, timeout_s: float = 60) -> socket.socket:
        """Return a connection, to be misused."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout_s)

    def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=200)
        self._reading.join(timeout=20)
        return code
