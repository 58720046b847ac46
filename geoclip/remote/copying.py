"""Copies files of known size and sha256 from an address; goes on where a stopped copy was."""

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from io import UnsupportedOperation
from pathlib import Path
from typing import IO, NamedTuple

from geoclip.errors import InputError
from geoclip.files import sync
from geoclip.remote.address import Address, UnreachableError

_CHUNK = 1 << 20
_LOCK, _SOURCE, _FILES = "lock", "source.json", "files"
_OWN = {_LOCK, _SOURCE, _FILES}
WAITS_S = (0.5, 2.0, 8.0)
"""Before a file is tried again; a try that brought something does not count."""

OnBytes = Callable[[int, int], object]
"""Called with the bytes that are there, counting earlier runs, and all."""


class Wanted(NamedTuple):
    """What a file must be."""

    size: int
    sha256: str


def read_small(address: Address, name: str, most: int) -> bytes:
    """Return the content of a file.

    Raises:
        InputError: it has more than `most` bytes, or cannot be read.
    """
    with address.open(name) as file, address.said(name):
        content = file.read(most + 1)
    if len(content) > most:
        raise InputError(f"{name} of {address} has more than {most:,} bytes; such a file has a few thousand.")
    return content


@contextmanager
def fetching_folder(target: Path, source: str, *, wait: bool = False) -> Iterator[Path]:
    """Make, or enter again, the folder beside a target where its files are gathered; it is removed at the end.

    It stays where the body fails, so that the same command goes on. What it holds of another source is discarded.

    Args:
        target: of the fetch.
        source: names what is fetched, by its digests.
        wait: for another process that is in it; the target may be there then.

    Raises:
        InputError: another process is in it, or it is something else.
    """
    work = target.with_name(f"{target.name}.fetching")
    if os.path.lexists(work) and not (work.is_dir() and {path.name for path in work.iterdir()} <= _OWN):
        raise InputError(f"{work} is not of a fetch; move it away, or fetch under another name.")
    descriptor = _locked(work, wait=wait)
    try:
        about = work / _SOURCE
        if not about.exists() or about.read_text(encoding="utf-8") != json.dumps(source):
            shutil.rmtree(work / _FILES, ignore_errors=True)
            about.write_text(json.dumps(source), encoding="utf-8")
        (work / _FILES).mkdir(exist_ok=True)
        yield work / _FILES
        shutil.rmtree(work / _FILES, ignore_errors=True)
        about.unlink()
        (work / _LOCK).unlink()
        with suppress(OSError):  # another process waits in it
            work.rmdir()
    finally:
        os.close(descriptor)


def _locked(work: Path, *, wait: bool) -> int:
    """Make a folder if there is none and lock it; return the descriptor that holds the lock."""
    work.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(work / _LOCK, os.O_RDWR | os.O_CREAT)
    except FileNotFoundError:  # whoever was in it is done and has removed it
        return _locked(work, wait=wait)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        if os.path.samestat(os.fstat(descriptor), (work / _LOCK).stat()):
            return descriptor
    except FileNotFoundError:
        pass
    except BlockingIOError as error:
        os.close(descriptor)
        raise InputError(f"Another process is fetching into {work}; wait for it, or stop it.") from error
    os.close(descriptor)
    return _locked(work, wait=wait)


def copy_files(address: Address, files: Mapping[str, Wanted], folder: Path, on_bytes: OnBytes) -> None:
    """Copy files that a folder lacks, each under its name when it is what it must be.

    Raises:
        InputError: a file is shorter, longer or another; it is removed. Or it cannot be read, or there is no space.
    """
    total = sum(each.size for each in files.values())
    _check_space(folder, total)
    done = 0
    for name, wanted in files.items():
        path = folder / name
        if not (path.exists() and path.stat().st_size == wanted.size):
            _copy_trying(address, name, wanted, folder, partial(_onwards, on_bytes, done, total))
        done += wanted.size
        on_bytes(done, total)


def _onwards(on_bytes: OnBytes, before: int, total: int, count: int) -> None:
    on_bytes(before + count, total)


def _check_space(folder: Path, total: int) -> None:
    there = sum(path.stat().st_size for path in folder.iterdir())
    if (free := shutil.disk_usage(folder).free) < total - there:
        raise InputError(
            f"{folder} has {free / 1e6:,.0f} MB free and {(total - there) / 1e6:,.0f} MB are needed; free some space, "
            "or choose a folder elsewhere."
        )


def _copy_trying(address: Address, name: str, wanted: Wanted, folder: Path, on_bytes: Callable[[int], object]) -> None:
    """Copy a file; where the other side fails, go on a little later."""
    part = folder / f"{name}.part"
    failed = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            _copy(address, name, wanted, folder, on_bytes)
            return
        except UnreachableError:
            failed = 0 if part.exists() and part.stat().st_size > before else failed + 1
            if failed > len(WAITS_S):
                raise
            time.sleep(WAITS_S[max(failed - 1, 0)])


def _copy(address: Address, name: str, wanted: Wanted, folder: Path, on_bytes: Callable[[int], object]) -> None:
    part = folder / f"{name}.part"
    digest, count = hashlib.sha256(), 0
    with address.open(name) as source, part.open("a+b") as output:
        size = getattr(source, "size", None)
        if size is not None and size != wanted.size:
            raise InputError(f"{name} of {address} has {size:,} bytes, and should have {wanted.size:,}.")
        output.seek(0)
        while chunk := output.read(_CHUNK):
            digest.update(chunk)
            count += len(chunk)
        if count and not _moved(source, count):
            output.truncate(0)
            digest, count = hashlib.sha256(), 0
        begun = count
        while count <= wanted.size:
            with address.said(name):
                chunk = source.read(min(_CHUNK, wanted.size + 1 - count))
            if not chunk:
                break
            output.write(chunk)
            digest.update(chunk)
            count += len(chunk)
            on_bytes(count)
    if count < wanted.size:
        raise UnreachableError(
            f"{name} of {address} ended after {count:,} of {wanted.size:,} bytes; the same command goes on."
        )
    if count > wanted.size or digest.hexdigest() != wanted.sha256:
        part.unlink()
        if begun:  # what an earlier run left may be what is wrong
            raise UnreachableError(f"{name} of {address} has changed since a part of it was fetched; fetch it again.")
        raise InputError(f"{name} of {address} is not the file whose sha256 is listed there; it was discarded.")
    sync(part)
    part.rename(folder / name)


def _moved(source: IO[bytes], count: int) -> bool:
    """Return whether a source goes on from a byte; some can only be read from their beginning."""
    try:
        source.seek(count)
    except (UnsupportedOperation, ValueError, OSError):
        return False
    return True
