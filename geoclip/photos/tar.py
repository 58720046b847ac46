"""Photos inside tar files (webdataset's shards): named, and read where they lie. Nothing is unpacked to the disk."""

import os
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol, TypeVar

from geoclip.errors import InputError, PhotoError
from geoclip.photos.decode import SUFFIXES
from geoclip.photos.elsewhere import Elsewhere, TooLargeError, Unusable
from geoclip.photos.find import SYSTEM_FOLDERS

T = TypeVar("T")
MAX_HEADER_BYTES = 1 << 20
"""Of one member: its long name and the like."""
MAX_SHARDS = 1_000_000
_COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


class SeekableFile(Protocol):
    """A file that is read from anywhere, as far as headers need it."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, fewer at the end."""

    def seek(self, position: int, whence: int = 0, /) -> int:
        """Go to a position."""

    def tell(self) -> int:
        """Return the position."""


@dataclass(frozen=True)
class TarMember(Elsewhere):
    """A photo inside a tar file of this machine."""

    shard: str
    """The tar file's name: of this machine's its path."""
    member: str
    offset: int
    """Where its content begins, in bytes."""
    size: int

    @property
    def name(self) -> str:
        """The tar file's path, then the member's: `shard-000.tar/photos/1.jpg`."""
        return f"{self.shard}/{self.member}"

    @property
    def key(self) -> bytes:
        """See `Elsewhere.key`."""
        return f"{self.offset} {self.size}".encode()

    def content(self, most: int) -> bytes:
        """See `Elsewhere.content`."""
        if self.size > most:
            raise TooLargeError(self.size, most)
        content = self._read()
        if len(content) < self.size:
            raise self._cut(len(content))
        return content

    def _cut(self, there: int) -> PhotoError:
        return PhotoError(f"The tar file ends after {there:,} of the photo's {self.size:,} bytes.")

    def _read(self) -> bytes:
        """Return the content, or what of it the tar file has."""
        try:
            with Path(self.shard).open("rb", buffering=0) as file:
                return os.pread(file.fileno(), self.size, self.offset)
        except OSError as error:
            raise PhotoError(f"The tar file cannot be read: {error.strerror}.") from error


def is_named_as_tar(name: str) -> bool:
    """Return whether a name is one of tar files; compressed ones are named too, to be refused in words."""
    return name.lower().endswith((".tar", *_COMPRESSED))


def is_tar(path: str) -> bool:
    """Return whether a path names tar files; a folder may be called like one."""
    return is_named_as_tar(path) and not os.path.isdir(path)  # noqa: PTH112 - any text


def shards_of(pattern: str) -> list[str]:
    """Return the tar files of a name or of a pattern such as `shard-{000..010}.tar`.

    Raises:
        InputError: one does not exist, or is compressed; or the pattern names too many.
    """
    names = names_of(pattern, is_one=os.path.exists)
    for name in names:
        if not os.path.isfile(name):  # noqa: PTH113 - any text
            raise InputError(f"{name} does not exist, or is not a file; give tar files.")
    return names


def names_of(pattern: str, is_one: Callable[[str], bool] = lambda name: False) -> list[str]:
    """Return the names that a pattern such as `shard-{000..010}.tar` stands for.

    Args:
        pattern: of tar files.
        is_one: whether what looks like a pattern is the name of a file.

    Raises:
        InputError: they are of compressed tar files, or too many.
    """
    names = [pattern]
    while not is_one(names[0]) and (found := _RANGE.search(names[0])):
        first, last = int(found[1]), int(found[2])
        if not 0 <= last - first < MAX_SHARDS // len(names):
            raise InputError(f"{pattern} names {last - first + 1:,} tar files; give 1 to {MAX_SHARDS:,}.")
        width = len(found[1])
        numbers = [f"{number:0{width}d}" for number in range(first, last + 1)]
        names = [_RANGE.sub(number, name, count=1) for name in names for number in numbers]
    if names[0].lower().endswith(_COMPRESSED):
        raise InputError(
            f"{names[0]} is compressed; unpack it to a plain .tar, whose members can be read by themselves."
        )
    return names


