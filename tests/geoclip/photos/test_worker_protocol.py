"""What a worker process says, when a photo has taken it over: nothing of it runs in the parent."""

import inspect
import os
import pickle
import struct
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any, cast

from geoclip.photos.decode import DecodeLimits, Photo, Picture
from geoclip.photos.pool import decode_all


class Trap:
    """Whoever unpickles this makes a folder."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


def taken_over(photo: Photo, _: DecodeLimits) -> bytes | Picture:
    """Stand in for a decoder that a photo has taken over: it speaks to the parent itself."""
    caller = cast(FrameType, cast(FrameType, inspect.currentframe()).f_back)
    pipe: Connection = caller.f_locals["pipe"]
    content = cast(bytes, photo)
    if content.startswith(b"/"):
        pipe.send(Trap(content.decode()))
    elif content != b"good":
        pipe.send_bytes(content)
    return Picture(b"pixels", (1.5, -2.5))


def test_what_a_worker_says_is_never_unpickled(tmp_path: Path) -> None:
    trap = tmp_path / "made by the trap"
    pickle.loads(pickle.dumps(Trap(str(trap))))
    assert trap.exists()  # it works
    trap.rmdir()
    nowhere, odd = (struct.pack("<c2d32s", b"P", *place) for place in ((500.0, 0.0, b""), (1.0, 2.0, b"\xff")))
    hostile = [str(trap).encode(), b"P", b"X" * 90, b"E" + bytes(48) + b"\xff not text", nowhere, odd]
    photos = [photo for content in hostile for photo in (content, b"good")]
    found = list(decode_all(cast(list[Photo], photos), workers=1, decoder=taken_over))
    assert not trap.exists()
    crashed = "Reading the image crashed the decoder or took too much memory."
    assert [(d.pixels, d.error, d.gps) for d in found] == [
        (None, crashed, None),
        (b"pixels", None, (1.5, -2.5)),
    ] * len(hostile)
