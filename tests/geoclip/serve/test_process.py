"""A service as a process of its own, asked by many at once, by hostile callers, and told to stop.

It may write no file at all (its limit on their size is 0), so every test here also says that a full disk does not
matter and that nothing of a photo is kept.
"""

import contextlib
import io
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest
from PIL import Image

from geoclip.files import is_file
from tests.helpers.commands import geoclip
from tests.helpers.hostile_files import Outcome, write_corpus
from tests.helpers.served import ServedWork, ServerProcess

pytestmark = pytest.mark.slow

LINES, IMAGE, JSON = "application/x-ndjson", "image/png", "application/json"
SECRET = "Grandmother-on-the-balcony"
HEAD = b"POST /v1/locate HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"


@pytest.fixture(scope="module")
def server(work: ServedWork) -> Iterator[ServerProcess]:
    """A service with little room and little patience."""
    limits = ("--queue", "6", "--upload-mb", "4", "--upload-s", "3", "--photos", "40", "--workers", "2")
    running = ServerProcess("-i", work.basel, "--device", "cpu", *limits)
    yield running
    running.stop()


def multipart(photos: list[Path]) -> tuple[bytes, str]:
    """Return a body of several photos, and its type."""
    part = b"--b\r\nContent-Disposition: form-data; name=p; filename=%s\r\n\r\n%s\r\n"
    parts = [part % (path.name.encode(), path.read_bytes()) for path in photos]
    return b"".join(parts) + b"--b--", "multipart/form-data; boundary=b"


def answered(server: ServerProcess, work: ServedWork) -> None:
    """Check that the next request is answered."""
    content = server.patiently("POST", "/v1/locate?k=1&effort=fast", work.photos[0].read_bytes(), Content_Type=IMAGE)
    assert json.loads(content)["answers"][0]["error"] is None


