"""Hostile files, dying decoders and interrupted runs: each photo is answered or reported, and the run goes on."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import psutil  # type: ignore[import-untyped]
import pytest

from geoclip.errors import GeoclipError, PhotoError
from geoclip.photos import worker as worker_module
from geoclip.photos.decode import CLIP_SIZE, DecodeLimits, Photo, decode
from geoclip.photos.pool import AHEAD_PER_WORKER, TIMEOUT_S, Decoded, decode_all
from geoclip.photos.worker import WORKER_MEMORY_BYTES
from tests.helpers.hostile_files import Entry, Outcome, encoded, picture, write_corpus, write_large, write_slow_jpeg

PIXEL_BYTES = CLIP_SIZE * CLIP_SIZE * 3
CRASHED = "Reading the image crashed the decoder or took too much memory."


class Measured(NamedTuple):
    """What became of one entry."""

    entry: Entry
    decoded: Decoded
    cpu_s: float
    wall_s: float
    peak_bytes: int
    """The worker's largest resident memory up to this photo; 0 where the worker died."""


def measuring(photo: Photo, limits: DecodeLimits) -> bytes:
    """Decode in a worker, and put seconds and memory at the end of the pixels or of the error."""
    cpu_s, wall_s, answer = time.process_time(), time.monotonic(), b""
    try:
        answer = decode(photo, limits)
    except PhotoError as error:
        answer = str(error).encode()
        raise PhotoError((answer + _costs(cpu_s, wall_s)).decode()) from error
    return answer + _costs(cpu_s, wall_s)


def _costs(cpu_s: float, wall_s: float) -> bytes:
    status = Path("/proc/self/status").read_text()
    peak_kb = re.search(r"VmHWM:\s+(\d+) kB", status)  # not ru_maxrss: that begins with the parent's
    assert peak_kb
    return f"\0{time.process_time() - cpu_s} {time.monotonic() - wall_s} {peak_kb[1]}".encode()


def measured(entries: list[Entry], timeout_s: float = TIMEOUT_S) -> list[Measured]:
    """Decode in two workers; fails where there is not exactly one result for each entry, in order."""
    results = list(decode_all((e.path for e in entries), workers=2, timeout_s=timeout_s, decoder=measuring))
    assert [result.name for result in results] == [entry.path for entry in entries]
    return [_unpacked(entry, result) for entry, result in zip(entries, results, strict=True)]


def _unpacked(entry: Entry, result: Decoded) -> Measured:
    assert (result.pixels is None) != (result.error is None)
    packed = result.pixels if result.pixels is not None else (result.error or "").encode()
    answer, _, costs = packed.rpartition(b"\0")
    if not answer:  # the worker died before it could measure
        return Measured(entry, result, 0.0, 0.0, 0)
    cpu_s, wall_s, peak_kb = costs.split()
    decoded = (
        Decoded(result.name, answer, None) if result.error is None else Decoded(result.name, None, answer.decode())
    )
    return Measured(entry, decoded, float(cpu_s), float(wall_s), int(peak_kb) * 1024)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> list[Measured]:
    return measured(write_corpus(tmp_path_factory.mktemp("corpus")))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Measured]]:
    folder = tmp_path_factory.mktemp("large")
    yield measured(write_large(folder), timeout_s=60)  # the machine may be busy; the test counts processor time
    for path in folder.iterdir():
        path.unlink()


def wrong_outcomes(results: list[Measured]) -> dict[str, str | None]:
    return {
        Path(result.entry.path).name: result.decoded.error
        for result in results
        if result.entry.outcome is (Outcome.REPORTED if result.decoded.error is None else Outcome.ANSWERED)
    }


