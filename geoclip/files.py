"""Where the cache is, and the writing of files (`index.files`) with messages for people."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

import index.files
from geoclip.errors import InputError
from index.files import is_stream, sha256_of, sync

__all__ = ["cache_dir", "cannot_write", "check_writable", "sha256_of", "sync", "written_whole"]


def cache_dir() -> Path:
    """Return the folder of downloaded and derived files: `$GEOCLIP_CACHE`, or `~/.cache/geoclip-planet`."""
    override = os.environ.get("GEOCLIP_CACHE")
    return Path(override).expanduser() if override else Path(platformdirs.user_cache_path("geoclip-planet"))


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path that takes the name `path` at the end; see `index.files.written_whole`. Makes the folder.

    Raises:
        InputError: the disk is full or the place cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with index.files.written_whole(path) as temporary:
            yield temporary
    except OSError as error:
        raise cannot_write(path, error) from error


def check_writable(path: Path) -> None:
    """Refuse, before long work, a file that could not be written at its end; nothing is left behind.

    Raises:
        InputError: it is a folder or a device, or the nearest folder that exists takes no new file.
    """
    try:
        if is_stream(path):
            return
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