def test_many_at_once_get_what_the_command_line_gives(
    server: ServerProcess, work: ServedWork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vectors and photos, each a request of its own, from 32 callers: byte for byte.

    `python -m benchmarks.serve_equal` does the same with more.
    """
    rng = np.random.default_rng(0)
    vectors = work.vectors[rng.integers(0, 3, 40)] + rng.normal(0, 0.02, (40, 512)).astype(np.float32)
    np.save(tmp_path / "v.npy", vectors)
    fast = ("--effort", "fast", "-f", "jsonl")
    lines = geoclip("search", work.basel, tmp_path / "v.npy", *fast).stdout.splitlines()
    monkeypatch.chdir(work.folder / "photos")
    names = [path.name for path in work.photos]

    def of_vector(row: int) -> str:
        body = json.dumps({"vectors": [vectors[row].tolist()], "names": [str(row)]}).encode()
        return server.patiently("POST", "/v1/search?effort=fast", body, Content_Type=JSON, Accept=LINES).decode()

    def of_photo(name: str) -> str:
        address = f"/v1/locate?effort=fast&name={name}"
        return server.patiently("POST", address, Path(name).read_bytes(), Content_Type=IMAGE, Accept=LINES).decode()

    with ThreadPoolExecutor(32) as threads:
        found = [threads.submit(of_vector, row) for row in range(len(vectors))]
        located = [threads.submit(of_photo, name) for name in names]
        assert [future.result() for future in found] == [f"{line}\n" for line in lines]
        alone = [geoclip("locate", name, "-i", work.basel, *fast, "--workers", "1").stdout for name in names[:2]]
        assert [future.result() for future in located[:2]] == alone
    together = geoclip("locate", *names, "-i", work.basel, *fast, "--workers", "1").stdout
    body, kind = multipart(work.photos)
    given = server.patiently("POST", "/v1/locate?effort=fast", body, Content_Type=kind, Accept=LINES)
    assert given.decode() == together


def test_beyond_the_queue_there_is_503_at_once_and_health_answers(server: ServerProcess, work: ServedWork) -> None:
    body = json.dumps({"vectors": work.vectors.tolist() * 4}).encode()
    statuses: list[int] = []
    refused_s: list[float] = []
    stop = threading.Event()

    def caller() -> None:
        while not stop.is_set():
            begun = time.monotonic()
            status, content = server.ask("POST", "/v1/search?k=1&effort=fast", body, Content_Type=JSON)
            statuses.append(status)
            if status == 503:
                refused_s.append(time.monotonic() - begun)
            else:
                assert len(json.loads(content)["answers"]) == 12

    with ThreadPoolExecutor(16) as threads:
        callers = [threads.submit(caller) for _ in range(16)]
        health = []
        for _ in range(12):
            begun = time.monotonic()
            assert server.ask("GET", "/health")[0] == 200
            health.append(time.monotonic() - begun)
            time.sleep(0.1)
        stop.set()
        for each in callers:
            each.result()
    assert set(statuses) == {200, 503}
    # generous: other tests use the same processors; `benchmarks/serve_load.py` measures
    assert np.median(health) < 0.5
    assert np.median(refused_s) < 0.5
    assert b"geoclip_queue 0.0" in server.ask("GET", "/metrics")[1]


def test_hostile_photos_cost_their_own_request(server: ServerProcess, work: ServedWork, tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    entries = [entry for entry in write_corpus(tmp_path / "corpus") if is_file(entry.path)]
    assert len(entries) > 185
    expected = {Outcome.ANSWERED: {200}, Outcome.REPORTED: {422}, Outcome.EITHER: {200, 422}}

    def status(path: str) -> int:
        content = Path(path).read_bytes()
        while (found := server.ask("POST", "/v1/embed", content, Content_Type=IMAGE)[0]) == 503:
            time.sleep(0.05)
        return found

    with ThreadPoolExecutor(4) as threads:
        for entry, found in zip(entries, threads.map(lambda entry: status(entry.path), entries), strict=True):
            assert found in expected[entry.outcome] or not Path(entry.path).stat().st_size, (entry, found)
    answered(server, work)


def test_a_worker_that_is_killed_costs_no_more_than_its_photo(server: ServerProcess, work: ServedWork) -> None:
    answered(server, work)
    workers = [p for p in psutil.Process(server.process.pid).children() if "serve(" in " ".join(p.cmdline())]
    assert len(workers) >= 2
    for worker in workers:
        worker.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers):
        assert time.monotonic() < deadline  # a photo that meets a dying worker is lost with it
        time.sleep(0.02)
    answered(server, work)
    status, content = server.ask(
        "POST", "/v1/search", json.dumps({"vectors": work.vectors.tolist()}).encode(), Content_Type=JSON
    )
    assert (status, len(json.loads(content)["answers"])) == (200, 3)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (HEAD + b"Content-Length: 1000\r\n\r\nhalf", b"408"),  # and then nothing
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n", b"408"),
        (HEAD + b"Content-Length: 1073741824\r\n\r\n", b"413"),  # a gigabyte, announced
        (HEAD + b"Content-Length: -5\r\n\r\n", b"400"),
        (HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef", b"400"),
        (HEAD + b"Content-Length: 4\r\n\r\nmore than that", b"422"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400"),  # TLS
        (b"GET\r\n\r\n", b"400"),
        (b"X" * 100_000, b"400"),
    ],
)
def test_bodies_that_stop_or_lie(server: ServerProcess, work: ServedWork, sent: bytes, status: bytes) -> None:
    with server.connection() as connection:
        connection.sendall(sent)
        assert connection.recv(4096).split(b" ")[1] == status
    answered(server, work)


def test_a_body_that_is_too_large_and_does_not_say_so(server: ServerProcess, work: ServedWork) -> None:
    before = psutil.Process(server.process.pid).memory_info().rss
    with server.connection() as connection:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(64):
            connection.sendall(b"100000\r\n" + bytes(1 << 20) + b"\r\n")
        assert connection.recv(4096).split(b" ")[1] == b"413"
    assert psutil.Process(server.process.pid).memory_info().rss - before < 32 << 20
    answered(server, work)


def test_callers_that_say_half_of_it_are_left(server: ServerProcess, work: ServedWork) -> None:
    """A hundred connections that never finish their head, some a byte at a time, are closed and stop nobody."""
    connections = [server.connection() for _ in range(100)]
    for connection in connections:
        connection.sendall(b"POST /v1/lo")
    for _ in range(6):
        for connection in connections[:10]:
            connection.sendall(b"c")
        time.sleep(0.1)
    answered(server, work)
    for connection in connections:
        connection.settimeout(30)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(100) == b""
        connection.close()


def test_a_caller_that_leaves_is_forgotten(server: ServerProcess, work: ServedWork) -> None:
    for _ in range(12):  # twice the queue
        with server.connection() as connection:
            content = work.photos[0].read_bytes()
            connection.sendall(HEAD + f"Content-Length: {len(content)}\r\n\r\n".encode() + content)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset, not an end
    answered(server, work)
    time.sleep(0.5)
    answered(server, work)
    metrics = server.ask("GET", "/metrics")[1]
    assert b"geoclip_queue 0.0" in metrics
    assert b"geoclip_upload_bytes 0.0" in metrics


def test_nothing_of_a_photo_is_kept_or_logged(server: ServerProcess, work: ServedWork, tmp_path: Path) -> None:
    """Its name, words about it and its content appear in no file of the process and in no line of its log."""
    picture = Image.open(work.photos[0])
    exif = Image.Exif()
    exif[0x010E] = SECRET
    content = io.BytesIO()
    picture.save(content, "PNG", exif=exif)
    big = content.getvalue() + bytes(3 << 20)  # larger than what forms keep in memory otherwise
    (tmp_path / f"{SECRET}.png").write_bytes(big)
    for body, kind in ((big, IMAGE), (b"broken" + big, IMAGE), multipart([tmp_path / f"{SECRET}.png"])):
        address = f"/v1/locate?name={SECRET}.png&text={SECRET}"
        assert server.ask("POST", address, body, Content_Type=kind)[0] in (200, 422)
    process = psutil.Process(server.process.pid)
    for each in (process, *process.children()):
        assert not [file.path for file in each.open_files() if file.mode != "r" and "/dev/" not in file.path]
    for folder in (Path(os.environ["GEOCLIP_CACHE"]), work.folder):
        for path in folder.rglob("*"):
            if path.is_file() and path.stat().st_size < 1 << 20:
                assert SECRET.encode() not in path.read_bytes(), path
    log = "".join(server.log)
    assert "/v1/locate 200" in log
    assert SECRET not in log
    assert "Traceback" not in log


def test_an_index_that_is_replaced_is_answered_from_until_a_restart(server: ServerProcess, work: ServedWork) -> None:
    body = json.dumps({"vectors": work.vectors.tolist()}).encode()
    before = server.ask("POST", "/v1/search", body, Content_Type=JSON, Accept=LINES)
    assert json.loads(server.ask("GET", "/v1/index")[1])["indexes"][0]["replaced"] is False
    assert geoclip("build", work.basel, "--region", "disk:47.56,7.6,9", "--overwrite").exit_code == 0
    assert server.ask("POST", "/v1/search", body, Content_Type=JSON, Accept=LINES) == before
    assert json.loads(server.ask("GET", "/v1/index")[1])["indexes"][0]["replaced"] is True


def test_told_to_stop_it_finishes_what_it_accepted(server: ServerProcess, work: ServedWork) -> None:
    """The last test here: it ends the service."""
    body, kind = multipart(work.photos * 2)
    with server.connection() as connection:
        head = HEAD.replace(b"image/png", kind.encode()) + f"Accept: {LINES}\r\n".encode()
        connection.sendall(head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        given = connection.recv(1 << 16)
        assert given.startswith(b"HTTP/1.1 200")
        server.process.send_signal(signal.SIGTERM)
        while content := connection.recv(1 << 16):
            given += content
    assert given.endswith(b"0\r\n\r\n")
    assert given.count(b'{"schema": ') == 12
    assert server.stop() == 0
    with pytest.raises(ConnectionRefusedError):
        server.connection()
