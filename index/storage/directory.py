"""The directory of an index, held by one handle: what is read through it is of one index, and is what was sealed.

manifest.json        what the index is made of: model, grid, gallery, prior, parameters, versions, sizes of files
cells.npy            coarse H3 cells, uint64, sorted
lengths.npy          float16 a coarse cell: length of the mean of its children's vectors before normalisation
slopes.bin           coded slopes a coarse cell: how its children's vectors differ, see `index/storage/slopes.py`
nodes.npy, nodes.bin keys, int64, and coded vectors: the encoder's smooth part on a grid, see `index/storage/nodes.py`
prior.npy            float32 a coarse cell: log prior probability
gallery.parquet      coordinates with counts, sorted by cell
start.safetensors    float16 vectors of the start level
level-R.lists        FAISS inverted lists: quantised representatives of the cells of resolution R, less their parents'
level-R.safetensors  their sizes and checksums, and the spread that the quantiser takes its steps from
SHA256SUMS           of every other file; `sha256sum -c` reads it
"""

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from index.storage.manifest import MANIFEST, SUMS, BadIndexError, Manifest, parse_sums

CELLS, LENGTHS, PRIOR, SLOPES = "cells.npy", "lengths.npy", "prior.npy", "slopes.bin"
GALLERY, START = "gallery.parquet", "start.safetensors"
NODE_KEYS, NODES = "nodes.npy", "nodes.bin"

_ABOUT_BYTES = 1 << 20
"""The manifest and the list of digests are a few kilobytes; what is longer is something else."""
_ATTEMPTS = 20

T = TypeVar("T")


def lists_name(res: int) -> str:
    """Return the name of the file of a level's lists."""
    return f"level-{res}.lists"


def level_name(res: int) -> str:
    """Return the name of the file that says what the lists of a level are."""
    return f"level-{res}.safetensors"


class IndexDirectory:
    """An index that is being opened. An exchange of the directory's name does not change what it reads.

    Args:
        folder: of the index.

    Raises:
        BadIndexError: it is not an index, is damaged, or misses a file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self._handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise BadIndexError(
                f"{folder} is not an index: it has no {MANIFEST}; make one with `geoclip build {folder}`."
            ) from error
        try:
            self._about = self._read_about()
            self.digest = hashlib.sha256(self._about[0]).hexdigest()
            """The sha256 of the manifest: names the model, the grid, the gallery, the prior and how they were built."""
            self.sums, self.manifest = self._understood(*self._about)
            for name, size in self.manifest.files.items():
                self._check_size(name, size)
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __enter__(self) -> Self:
        """Keep the handle."""
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Let the handle go."""
        os.close(self._handle)

    def read(self, name: str) -> bytes:
        """Return the content of a file, which is what was sealed.

        Raises:
            BadIndexError: it is missing or damaged.
        """
        if name not in self.manifest.files:
            raise BadIndexError(f"{self.folder / name} is missing in {MANIFEST}; build the index again.")
        content = self._read(name, self.manifest.files[name])
        if hashlib.sha256(content).hexdigest() != self.sums.get(name):
            raise BadIndexError(
                f"{self.folder / name} is damaged: its sha256 is not the one in {SUMS}; copy the index again or build "
                "it again."
            )
        return content

    def checked(self, name: str, understood: Callable[[bytes], T]) -> T:
        """Return what a function makes of the content of a file.

        Raises:
            BadIndexError: it is missing or damaged, or the function raises ValueError, whose message says why.
        """
        content = self.read(name)
        try:
            return understood(content)
        except ValueError as error:
            raise BadIndexError(
                f"{self.folder / name} does not belong to a sound index: {error}; build the index again."
            ) from error

    def path(self, name: str) -> Path:
        """Return a path to a file of this directory that holds as long as the handle, whatever has its name by then."""
        through = Path(f"/proc/self/fd/{self._handle}")
        return (through if through.is_dir() else self.folder) / name

    def sha256_of(self, name: str) -> str:
        """Return the digest of a file of any size."""
        with os.fdopen(self._open(name), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def unchanged(self) -> bool:
        """Return whether the manifest and the digests are still what they were: nobody copied over the files."""
        try:
            return self._about == self._read_about()
        except (OSError, BadIndexError):
            return False

    def _read_about(self) -> tuple[bytes, bytes]:
        try:
            return self._read(MANIFEST), self._read(SUMS)
        except FileNotFoundError as error:
            raise BadIndexError(
                f"{self.folder} is not an index: it has no {error.filename}; name the folder of an index, or make one "
                "with `geoclip build`."
            ) from error

    def _understood(self, manifest: bytes, sums: bytes) -> tuple[dict[str, str], Manifest]:
        try:
            digests = parse_sums(sums)
        except ValueError as error:
            raise BadIndexError(f"{self.folder / SUMS} is damaged: {error}; build the index again.") from error
        if digests.get(MANIFEST) != self.digest:
            raise BadIndexError(
                f"{self.folder / MANIFEST} is damaged: it differs from its digest in {SUMS}; build the index again."
            )
        try:
            return digests, Manifest.parse(manifest)
        except ValueError as error:
            raise BadIndexError(f"{self.folder / MANIFEST} {error}.") from error

    def _check_size(self, name: str, size: int) -> None:
        try:
            with os.fdopen(self._open(name), "rb") as file:
                found = os.fstat(file.fileno()).st_size
        except FileNotFoundError as error:
            raise BadIndexError(f"{self.folder / name} is missing; copy the index again or build it again.") from error
        if found != size:
            raise BadIndexError(
                f"{self.folder / name} has {found} bytes, not {size}; copy the index again or build it again."
            )

    def _read(self, name: str, size: int = _ABOUT_BYTES) -> bytes:
        with os.fdopen(self._open(name), "rb") as file:
            return file.read(size)

    def _open(self, name: str) -> int:
        """Open an ordinary file; a FIFO is refused without waiting for it."""
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK, dir_fd=self._handle)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise BadIndexError(f"{self.folder / name} cannot be read: {error.strerror}; copy it again.") from error
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
        raise BadIndexError(f"{self.folder / name} is not an ordinary file; copy the index again or build it again.")


def open_directory(folder: Path, opened: Callable[[IndexDirectory], T]) -> T:
    """Return what a function reads of an index: all of the one that has the name, though it may be exchanged meanwhile.

    Raises:
        BadIndexError: there is no index, or a damaged one.
    """
    for _ in range(_ATTEMPTS):
        named = _identity(folder)
        try:
            with IndexDirectory(folder) as files:
                result = opened(files)
                if files.unchanged():
                    return result
        except (OSError, ValueError):
            if _identity(folder) == named:
                raise
    raise BadIndexError(f"{folder} is being written again and again; wait until that is done.")


def read_manifest(folder: Path) -> Manifest:
    """Return what an index says about itself.

    Raises:
        BadIndexError: there is no index, or a damaged one, or a file is missing or of another size.
    """
    return open_directory(folder, lambda files: files.manifest)


def _identity(folder: Path) -> tuple[int, int] | None:
    """Return what tells directories apart that have one name after the other; None where there is none."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
