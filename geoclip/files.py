"""Files on disk: where the cache is, digests, and writing a file whole or not at all."""

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs

from geoclip.errors import InputError


def cache_dir() -> Path:
    """Return the folder of downloaded and derived files: `$GEOCLIP_CACHE`, or `~/.cache/geoclip-planet`."""
    override = os.environ.get("GEOCLIP_CACHE")
    return Path(override).expanduser() if override else Path(platformdirs.user_cache_path("geoclip-planet"))


def sha256_of(path: Path) -> str:
    """Return the hexadecimal sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Make a file or a directory's entries durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; at the end it is made durable and takes the name `path`.

    If the body fails, the temporary file is removed and `path` is as it was.

    Raises:
        InputError: the disk is full or the place cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with suppress(OSError):  # the parent may be no folder
            temporary.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Refuse, before long work, a file that could not be written at its end; nothing is left behind.

    Raises:
        InputError: the nearest folder that exists takes no new file.
    """
    try:
        folder = next(each for each in path.absolute().parents if each.exists())
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> InputError:
    """Return the sentence for a failed write to `path`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return InputError(f"No space left while writing {path}; free some or choose another folder. Nothing was lost.")
    return InputError(f"Cannot write {path}: {error.strerror or error}; choose a folder that can be written.")
