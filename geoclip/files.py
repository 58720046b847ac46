"""Where the cache is, and the writing of files (`index.files`) with messages for people."""

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs

import index.files
from geoclip.errors import InputError
from index.files import STDOUT, is_stream, sha256_of, sync

__all__ = [
    "STDOUT",
    "cache_dir",
    "cannot_write",
    "check_output",
    "is_file",
    "is_folder",
    "is_stream",
    "saying",
    "sha256_of",
    "sync",
    "workspace",
    "written_whole",
]


def cache_dir() -> Path:
    """Return the folder of downloaded and derived files: `$GEOCLIP_CACHE`, or `~/.cache/geoclip-planet`.

    Raises:
        InputError: the one named there has no home, or there is no home folder at all.
    """
    override = os.environ.get("GEOCLIP_CACHE")
    try:
        return Path(override).expanduser() if override else Path(platformdirs.user_cache_path("geoclip-planet"))
    except RuntimeError as error:
        whose = f"GEOCLIP_CACHE is {override!r}, and there is no such user" if override else "There is no home folder"
        raise InputError(f"{whose}; name a folder by its whole path in GEOCLIP_CACHE.") from error


def is_file(path: Path | str) -> bool:
    """Return whether a path is an ordinary file, through links; what cannot even be looked at is none."""
    return os.path.isfile(path)  # noqa: PTH113 - Path raises where a name is too long


def is_folder(path: Path | str) -> bool:
    """Return whether a path is a folder, through links; what cannot even be looked at is none."""
    return os.path.isdir(path)  # noqa: PTH112 - Path raises where a name is too long


@contextmanager
def workspace(folder: Path, prefix: str) -> Iterator[Path]:
    """Yield a new folder in a folder, which is made; it is removed at the end, with what is left in it.

    Those of the same prefix that processes left when they were killed an hour ago are removed too.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob(f"{prefix}*"):
        with suppress(OSError):
            if time.time() - stale.stat().st_mtime > 3600:
                shutil.rmtree(stale, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=folder) as work:
        yield Path(work)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path that takes the name `path` at the end; see `index.files.written_whole`. Makes the folder.

    Raises:
        InputError: the disk is full or the place cannot be written.
    """
    with saying(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with index.files.written_whole(path) as temporary:
            yield temporary


def check_output(path: Path, *, overwrite: bool, advice: str = "") -> None:
    """Refuse, before long work, a file that is not to be replaced or could not be written; nothing is left behind.

    Raises:
        InputError: it exists, and is neither empty nor what `is_stream`; it is a folder or block device; or its folder
            takes no new file.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the name of a file.")
    with saying(path):
        if is_stream(path):
            return
        if not overwrite and path.exists() and path.stat().st_size > 0:
            raise InputError(f"{path} exists; {advice or 'replace it with --overwrite, or choose another name'}.")
        folder = next(each for each in path.absolute().parents if each.exists())
        with tempfile.TemporaryFile(dir=folder):
            pass


@contextmanager
def saying(path: Path) -> Iterator[None]:
    """Turn an error of the system while `path` is written into the sentence for it.

    Raises:
        BrokenPipeError: the reader of a stream has seen enough.
        InputError: any other OSError.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> InputError:
    """Return the sentence for a failed write to `path`."""
    name, other = ("stdout", "name a file with --output") if path == STDOUT else (path, "choose another folder")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return InputError(f"No space left while writing {name}; free some, or {other}. Nothing was lost.")
    return InputError(f"Cannot write {name}: {error.strerror or error}; {other}.")
