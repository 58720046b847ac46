"""Tar files at an address: their headers are read some megabytes at a time, each photo by the bytes where it lies."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlunsplit

from geoclip.errors import PhotoError
from geoclip.photos.elsewhere import Elsewhere, TooLargeError, Unusable
from geoclip.photos.tar import expanded, has_tar_name, members_in, refuse_compressed
from geoclip.remote.address import PACKAGES, WEB, has_credentials, split_address
from geoclip.remote.photo import file_system, shown, tried

BLOCK_BYTES = 4 << 20
"""Read at once in search of headers."""


def is_tar_address(words: str) -> bool:
    """Return whether words are the address of tar files that can be read there; compressed ones are refused later."""
    scheme, host, path, _, _ = split_address(words)
    return scheme in PACKAGES and bool(host) and has_tar_name(path) and not has_credentials(scheme, host)


def shards_at(pattern: str) -> list[str]:
    """Return the addresses of tar files that an address or a pattern such as `s3://bucket/{000..010}.tar` names.

    Raises:
        InputError: they are compressed, or it names too many.
    """
    refuse_compressed(shown(pattern))
    scheme, host, path, query, _ = split_address(pattern)
    return [urlunsplit((scheme, host, each, query, "")) for each in expanded(path)]


def members_at(address: str) -> Iterator[Elsewhere]:
    """Yield the photos of a tar file at an address, as `members_in` does; one that cannot be read is a row, too."""
    try:
        yield from members_in(_Blocks(address), shown(address), partial(RemoteTarMember, address))
    except PhotoError as error:
        yield Unusable(shown(address), str(error))


@dataclass(frozen=True, repr=False)
class RemoteTarMember(Elsewhere):
    """A photo inside a tar file at an address. What may be secret in the address is used and never shown."""

    address: str
    member: str
    offset: int
    """Where its content begins, in bytes."""
    size: int

    @property
    def name(self) -> str:
        """The tar file's address without what may be secret in it, then the member's name."""
        return f"{shown(self.address)}/{self.member}"

    @property
    def key(self) -> bytes:
        """See `Elsewhere.key`."""
        return f"{self.offset} {self.size}".encode()

    def __repr__(self) -> str:
        return f"RemoteTarMember({self.name!r})"

    def content(self, most: int) -> bytes:
        """See `Elsewhere.content`."""
        if self.size > most:
            raise TooLargeError(self.size, most)
        scheme = split_address(self.address).scheme
        return tried(scheme, lambda: _part(self.address, self.offset, self.offset + self.size))


class _Blocks:
    """A file at an address, read from anywhere, a block at a time."""

    def __init__(self, address: str) -> None:
        self._address, self._scheme = address, split_address(address).scheme
        self._size: int = tried(self._scheme, lambda: _size(address))
        self._at, self._start, self._block = 0, 0, b""

    def read(self, size: int) -> bytes:
        """Return so many bytes, fewer at the end.

        Raises:
            PhotoError: they cannot be fetched.
        """
        content, stop = bytearray(), min(self._at + size, self._size)
        while self._at < stop:
            own = self._at - self._start
            if not 0 <= own < len(self._block):
                end = min(self._at + BLOCK_BYTES, self._size)
                self._block = tried(self._scheme, partial(_part, self._address, self._at, end))
                self._start, own = self._at, 0
            piece = self._block[own : own + stop - self._at]
            content += piece
            self._at += len(piece)
        return bytes(content)

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position."""
        self._at = position + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at


def _size(address: str) -> int:
    files = file_system(split_address(address).scheme)
    size = files.info(files._strip_protocol(address))["size"]
    if size is None:
        raise PhotoError("The server does not say how large the tar file is.")
    return int(size)


def _part(address: str, start: int, stop: int) -> bytes:
    """Fetch the bytes from one position to another."""
    scheme = split_address(address).scheme
    files = file_system(scheme)
    path = files._strip_protocol(address)
    if scheme in WEB:  # which otherwise fetch all of it from a server that gives no parts
        # with a size given, whatever it is, the server is not asked for it first
        with files.open(path, "rb", block_size=BLOCK_BYTES, cache_type="none", size=stop) as file:
            file.seek(start)
            try:
                content: bytes = file.read(stop - start)
            except ValueError as error:
                if type(error) is not ValueError:  # of the connection
                    raise
                raise PhotoError(
                    "The server does not give parts of a file; copy the tar file to this machine."
                ) from None
    else:
        content = files.cat_file(path, start=start, end=stop)
    if len(content) != stop - start:
        raise PhotoError(f"The tar file has no longer {stop:,} bytes.")
    return content
