"""Which photos are meant: files, folders walked deeply, and lists of paths."""

import codecs
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO

from geoclip.errors import InputError
from geoclip.photos.decode import SUFFIXES

SYSTEM_FOLDERS = frozenset((
    "@eadir", "#recycle", "#snapshot", "$recycle.bin", "system volume information", "lost+found", "__macosx",
))  # fmt: skip
"""Of network storage and operating systems: thumbnails, deleted files, metadata. Compared in lower case."""
UNREAD_SUFFIXES = frozenset((
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".iiq", ".kdc", ".mef", ".mos", ".mrw", ".nef",
    ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
    ".jxl", ".jxr", ".psd", ".xcf", ".tga", ".pcx", ".exr", ".hdr", ".svg", ".eps", ".ico", ".djvu",
))  # fmt: skip
"""Pictures that are not read: raw files of cameras, JPEG XL, what programs that paint save, and others."""

MAX_PATH_BYTES = 1 << 16
"""Longer than any system's paths."""


def find_photos(
    inputs: Sequence[str | Path],
    exclude: Sequence[str] = (),
    on_passed_over: Callable[[str], object] = lambda sentence: None,
) -> Iterator[str]:
    """Yield the photo files of the inputs: a file as it is, a folder by its files with a photo's suffix.

    Folders are walked in name order, deeper levels included; hidden entries, linked folders and `SYSTEM_FOLDERS` are
    left out. A deeper folder that cannot be listed is yielded itself, so that the run reports it and goes on, and so is
    a link that leads nowhere or to itself.

    Args:
        inputs: files and folders.
        exclude: patterns (`*`, `?`, `[...]`) of names, or of paths below a folder of the inputs, that are left out.
        on_passed_over: called at the end with a sentence, where something in the folders was passed over.

    Raises:
        InputError: an input does not exist or is a folder that cannot be listed. Raised before anything is yielded.
    """
    for path in inputs:
        try:
            if Path(path).is_dir():
                os.scandir(path).close()
            else:
                os.lstat(path)
        except FileNotFoundError as error:
            raise InputError(f"{path} does not exist; give photos or folders of photos.") from error
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be opened: {getattr(error, 'strerror', error)}.") from error
    return _found(inputs, _Walk(tuple(exclude)), on_passed_over)


def _found(inputs: Sequence[str | Path], walk: "_Walk", on_passed_over: Callable[[str], object]) -> Iterator[str]:
    for path in inputs:
        yield from walk.photos(str(path))
    if sentence := walk.passed_over():
        on_passed_over(sentence)


@dataclass
class _Walk:
    """Walks folders, and counts what it passes over."""

    exclude: tuple[str, ...]
    unread: Counter[str] = field(default_factory=Counter)
    folders: Counter[str] = field(default_factory=Counter)
    excluded: int = 0
    tars: int = 0

    def photos(self, top: str) -> Iterator[str]:
        """Yield a file, or the photos below a folder."""
        waiting = [(top, Path(top).is_dir())]
        while waiting:
            path, is_folder = waiting.pop()
            if not is_folder:
                yield path
                continue
            try:
                with os.scandir(path) as entries:
                    children = sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)
            except OSError:
                yield path
                continue
            for entry in reversed(children):
                if self._excludes(entry, top):
                    self.excluded += 1
                elif entry.is_dir(follow_symlinks=False):
                    if entry.name.lower() in SYSTEM_FOLDERS:
                        self.folders[entry.name] += 1
                    else:
                        waiting.append((entry.path, True))
                elif (suffix := Path(entry.name).suffix.lower()) in SUFFIXES and not _leads_to_a_folder(entry):
                    waiting.append((entry.path, False))
                elif suffix in UNREAD_SUFFIXES:
                    self.unread[suffix] += 1
                elif suffix == ".tar":
                    self.tars += 1

    def passed_over(self) -> str:
        """Return a sentence about what was passed over; empty where nothing was."""
        parts = []
        if self.unread:
            kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(self.unread.items()))
            parts.append(f"pictures of kinds that are not read ({kinds}): convert them to JPEG")
        if self.tars:
            parts.append(f"tar files ({self.tars}): name them to read the photos inside")
        if self.folders:
            parts.append(f"folders of the system's ({', '.join(sorted(self.folders))}): name one to read it")
        if self.excluded:
            parts.append(f"{self.excluded} files and folders that --exclude names")
        return f"Passed over: {'; '.join(parts)}." if parts else ""

    def _excludes(self, entry: "os.DirEntry[str]", top: str) -> bool:
        below = os.path.relpath(entry.path, top) if self.exclude else ""
        return any(fnmatchcase(entry.name, each) or fnmatchcase(below, each) for each in self.exclude)


def _leads_to_a_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def listed_photos(path: Path) -> Iterator[str]:
    """Yield the paths in a list as they come: one a line, or each ended by NUL as `find -print0` does.

    A mark of UTF-8 or UTF-16 at the beginning is understood; without one, names are the system's bytes.

    Args:
        path: a file or a pipe; `-` is stdin.

    Raises:
        InputError: it cannot be opened, at once; or it is no list, when that is seen.
    """
    try:
        file = sys.stdin.buffer if str(path) == "-" else path.open("rb")
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); --from-list takes a text file with one path a line."
        ) from error
    return _names(file, path)


def _names(file: BinaryIO, path: Path) -> Iterator[str]:
    with file:
        separator, rest, nameless = b"", b"", 0
        for content in _decoded(file, path):
            rest, nameless = rest + content, nameless + len(content)
            if not separator:
                separator = next((bytes([byte]) for byte in rest if byte in b"\n\0"), b"")
            *whole, rest = rest.split(separator) if separator else [rest]
            for each in whole:
                if name := each.rstrip(b"\r"):
                    nameless = len(rest)
                    yield os.fsdecode(name)
            if nameless > MAX_PATH_BYTES:  # an endless stream, or another kind of file
                raise InputError(f"{path} holds something longer than any path; a list has one path a line.")
        if name := rest.rstrip(b"\r"):
            yield os.fsdecode(name)


def _decoded(file: BinaryIO, path: Path) -> Iterator[bytes]:
    """Yield the content without its mark, and what is UTF-16 as the system's bytes."""
    begin = file.read(4)
    if begin.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        decoder = codecs.getincrementaldecoder("utf-16")()
        try:
            yield os.fsencode(decoder.decode(begin))
            while content := file.read1(MAX_PATH_BYTES):  # type: ignore[attr-defined]
                yield os.fsencode(decoder.decode(content))
        except UnicodeError as error:
            raise InputError(f"{path} begins like UTF-16 and is not: {error}; save it as UTF-8.") from error
        return
    yield begin.removeprefix(codecs.BOM_UTF8)
    while content := file.read1(MAX_PATH_BYTES):  # type: ignore[attr-defined]
        yield content
