"""What `geoclip serve` does under load, beside the library in one process.

    python -m benchmarks.serve_load INDEX [--seconds 60] [--out FILE.jsonl]

Simulated queries near the index's cells, as vectors: CLIP takes no part. First lookups per second, in turns: the
library in this process, one vector or 32 a call, and the service asked by eight callers with as many a request. Then
four times as many requests as were answered, for a minute, whether answers come or not: every accepted answer is
compared byte for byte with the library's. The callers run on the same processors as the service and take their share.
"""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil  # type: ignore[import-untyped]
from numpy.typing import NDArray

from benchmarks.harness import in_turns, parser, percentiles, spread
from benchmarks.released_model import released_model
from benchmarks.results import Results
from benchmarks.simulated import Kind, places, queries
from geoclip.answers.record import record
from geoclip.locator import Locator
from geoclip.writers.jsonl import json_text
from index.grid.cells import cells_at

SEED, CALLERS, ROUNDS, QUEUE = 31, 8, 3, 32
Facts = dict[str, Any]


class Reply(NamedTuple):
    """An answer, and what it took."""

    status: int
    content: bytes
    seconds: float


class Connection:
    """One connection to the service that is kept; plain HTTP, so that asking costs little."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> Reply:
        """Send a request and return the answer, of status 0 where there is none.

        A kept connection that the service has closed meanwhile, as HTTP allows, is opened again.
        """
        begun, kept = time.perf_counter(), self._streams is not None
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = self._streams
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if (said := re.search(rb"content-length: (\d+)", head)) is not None:
                content = await reader.readexactly(int(said[1]))
            else:
                content = await _chunks(reader)
            return Reply(int(head[9:12]), content, time.perf_counter() - begun)
        except (OSError, asyncio.IncompleteReadError) as error:
            self._streams = None
            if kept and not getattr(error, "partial", b""):
                return await self.ask(request)
            return Reply(0, b"", time.perf_counter() - begun)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while size := int(await reader.readline(), 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readexactly(2)
    return b"".join(parts)


def main() -> None:
    """Measure, print and save."""
    options = parser(__doc__)
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--queries", type=int, default=256)
    arguments = options.parse_args()
    results = Results(arguments.out)
    vectors = simulated(arguments.index, arguments.queries)
    locator = Locator.open(arguments.index)
    process, port = started(arguments.index)
    try:
        about = {"callers": CALLERS, "simulated": True, "queries": len(vectors)}
        rates: dict[int, float] = {}
        for together in (1, 32):
            values = side_by_side(locator, port, vectors, together)
            results.add("serve-lookups", about | {"vectors_a_request": together}, values)
            rates[together] = values["service_requests_per_second"]
        values = asyncio.run(overloaded(locator, process, port, vectors, 4 * rates[1], arguments.seconds))
        results.add("serve-overload", about | {"seconds": arguments.seconds, "queue": QUEUE, "times": 4}, values)
    finally:
        process.send_signal(signal.SIGTERM)
        print("exit code", process.wait(timeout=200))


def simulated(index: Path, count: int) -> NDArray[np.float32]:
    """Return vectors of simulated photos near the cells of an index."""
    model = released_model("cpu")
    planet = model.open(index)
    inside = model.gallery[np.isin(cells_at(model.gallery, planet.manifest.coarse_res), planet.cells)]
    return queries(Kind.PHOTO_LIKE, places(inside, count, SEED), model.exact, SEED)


def started(index: Path, *, vectors_only: bool = True) -> tuple["subprocess.Popen[str]", int]:
    """Start the service; return it and its port."""
    arguments = ["-i", str(index), "--port", "0", "--queue", str(QUEUE), *["--vectors-only"] * vectors_only]
    environment = {**os.environ, "GEOCLIP_API_KEY": ""}
    command = [sys.executable, "-m", "geoclip", "serve", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"Listening on http://127\.0\.0\.1:(\d+)", line):
            _drained(process)
            return process, int(found[1])
    raise SystemExit("The service did not start.")


def _drained(process: "subprocess.Popen[str]") -> None:
    """Read the log away, or the service would wait for its reader."""
    import threading

    assert process.stderr is not None
    threading.Thread(target=process.stderr.read, daemon=True).start()


def body(vectors: NDArray[np.float32], names: list[str], *, lines: bool = False) -> bytes:
    """Return a request for vectors."""
    content = json.dumps({"vectors": vectors.tolist(), "names": names}).encode()
    head = "POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += "Accept: application/x-ndjson\r\n" * lines
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


def side_by_side(locator: Locator, port: int, vectors: NDArray[np.float32], together: int) -> Facts:
    """Return lookups per second of the library and of the service, measured in turns."""
    starts = range(0, len(vectors), together)
    asked = locator.asked()
    requests = [body(vectors[at : at + together], [str(row) for row in range(at, at + together)]) for at in starts]

    def library() -> float:
        begun = time.perf_counter()
        for at in starts:
            names = [str(row) for row in range(at, min(at + together, len(vectors)))]
            for answer in locator.answerer.answers(names, vectors[at : at + together], asked):
                json_text(record(answer))
        return time.perf_counter() - begun

    def service() -> float:
        begun = time.perf_counter()
        statuses = asyncio.run(_asked(port, requests))
        assert statuses == Counter({200: len(requests)}), statuses
        return time.perf_counter() - begun

    seconds = in_turns({"library": library, "service": service}, ROUNDS, pause_s=0.5)
    rates = {name: len(vectors) / spread(each)["median_s"] for name, each in seconds.items()}
    return {
        "library_lookups_per_second": rates["library"],
        "service_lookups_per_second": rates["service"],
        "service_requests_per_second": rates["service"] / together,
        "share": rates["service"] / rates["library"],
    }


async def _asked(port: int, requests: list[bytes]) -> Counter[int]:
    waiting, statuses = list(requests), Counter[int]()

    async def caller() -> None:
        connection = Connection(port)
        while waiting:
            statuses[(await connection.ask(waiting.pop())).status] += 1

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return statuses


async def overloaded(
    locator: Locator,
    process: "subprocess.Popen[str]",
    port: int,
    vectors: NDArray[np.float32],
    rate: float,
    seconds: float,
) -> Facts:
    """Ask `rate` times a second; return what came of it."""
    names = [str(row) for row in range(len(vectors))]
    answers = locator.answerer.answers(names, vectors, locator.asked())
    expected = [f'{{"answers": [{json_text(record(answer))}]}}\n'.encode() for answer in answers]
    requests = [body(vectors[row : row + 1], [name]) for row, name in enumerate(names)]
    seen = _Seen(port, requests, expected)
    watching = asyncio.create_task(seen.watch(psutil.Process(process.pid)))
    begun, sent, tasks = time.perf_counter(), 0, set[asyncio.Task[None]]()
    while (now := time.perf_counter() - begun) < seconds:
        while sent < now * rate:
            task = asyncio.create_task(seen.one(sent % len(requests)))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            sent += 1
        await asyncio.sleep(0.002)
    await asyncio.gather(*tasks)
    watching.cancel()
    return {"rate_per_second": rate, "sent": sent, **seen.summary()}


class _Seen:
    """Asks the service, and keeps what came of it."""

    def __init__(self, port: int, requests: list[bytes], expected: list[bytes]) -> None:
        self._port, self._requests, self._expected = port, requests, expected
        self._idle = list[Connection]()
        self._counts = Counter[str]()
        self._refused, self._accepted, self._health, self._resident = ([0.0][:0] for _ in range(4))

    async def one(self, row: int) -> None:
        """Ask for one vector."""
        connection = self._idle.pop() if self._idle else Connection(self._port)
        reply = await connection.ask(self._requests[row])
        self._idle.append(connection)
        if reply.status == 503:
            self._counts["refused"] += 1
            self._refused.append(reply.seconds)
        elif reply.status == 200:
            self._counts["accepted" if reply.content == self._expected[row] else "wrong"] += 1
            self._accepted.append(reply.seconds)
        else:
            self._counts["lost"] += 1

    async def watch(self, process: psutil.Process) -> None:
        """Ask for the service's health, and look at its memory, ten times a second until cancelled."""
        connection = Connection(self._port)
        while True:
            reply = await connection.ask(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert reply.status == 200
            self._health.append(reply.seconds)
            self._resident.append(process.memory_info().rss / 1e6)
            await asyncio.sleep(0.1)

    def summary(self) -> Facts:
        """Return counts, percentiles and memory."""
        return {
            **{name: self._counts[name] for name in ("accepted", "refused", "wrong", "lost")},
            **percentiles(self._accepted, "accepted_"),
            **percentiles(self._refused or [0.0], "refused_"),
            "refused_most_ms": 1000 * max(self._refused, default=0.0),
            **percentiles(self._health, "health_"),
            "health_most_ms": 1000 * max(self._health),
            "rss_first_mb": float(np.median(self._resident[:20])),
            "rss_last_mb": float(np.median(self._resident[-20:])),
            "rss_most_mb": max(self._resident),
        }


if __name__ == "__main__":
    main()