@pytest.mark.slow
def test_the_corpus_is_what_it_should_be(corpus: list[Measured]) -> None:
    assert len(corpus) >= 700
    assert len({result.entry.path for result in corpus}) == len(corpus)
    counts = {outcome: sum(r.entry.outcome is outcome for r in corpus) for outcome in Outcome}
    assert min(counts.values()) >= 100, counts
    damaged = [r.decoded.error is None for r in corpus if r.entry.outcome is Outcome.EITHER]
    assert 50 < sum(damaged) < len(damaged) - 50  # damage that never or always matters tests little


@pytest.mark.slow
def test_known_outcomes(corpus: list[Measured]) -> None:
    assert wrong_outcomes(corpus) == {}


@pytest.mark.slow
def test_every_answer_is_a_full_crop(corpus: list[Measured]) -> None:
    sizes = {len(r.decoded.pixels) for r in corpus if r.decoded.pixels is not None}
    assert sizes == {PIXEL_BYTES}


@pytest.mark.slow
def test_every_error_is_one_sentence(corpus: list[Measured], large: list[Measured]) -> None:
    errors = [r.decoded.error for r in corpus + large if r.decoded.error is not None]
    assert len(errors) > 200
    for error in errors:
        assert error[0].isupper(), error
        assert re.search(r"[^.]\.$", error), error
        assert error.isprintable(), error
        assert ". " not in error, error
        assert len(error) <= 300, error
        assert "Traceback" not in error, error


@pytest.mark.slow
def test_no_file_takes_over_ten_seconds_or_two_gigabytes(corpus: list[Measured]) -> None:
    assert max(r.wall_s for r in corpus) < 10
    assert 0 < max(r.peak_bytes for r in corpus) < 2 * 2**30
    died = [r.entry.path for r in corpus if r.peak_bytes == 0]
    assert died == []  # no decoder crashes here; a crash below is simulated


@pytest.mark.slow
def test_large_files(large: list[Measured]) -> None:
    assert wrong_outcomes(large) == {}
    assert {r.entry.path: r.cpu_s for r in large if r.cpu_s > 10} == {}
    assert max(r.peak_bytes for r in large) < 2 * 2**30
    assert max(r.peak_bytes for r in large if r.decoded.error is None) > 2**29  # they are large


@pytest.mark.slow
def test_a_slow_file_is_cut_short_and_named(tmp_path: Path) -> None:
    slow, good = tmp_path / "slow.jpg", tmp_path / "good.jpg"
    write_slow_jpeg(slow)
    picture().save(good)
    began = time.monotonic()
    results = list(decode_all([slow, good, slow, good], workers=2, timeout_s=1.5))
    assert time.monotonic() - began < 10
    assert [result.name for result in results] == [str(slow), str(good)] * 2
    assert [result.error for result in results] == ["Reading the image takes longer than 1.5 s.", None] * 2


def misbehaving(photo: Photo, _: DecodeLimits) -> bytes:
    """Stand in for a decoder with a defect that the photo's content chooses."""
    if photo == b"exit":
        os._exit(0)
    if photo == b"segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if photo == b"abort":
        os.abort()
    if photo == b"killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if photo == b"bug":
        raise RuntimeError("not a PhotoError")
    if photo == b"memory":
        return bytes(3 * 2**30)
    if photo == b"sleep":
        time.sleep(600)
    if photo == b"hang":
        sum(range(10**13))  # one C call: Python's own signal handlers would not run before its end
    if photo == b"deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sum(range(10**13))
    if photo == b"stopped":
        os.kill(os.getpid(), signal.SIGSTOP)
    if photo == b"noise":
        os.write(1, b"noise of a C library\n")
        os.write(2, b"noise of a C library\n")
    return str(os.getpid()).encode()


def run(photos: list[bytes], **options: Any) -> list[str | None]:
    """Run photos through the misbehaving decoder and return the errors."""
    decoded = list(decode_all(photos, decoder=misbehaving, **options))
    assert [d.name for d in decoded] == [f"photo {i}" for i in range(len(photos))]
    return [d.error for d in decoded]


