"""Where the blocks of a build are kept for machines that share no folder: at an address, or in a folder.

Objects of a bucket are to be seen when they are complete; files of a folder are written whole.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from geoclip.errors import InputError
from geoclip.remote.address import Address, UnreachableError, reason_of, split_address, without_secrets
from index.files import written_whole

_PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "memory": "fsspec"}
_READ_MOST = 1 << 20


def open_blocks(words: str) -> "FolderOfBlocks | BucketOfBlocks":
    """Return the place with this name: `s3://bucket/folder`, `gs://bucket/folder`, `file:///folder` or a path.

    Raises:
        InputError: nothing can be kept there.
    """
    scheme, separator, path = words.partition("://")
    if not separator:
        return FolderOfBlocks(Path(words))
    if scheme.lower() == "file":
        return FolderOfBlocks(Path(path))
    return BucketOfBlocks(words)


class FolderOfBlocks:
    """A folder, of a network's file system perhaps; made where it is not there yet.

    Every method raises InputError where it cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()

    def __str__(self) -> str:
        """Return its path."""
        return str(self._folder)

    def names(self, folder: str) -> set[str]:
        """See `index.building.block_store.BlockStore`, here and below."""
        with self._said("read"):
            path = self._folder / folder
            return {each.name for each in path.iterdir()} if path.is_dir() else set()

    def size_of(self, name: str) -> int | None:
        """Return the bytes of a file, or None."""
        with self._said("read"):
            path = self._folder / name
            return path.stat().st_size if path.is_file() else None

    def read(self, name: str) -> bytes:
        """Return the content of a small file."""
        with self._said("read"):
            return (self._folder / name).read_bytes()

    def fetch(self, name: str, path: Path) -> None:
        """Copy a file from there."""
        with self._said("copied"):
            shutil.copyfile(self._folder / name, path)

    def send(self, path: Path, name: str) -> None:
        """Copy a file there, under a temporary name first."""
        target = self._folder / name
        with self._said("written"):
            target.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(target) as temporary:
                shutil.copyfile(path, temporary)

    def remove(self, name: str) -> None:
        """Remove a file."""
        with self._said("written"):
            (self._folder / name).unlink(missing_ok=True)

    @contextmanager
    def _said(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UnreachableError(
                f"{self._folder} cannot be {what} ({error.strerror or error}); the same command goes on when it can."
            ) from error


class BucketOfBlocks(Address):
    """A folder of a bucket. Credentials come from the environment, and are in no address.

    Every method raises InputError where it cannot be reached, read or written.
    """

    def __init__(self, words: str) -> None:
        if split_address(words).scheme not in _PACKAGES:
            raise InputError(
                f"Nothing can be kept at {without_secrets(words)}; give a folder, or an address like "
                "s3://bucket/folder or gs://bucket/folder."
            )
        super().__init__(words, _PACKAGES)

    def names(self, folder: str) -> set[str]:
        """Return the names below a folder: one request a thousand of them, whatever else the bucket holds."""
        with self._doing("read"):
            self._files.invalidate_cache()
            try:
                return {path.rpartition("/")[2] for path in self._files.find(self._path(folder))}
            except FileNotFoundError:
                return set()

    def size_of(self, name: str) -> int | None:
        """Return the bytes of a file, or None."""
        with self._doing("read"):
            self._files.invalidate_cache()
            try:
                size: int = self._files.info(self._path(name))["size"]
            except FileNotFoundError:
                return None
            return size

    def read(self, name: str) -> bytes:
        """Return the content of a small file, of which no more than a megabyte is read."""
        with self._doing("read"):
            content: bytes = self._files.cat_file(self._path(name), start=0, end=_READ_MOST)
            return content

    def fetch(self, name: str, path: Path) -> None:
        """Copy a file from there."""
        with self._doing("read"):
            self._files.get_file(self._path(name), str(path))

    def send(self, path: Path, name: str) -> None:
        """Copy a file there."""
        with self._doing("written"):
            self._files.put_file(str(path), self._path(name))

    def remove(self, name: str) -> None:
        """Remove a file."""
        with self._doing("written"):
            if self._files.exists(self._path(name)):
                self._files.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        path: str = self._files._strip_protocol(self.file(name))
        return path

    @contextmanager
    def _doing(self, what: str) -> Iterator[None]:
        """Turn what a library raises into a sentence without secrets."""
        try:
            yield
        except InputError:
            raise
        except Exception as error:  # each kind of address has errors of its own
            raise UnreachableError(
                f"{self} cannot be {what} ({reason_of(error)}); check the address and the access to it. The same "
                "command goes on."
            ) from None
