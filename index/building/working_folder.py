"""Where a build keeps what it has until it is done: `<target>.building`, of one request and one process at a time."""

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from index.files import is_left_over, written_whole
from index.grid.cells import Cells
from index.storage.artifact import replaced_name

LOCK, REQUEST, GRID, BLOCKS, SCRATCH, INDEX = "lock", "request.json", "grid.bin", "blocks", "scratch", "index"


class OtherBuildError(ValueError):
    """The folder holds the beginnings of another build, one that is running, or something else."""


def working_folder(target: Path) -> Path:
    """Return where the build of an index keeps what it has."""
    target = target.resolve()
    return target.with_name(f"{target.name}.building")


def discard(target: Path) -> None:
    """Remove what a stopped build left.

    Raises:
        OtherBuildError: it is running, or the folder is not one of a build.
    """
    work = working_folder(target)
    if work.exists():
        with locked(target):
            shutil.rmtree(work)


@contextmanager
def locked(target: Path) -> Iterator[Path]:
    """Make the working folder if there is none, and keep other processes out of it.

    An index that was to be replaced when a build was stopped between two renames has its name back.

    Raises:
        OtherBuildError: another process is in it, or it is not one of a build.
    """
    work = working_folder(target)
    _check_own(work)
    work.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(work / LOCK, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        replaced = replaced_name(work / INDEX)
        if replaced.exists() and not target.exists():
            replaced.rename(target)
        yield work
    except BlockingIOError as error:
        raise OtherBuildError(f"Another process is building in {work}; wait for it, or stop it.") from error
    finally:
        os.close(descriptor)


@contextmanager
def shared(target: Path, wanted: Mapping[str, Any]) -> Iterator[Path]:
    """Make or join the working folder of a request, beside other processes that encode parts of it.

    While one is in it, no process can have it to itself, where the file system knows locks between its machines.

    Raises:
        OtherBuildError: it belongs to another request, a process has it to itself, or it is not one of a build.
    """
    work = working_folder(target)
    _check_own(work)
    work.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(work / LOCK, os.O_RDWR | os.O_CREAT)
    try:
        for tries in range(_TRIES, -1, -1):
            try:
                if not (work / REQUEST).exists():
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    claim(work, wanted)
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
                break
            except BlockingIOError:  # another part makes its claim, which takes a moment; or a build runs
                if not tries:
                    raise
                time.sleep(_WAIT_S)
        claim(work, wanted)
        yield work
    except BlockingIOError as error:
        raise OtherBuildError(f"Another process is building in {work}; wait for it, or stop it.") from error
    finally:
        os.close(descriptor)


_TRIES, _WAIT_S = 20, 0.25


def claim(work: Path, wanted: Mapping[str, Any]) -> None:
    """Note for whom the folder is; what it holds is trusted only if it was begun with the same request.

    Args:
        work: the locked folder.
        wanted: what makes two requests the same, ready for JSON.

    Raises:
        OtherBuildError: it was begun with another.
    """
    path = work / REQUEST
    if path.exists():
        differing_request(path.read_bytes(), wanted, str(path), str(work), "discard it with --restart")
        return
    for left in work.iterdir():  # without its request nobody knows whose it is: a removal was stopped half-way
        if left.name != LOCK:
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")


def differing_request(content: bytes, wanted: Mapping[str, Any], path: str, where: str, discard: str) -> None:
    """Refuse a request that is not the one that was begun.

    Args:
        content: of the file that says which one was begun.
        wanted: the request.
        path: of that file.
        where: the build was begun.
        discard: how to begin anew.

    Raises:
        OtherBuildError: they differ, or the file is damaged.
    """
    try:
        begun = json.loads(content)
        differing = [name for name in wanted if begun.get(name) != wanted[name]]
    except (ValueError, AttributeError, RecursionError) as error:
        raise OtherBuildError(f"{path} is damaged; {discard}.") from error
    if differing:
        raise OtherBuildError(
            f"{where} holds a build with another {', '.join(differing)}; go on with the options it was begun with, "
            f"or {discard}."
        )


def save_grid(work: Path, cells: Cells) -> None:
    """Keep the coarse cells, with their sha256 behind them."""
    content = np.ascontiguousarray(cells, "<u8").tobytes()
    with written_whole(work / GRID) as temporary:
        temporary.write_bytes(content + hashlib.sha256(content).digest())


def read_grid(work: Path) -> Cells | None:
    """Return the coarse cells that were kept, or None.

    Raises:
        ValueError: they are damaged; the file is removed, so that the next build makes it again.
    """
    path = work / GRID
    if not path.exists():
        return None
    content = path.read_bytes()
    if hashlib.sha256(content[:-32]).digest() != content[-32:]:
        path.unlink()
        raise ValueError(f"{path} is damaged and was removed; run the same build again to renew it.")
    return np.frombuffer(content[:-32], "<u8").astype(np.uint64)


def _check_own(work: Path) -> None:
    """Refuse a folder that somebody filled with something else: it is going to be removed."""
    advice = "move it away, or choose another name for the index."
    if os.path.lexists(work) and not work.is_dir():
        raise OtherBuildError(f"{work} is not a folder, and a build needs one of this name; {advice}")
    own = {LOCK, REQUEST, GRID, BLOCKS, SCRATCH, INDEX, replaced_name(work / INDEX).name}
    for path in sorted(work.iterdir()) if work.exists() else ():
        if path.name not in own and not is_left_over(path.name):
            raise OtherBuildError(f"{work} holds {path.name}, which is not of a build; {advice}")