def members_of(shard: str) -> Iterator[Elsewhere]:
    """Yield the photos of a tar file of this machine; see `members_in`."""
    try:
        with Path(shard).open("rb") as file:
            yield from members_in(file, shard, TarMember)
    except (OSError, ValueError) as error:
        yield _damaged(shard, error)


def members_in(file: SeekableFile, shard: str, photo: Callable[[str, str, int, int], TarMember]) -> Iterator[Elsewhere]:
    """Yield the photos of a tar file in their order; only headers are read. What folders leave out is left out here.

    A link or device under a photo's name, and a name that would climb out of a folder, is a row with a reason, and so
    is the file itself where it is damaged: those before are yielded, and nothing behind.

    Args:
        file: the tar file.
        shard: its name.
        photo: makes a photo of `shard`, its name, where its content begins and how many bytes it has.
    """
    try:
        headers = _Headers(file)
        tar = tarfile.open(fileobj=headers, mode="r:")  # type: ignore[call-overload]  # noqa: SIM115 - is the file's
        for member in _onwards(tar, headers):
            if PurePosixPath(member.name).suffix.lower() in SUFFIXES and not (
                member.isdir() or _is_left_out(member.name)
            ):
                yield _photo(shard, member, photo)
    except (tarfile.TarError, OSError, ValueError, RecursionError, OverflowError) as error:
        yield _damaged(shard, error)


def _damaged(shard: str, error: Exception) -> Unusable:
    said = " ".join(str(error).split())[:100].rstrip(".") or type(error).__name__
    return Unusable(shard, f"The tar file is damaged and was not read further: {said}.")


def _onwards(tar: tarfile.TarFile, headers: "_Headers") -> Iterator[tarfile.TarInfo]:
    before = -1
    while (member := headers.read_by(tar.next)) is not None:
        if tar.offset <= before or member.offset_data < 0 or member.size < 0:
            raise ValueError("its headers lead back")
        before = tar.offset
        tar.members = []  # type: ignore[attr-defined]  # else every header stays in memory
        yield member
    headers.seek(tar.offset)
    end = headers.read_by(lambda: headers.read(tarfile.BLOCKSIZE))
    if any(end):  # tarfile takes what is no header for the end
        raise ValueError("what stands behind the last photo is not a header")
    if len(end) < tarfile.BLOCKSIZE:  # nor does it miss the end
        raise ValueError("it has no end mark, so it was cut off or is still being written")


def _is_left_out(name: str) -> bool:
    """Return whether a member is hidden or in a folder of a system's, as `find_photos` leaves them out."""
    *folders, own = PurePosixPath(name).parts
    hidden = any(part.startswith(".") and part != ".." for part in (*folders, own))
    return hidden or any(folder.lower() in SYSTEM_FOLDERS for folder in folders)


def _photo(shard: str, member: tarfile.TarInfo, photo: Callable[[str, str, int, int], TarMember]) -> Elsewhere:
    parts = PurePosixPath(member.name).parts
    if not member.isreg() or member.issparse():
        kind = "a link" if member.islnk() or member.issym() else "not an ordinary file"
        return Unusable(f"{shard}/{member.name}", f"This member of the tar file is {kind}, which is not followed.")
    if ".." in parts or member.name.startswith("/"):
        plain = "/".join(part for part in parts if part not in ("..", "/"))
        return Unusable(f"{shard}/{plain}", "The name of this member of the tar file leads out of its folder.")
    return photo(shard, member.name.removeprefix("./"), member.offset_data, member.size)


class _Headers:
    """A file from which headers are read: of one member not more than they may have."""

    def __init__(self, file: SeekableFile) -> None:
        self._file, self._read = file, 0

    def read_by(self, step: Callable[[], T]) -> T:
        """Return what a step returns that reads the headers of one member."""
        self._read = 0
        return step()

    def read(self, size: int = -1) -> bytes:
        """Read some bytes, or complain where a member has too many before its content."""
        self._read += size
        if not 0 <= size <= MAX_HEADER_BYTES or self._read > MAX_HEADER_BYTES:
            raise tarfile.ReadError("a header has more than 1 MB")
        return self._file.read(size)

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position."""
        return self._file.seek(position, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()
