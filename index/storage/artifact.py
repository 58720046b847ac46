"""An index made whole: sealed, put in its place by one rename, verified to the last byte."""

import ctypes
import errno
import json
import os
import re
import shutil
from dataclasses import asdict
from pathlib import Path

from index.files import sha256_of, sync
from index.storage.contents import IndexContents
from index.storage.directory import CELLS, GALLERY, LENGTHS, NODE_KEYS, NODES, PRIOR, SLOPES, START, IndexDirectory
from index.storage.manifest import CARD, FORMAT, KIND, MANIFEST, SUMS, BadIndexError, Manifest

_OWN = re.compile(r"level-\d+\.(lists|safetensors)")
_AT_CWD, _EXCHANGE = -100, 2  # of renameat2(2)


def seal(folder: Path, manifest: Manifest, target: Path, *, replace: bool = False) -> None:
    """Write manifest and digests into a finished folder and give it its name; what had the name is removed.

    Raises:
        FileExistsError: `target` exists and is not to be replaced, or is not an index.
    """
    files = sorted(path for path in folder.iterdir() if path.name not in (MANIFEST, SUMS))
    described = asdict(manifest) | {"files": {path.name: path.stat().st_size for path in files}}
    text = json.dumps({"kind": KIND, "format": FORMAT} | described, indent=2, allow_nan=False) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    lines = [f"{sha256_of(path)}  {path.name}\n" for path in (folder / MANIFEST, *files)]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")
    place(folder, target, replace=replace)


def place(folder: Path, target: Path, *, replace: bool = False) -> None:
    """Give a whole index its name, durably; what had the name is removed. Errors as of `seal`."""
    for path in (*sorted(folder.iterdir()), folder):
        sync(path)
    check_replaceable(target, replace=replace)
    if not target.exists():
        folder.rename(target)
    elif not _exchanged(folder, target):
        target.rename(replaced_name(folder))
        folder.rename(target)
    sync(target.parent)
    for old in (folder, replaced_name(folder)):
        shutil.rmtree(old, ignore_errors=True)


def replaced_name(folder: Path) -> Path:
    """Return the name that a replaced index has for a moment, where names cannot be exchanged in one step."""
    return folder.with_name(f"{folder.name}.replaced")


def check_replaceable(target: Path, *, replace: bool) -> None:
    """Refuse to give a new index the name of anything but an index, or an empty folder, that is to be replaced.

    Raises:
        FileExistsError: `target` is something else, or holds something that is not of the index. The message says what.
    """
    if not os.path.lexists(target):
        return
    if not replace:
        raise FileExistsError(f"{target} exists; choose another name, or replace it with --overwrite.")
    advice = "choose another name, or move it away yourself."
    if not target.is_dir():
        raise FileExistsError(f"{target} is not an index but a file, which is not replaced; {advice}")
    names = sorted(path.name for path in target.iterdir())
    about = target / MANIFEST
    if names and not (about.is_file() and KIND.encode() in about.read_bytes()[: 1 << 20]):
        raise FileExistsError(f"{target} is not an index but a folder with {names[0]}, which is not replaced; {advice}")
    own = {MANIFEST, SUMS, CARD, CELLS, LENGTHS, PRIOR, GALLERY, START, SLOPES, NODE_KEYS, NODES}
    if foreign := [name for name in names if name not in own and not _OWN.fullmatch(name)]:
        raise FileExistsError(f"{target} also holds {foreign[0]}, which is not part of an index; {advice}")


def verify(folder: Path) -> list[str]:
    """Read every byte of an index; return what is wrong with it, one sentence each. An empty list is a sound index."""
    try:
        with IndexDirectory(folder) as files:
            problems = _differences(files)
        if not problems:
            IndexContents.open(folder)
    except BadIndexError as error:
        return [str(error)]
    return problems


def _differences(files: IndexDirectory) -> list[str]:
    folder, sums = files.folder, files.sums
    problems = [f"{folder / name} is not listed in {SUMS}." for name in files.manifest.files if name not in sums]
    known = {*sums, SUMS, CARD}
    problems += [f"{path} does not belong to the index." for path in folder.iterdir() if path.name not in known]
    for name, digest in sums.items():
        try:
            if files.sha256_of(name) != digest:
                problems.append(f"{folder / name} is damaged: its sha256 is not the one in {SUMS}.")
        except FileNotFoundError:
            problems.append(f"{folder / name} is missing.")
        except BadIndexError as error:
            problems.append(str(error))
    return problems


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange the names of two folders in one step; return whether system and file system can."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    if renameat2(_AT_CWD, os.fsencode(one), _AT_CWD, os.fsencode(other), _EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), str(other))
