"""Files that exist whole or not at all."""

import errno
import fcntl
import hashlib
import os
import re
import shutil
import stat
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

STDOUT = Path("-")
_OPEN_ALREADY = re.compile("/dev/(std|fd/)|/proc/[^/]+/fd/")  # another program has the file behind these open
_LEFT_OVER = re.compile(r"\..+\.[0-9a-f]{32}\.tmp", re.DOTALL)


def sync(path: Path) -> None:
    """Make a file, or a directory's entries, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; at the end it is made durable and takes the name `path`.

    If the body fails, the temporary file is removed and `path` is as it was. What killed processes left in the folder
    is removed at the first call. Links are followed. What `is_stream` is not replaced: it is written into at the end.

    Raises:
        OSError: `path` is a folder, a block device or a socket, or cannot be written.
    """
    if is_stream(path):
        with tempfile.TemporaryDirectory() as folder:
            temporary = Path(folder) / path.name
            yield temporary
            with temporary.open("rb") as source, open_stream(path) as stream:
                shutil.copyfileobj(source, stream)
        return
    path = path.resolve() if path.is_symlink() else path
    _remove_leftovers(path.parent.absolute())
    temporary, descriptor = _locked_temporary(path)
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    finally:
        os.close(descriptor)
        temporary.unlink(missing_ok=True)


def _locked_temporary(path: Path) -> tuple[Path, int]:
    """Make an empty file beside `path`; return it and its descriptor, whose lock says that it is not left over."""
    temporary = path.with_name(f".{path.name[:50]}.{uuid.uuid4().hex}.tmp")
    try:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    with suppress(OSError):  # a file system without locks: nothing will be removed there
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    if temporary.exists():
        return temporary, descriptor
    os.close(descriptor)  # another process took it for left over before it was locked
    return _locked_temporary(path)


def is_stream(path: Path) -> bool:
    """Return whether a path is `-`, which is stdout, a FIFO or a character device: written into and never replaced.

    Raises:
        OSError: it is a folder, a block device or a socket, which cannot be written.
    """
    if path == STDOUT or _OPEN_ALREADY.match(str(path)):
        return True
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    if stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        return not stat.S_ISREG(mode)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "It is a folder", str(path))
    raise OSError(errno.EINVAL, "It is not an ordinary file", str(path))


@contextmanager
def open_stream(path: Path) -> Iterator[BinaryIO]:
    """Yield what `is_stream`, open to be written into; stdout stays open.

    Raises:
        OSError: it cannot be opened, or stdout is closed.
    """
    if path != STDOUT:
        with path.open("wb") as file:
            yield file
    elif sys.stdout is None:
        raise OSError(errno.EBADF, "It is closed")
    else:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()


def is_left_over(name: str) -> bool:
    """Return whether a name is that of a temporary file of `written_whole`."""
    return _LEFT_OVER.fullmatch(name) is not None


@cache
def _remove_leftovers(folder: Path) -> None:
    """Remove temporary files in a folder that no process holds, once in a process's life."""
    with suppress(OSError):
        for path in list(folder.iterdir()):
            if is_left_over(path.name) and stat.S_ISREG(path.lstat().st_mode):
                with suppress(OSError), path.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()


def sha256_of(path: Path) -> str:
    """Return the hexadecimal sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