@pytest.mark.slow
@pytest.mark.parametrize("defect", [b"exit", b"segfault", b"abort", b"killed", b"bug", b"memory"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_dying_decoder_costs_one_photo(defect: bytes, workers: int) -> None:
    photos = [b"good", defect, b"good", defect, defect, b"good"]
    assert run(photos, workers=workers) == [None, CRASHED, None, CRASHED, CRASHED, None]


@pytest.mark.slow
@pytest.mark.parametrize("defect", [b"sleep", b"hang", b"deaf"])
def test_a_hanging_decoder_costs_one_photo_and_its_time(defect: bytes) -> None:
    run([b"good"], workers=1)  # the time to start Python is not the photo's
    late = "Reading the image takes longer than 0.8 s."
    began = time.monotonic()
    assert run([b"good", defect, b"good", defect, b"good"], workers=1, timeout_s=0.8) == [None, late, None, late, None]
    assert 1.6 < time.monotonic() - began < 8


@pytest.mark.slow
def test_a_photo_has_its_full_time_after_another_was_slow() -> None:
    assert run([b"hang"] + [b"good"] * 5, workers=1, timeout_s=0.5)[1:] == [None] * 5


def test_a_workers_alarm_is_off_between_photos() -> None:
    def photos() -> Iterator[Photo]:
        for pause_s in (0, 0, 0, 0.6, 0):
            time.sleep(pause_s)
            yield b"good"

    decoded = list(decode_all(photos(), workers=1, timeout_s=0.3, decoder=misbehaving))
    assert len({d.pixels for d in decoded}) == 1  # process ids


def limits_of_worker(_: Photo, __: DecodeLimits) -> bytes:
    import resource

    return repr((resource.getrlimit(resource.RLIMIT_AS), resource.getrlimit(resource.RLIMIT_CORE))).encode()


def test_the_kernel_bounds_a_workers_memory() -> None:
    [decoded] = decode_all([b""], workers=1, decoder=limits_of_worker)
    assert decoded.pixels == repr(((WORKER_MEMORY_BYTES, WORKER_MEMORY_BYTES), (0, 0))).encode()
    assert WORKER_MEMORY_BYTES == 2 * 2**30


@pytest.mark.slow
def test_a_photo_as_large_as_a_workers_memory_is_reported() -> None:
    assert run([b"good", bytes(2**30), b"good"], workers=1) == [None, CRASHED, None]


def test_workers_are_kept_and_say_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    decoded = list(decode_all([b"noise"] * 20, workers=2, decoder=misbehaving))
    assert len({d.pixels for d in decoded}) <= 2  # process ids
    assert capfd.readouterr() == ("", "")


def test_pillow_images_are_decoded_in_this_process() -> None:
    [decoded] = decode_all([picture()], workers=1, decoder=misbehaving)
    assert decoded == Decoded("photo 0", str(os.getpid()).encode(), None)


def worker_processes() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "serve(" in " ".join(child.cmdline())]


def gone(condition: Callable[[], bool], within_s: float = 5.0) -> bool:
    """Wait until the condition holds no longer."""
    deadline = time.monotonic() + within_s
    while condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return not condition()


def test_a_worker_that_died_idle_is_replaced() -> None:
    def photos() -> Iterator[Photo]:
        for _ in range(5):
            yield b"good"
        time.sleep(0.5)
        killed = worker_processes()
        assert killed
        for process in killed:
            process.kill()
            process.wait(5)
        for _ in range(5):
            yield b"good"

    decoded = list(decode_all(photos(), workers=1, decoder=misbehaving))
    assert [d.error for d in decoded] == [None] * 10
    assert len({d.pixels for d in decoded}) == 2


@pytest.mark.slow
@pytest.mark.parametrize("photo", [b"good", b"deaf"])
def test_closing_a_run_ends_its_workers_at_once(photo: bytes) -> None:
    stream = decode_all([b"good", *[photo] * 20], workers=2, timeout_s=60, decoder=misbehaving)
    assert next(stream).error is None
    assert worker_processes()
    began = time.monotonic()
    cast(Any, stream).close()
    assert time.monotonic() - began < 3
    assert worker_processes() == []


@pytest.mark.slow
def test_a_stopped_worker_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The alarm of a stopped process does not ring: the parent looks at its own clock, also while it sends."""
    monkeypatch.setattr(worker_module, "GRACE_S", 0.5)
    late = "Reading the image takes longer than 0.5 s."
    assert run([b"good", b"stopped", b"good"], workers=1, timeout_s=0.5) == [None, late, None]

    def photos() -> Iterator[Photo]:
        yield b"good"
        for _ in range(AHEAD_PER_WORKER - 1):
            yield b"good"
        time.sleep(0.5)
        for process in worker_processes():
            process.suspend()
        yield bytes(2**24)  # more than a pipe takes
        yield b"good"

    errors = [d.error for d in decode_all(photos(), workers=1, timeout_s=0.5, decoder=misbehaving)]
    assert errors == [None] * AHEAD_PER_WORKER + [late, None]


@pytest.mark.parametrize(("killed", "works"), [(2, True), (3, False)])
def test_a_worker_killed_while_it_starts_is_started_again(
    killed: int, works: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched: list[int] = []
    launch = worker_module.Worker._launch

    def interrupted(self: worker_module.Worker) -> Any:
        process, pipe = launch(self)
        launched.append(process.pid)
        if len(launched) <= killed:
            process.kill()
        return process, pipe

    monkeypatch.setattr(worker_module.Worker, "_launch", interrupted)
    if works:
        assert run([b"good", b"good"], workers=1) == [None, None]
        assert len(launched) == 3
    else:
        with pytest.raises(GeoclipError, match=r"cannot start \(it ended with -9\)"):
            run([b"good"], workers=1)


def test_a_worker_that_cannot_start_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(GeoclipError, match=r"^A worker process cannot start \(it ended with 1\); .*\.$"):
        list(decode_all([b"photo"] * 3, workers=2))
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(GeoclipError, match=r"^A worker process cannot start \(No such file or directory\); .*\.$"):
        list(decode_all([b"photo"] * 3, workers=2))


SCRIPT = """
import sys, time
from geoclip.photos.pool import decode_all
from tests.geoclip.photos.test_hostile import misbehaving
for decoded in decode_all([b"good", b"deaf", b"deaf", b"good"], workers=2, timeout_s=2, decoder=misbehaving):
    print(decoded.error, flush=True)
"""


def script() -> "subprocess.Popen[str]":
    """Start a run of two hanging photos that prints a line for each result."""
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", SCRIPT]
    return subprocess.Popen(
        command,
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.slow
def test_ctrl_c_ends_the_run_and_its_workers() -> None:
    with script() as process:
        assert process.stdout
        assert process.stdout.readline() == "None\n"
        workers = psutil.Process(process.pid).children()
        assert workers
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, complaint = process.communicate(timeout=10)
    assert complaint.count("Traceback") == 1
    assert complaint.rstrip().endswith("KeyboardInterrupt")
    assert gone(lambda: any(worker.is_running() for worker in workers))


def test_a_hanging_worker_does_not_outlive_a_killed_run() -> None:
    with script() as process:
        assert process.stdout
        assert process.stdout.readline() == "None\n"
        workers = psutil.Process(process.pid).children()
        assert len(workers) == 2
        process.kill()
    assert gone(lambda: any(w.is_running() and w.status() != psutil.STATUS_ZOMBIE for w in workers))


def test_workers_need_no_guarded_main_module() -> None:
    photo = encoded(picture(), "PNG")
    code = (
        f"from geoclip.photos.pool import decode_all\nprint([d.error for d in decode_all([{photo!r}] * 3, workers=2)])"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-"], input=code, cwd=root, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[None, None, None]\n"
