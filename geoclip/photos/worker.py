"""A process that decodes photos one at a time, within limits that the kernel enforces.

Written here and not taken from a process pool: the photo that kills a worker must be known, a worker that dies idle
must not end the run, a hang in C must end on time, and the caller's main module must not be imported into the memory
meant for the photo. Pools over `multiprocessing` (pebble was tried) fall short in one or more of these.
"""

import math
import os
import signal
import struct
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event, Lock, Timer

from geoclip.errors import GeoclipError, PhotoError
from geoclip.photos.decode import DecodeLimits, Photo, Picture
from geoclip.photos.exif import MAX_DATUM

WORKER_MEMORY_BYTES, BYTES_PER_PIXEL = 2 * 2**30, 12
"""What a worker may take: so much, or more where larger photos are allowed than those that fit."""
STARTS, START_S, GRACE_S = 3, 60.0, 5.0
"""How often a worker is started before it cannot, and how long that may take; what it may be late with an answer."""
Decoder = Callable[[Photo, DecodeLimits], bytes | Picture]
"""Photo and limits to pixels, alone or with the position; raises `PhotoError`."""

# What a worker says: a kind, latitude and longitude (NaN: none), their datum, then pixels or the error's text. Not
# pickled: a photo that takes over its decoder must not choose what this process runs.
_HEAD = struct.Struct(f"<c2d{MAX_DATUM}s")
_PIXELS, _ERROR = b"P", b"E"


class Worker:
    """One process that decodes photos, started when first needed and again after it died.

    A plain child rather than one of `multiprocessing`: that would import the caller's main module, with its torch,
    into the memory meant for the photo. At most one photo is with the process, so its death has one cause.
    """

    def __init__(self, decoder: Decoder, limits: DecodeLimits, timeout_s: float) -> None:
        self._job = (decoder, limits, timeout_s)
        self._live: tuple[subprocess.Popen[bytes], Connection] | None = None
        self._closed = False
        self._lock = Lock()  # over the two above: `close` comes from another thread

    def decode(self, photo: str | Path | bytes, limits: DecodeLimits | None = None) -> Picture:
        """Return the pixels and position of a photo.

        Args:
            photo: to be read.
            limits: of this photo, in place of the worker's; the process has the memory that the worker's ask for.

        Raises:
            PhotoError: the photo cannot be read, or the process died of it or did not answer.
            GeoclipError: the process cannot start.
        """
        process, pipe = self._started()
        timeout_s = self._job[2]
        answer: Picture | str
        with _killed_after(process, timeout_s + GRACE_S) as late:  # the alarm of a stopped process does not ring
            try:
                pipe.send((photo, limits or self._job[1]))
                answer = _unpacked(pipe.recv_bytes())
            except (EOFError, OSError, ValueError, struct.error):
                process.kill()
                if process.wait() == -signal.SIGALRM or late.is_set():
                    answer = f"Reading the image takes longer than {timeout_s:g} s."
                else:
                    answer = "Reading the image crashed the decoder or took too much memory."
        if isinstance(answer, str):
            raise PhotoError(answer)
        return answer

    def close(self) -> None:
        """End the process, whatever it does; it is not started again."""
        with self._lock:
            self._closed = True
            if self._live is not None:
                self._live[0].kill()
                self._live[0].wait()

    def _started(self) -> tuple[subprocess.Popen[bytes], Connection]:
        if self._live is not None and self._live[0].poll() is None:
            return self._live
        advice = "with workers=0 photos are decoded in this process"
        for _ in range(STARTS):  # one that is killed meanwhile, for want of memory or by a person, says nothing
            try:
                process, pipe = self._launch()
            except OSError as error:
                raise GeoclipError(f"A worker process cannot start ({error.strerror}); {advice}.") from error
            with _killed_after(process, START_S):
                try:
                    pipe.send(self._job)
                    pipe.recv_bytes()  # it is ready
                    return process, pipe
                except (EOFError, OSError):
                    status = process.wait()
        raise GeoclipError(f"A worker process cannot start (it ended with {status}); {advice}.")

    def _launch(self) -> tuple[subprocess.Popen[bytes], Connection]:
        pipe, theirs = Pipe()
        fd = theirs.fileno()
        with self._lock, theirs:
            if self._closed:
                raise PhotoError("The run was stopped.")
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import serve; serve({fd})",
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[fd],
                start_new_session=True,  # Ctrl-C is the parent's
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # else numpy reserves memory for every core
            )
            self._live = process, pipe
        return process, pipe


@contextmanager
def _killed_after(process: "subprocess.Popen[bytes]", seconds: float) -> Iterator[Event]:
    """Kill a process at the end of a time, unless the body ends before; the event says that it was."""
    late = Event()

    def kill() -> None:
        late.set()
        process.kill()

    timer = Timer(seconds, kill)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()


def memory_bytes(limits: DecodeLimits) -> int:
    """Return what a worker may take."""
    return max(WORKER_MEMORY_BYTES, BYTES_PER_PIXEL * limits.max_pixels)


def serve(pipe_fd: int) -> None:
    """Decode photo after photo in a worker process, until the pipe closes.

    The kernel enforces the limits: it refuses memory, and its alarm ends the process when a photo takes too long,
    even if the parent is gone. Decoders' last words are not shown.
    """
    import resource

    from PIL import AvifImagePlugin, Image

    pipe = Connection(pipe_fd)
    decoder, limits, timeout_s = pipe.recv()
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # there is a worker per core
    Image.MAX_IMAGE_PIXELS = None  # the limits are ours
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # elsewhere address space cannot be limited
        hard, memory = resource.getrlimit(resource.RLIMIT_AS)[1], memory_bytes(limits)
        memory = memory if hard == resource.RLIM_INFINITY else min(hard, memory)
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    pipe.send_bytes(b"ready")
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    while True:
        try:
            photo, own_limits = pipe.recv()
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_REAL, timeout_s)
        try:
            answer: bytes | Picture | str = decoder(photo, own_limits)
        except PhotoError as error:
            answer = str(error)
        signal.setitimer(signal.ITIMER_REAL, 0)
        pipe.send_bytes(_packed(answer))


def _packed(answer: bytes | Picture | str) -> bytes:
    if isinstance(answer, str):
        return _HEAD.pack(_ERROR, math.nan, math.nan, b"") + answer.encode(errors="backslashreplace")
    picture = answer if isinstance(answer, Picture) else Picture(answer, None)
    return _HEAD.pack(_PIXELS, *(picture.gps or (math.nan, math.nan)), picture.datum.encode()) + picture.pixels


def _unpacked(message: bytes) -> Picture | str:
    """Undo `_packed`; pixels alone come back without a position.

    Raises:
        ValueError, struct.error: this is nothing that `_packed` makes.
    """
    kind, lat, lng, datum = _HEAD.unpack_from(message)
    content = message[_HEAD.size :]
    if kind == _ERROR:
        return content.decode()
    if kind != _PIXELS:
        raise ValueError(f"a message of the kind {kind!r}")
    if not (math.isnan(lat) and math.isnan(lng)) and not (abs(lat) <= 90 and abs(lng) <= 180):
        raise ValueError("a position that is none")
    return Picture(content, None if math.isnan(lat) else (lat, lng), datum.rstrip(b"\0").decode("ascii"))
