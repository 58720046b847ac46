"""Photos inside tar files at addresses: headers are read ahead, each photo is an exact range; nothing is copied.

The bytes of a tar file pass the network about twice: once for its headers, as far as photos are smaller than a block
that is read ahead, and once for the photos.
"""

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlunsplit

from geoclip.errors import InputError, PhotoError
from geoclip.photos.elsewhere import Elsewhere, Unusable
from geoclip.photos.tar import TarMember, members_in, names_of
from geoclip.remote.address import shown, split_address
from geoclip.remote.content import UnreachablePhotoError, between, size_at

BLOCK_BYTES = 4 << 20
"""Read ahead at once for headers."""


@dataclass(frozen=True)
class RemoteTarMember(TarMember):
    """A photo inside a tar file at an address. `shard` is the address without what may be secret in it."""

    address: str = field(repr=False, kw_only=True)
    shard_size: int = field(kw_only=True)
    """In bytes."""

    def _read(self) -> bytes:
        if self.offset + self.size > self.shard_size:
            raise self._cut(max(0, self.shard_size - self.offset))
        return between(self.address, self.offset, self.offset + self.size)


@dataclass(frozen=True)
class TarAt(Elsewhere):
    """A tar file at an address whose photos are not listed yet."""

    address: str = field(repr=False)

    @property
    def name(self) -> str:
        """The address without what may be secret in it."""
        return shown(self.address)

    def content(self, most: int) -> bytes:
        """Refuse: it has none of its own."""
        del most
        raise PhotoError("A tar file holds many photos, and here is a place for one.")


class Unreachable(Unusable):
    """A tar file that cannot be read to its end at the moment; later it may be."""


def tars_at(pattern: str) -> list[str]:
    """Return the addresses of the tar files at one, whose path may be a pattern such as `shard-{000..127}.tar`.

    Raises:
        InputError: they are compressed, or too many; nothing in the sentence is secret.
    """
    scheme, host, path, query, _ = split_address(pattern)
    try:
        paths = names_of(path)
    except InputError as error:
        raise InputError(f"{shown(pattern)[: -len(path)]}{error}") from None
    return [urlunsplit((scheme, host, each, query, "")) for each in paths]


def members_at(address: str) -> Iterator[Elsewhere]:
    """Yield the photos of a tar file at an address, as `members_in` does; one that cannot be read is a row."""
    name = shown(address)
    try:
        size = size_at(address)
        photo = partial(RemoteTarMember, address=address, shard_size=size)
        yield from members_in(_ReadAhead(address, size), name, photo)
    except UnreachablePhotoError as error:
        yield Unreachable(name, str(error))
    except PhotoError as error:
        yield Unusable(name, str(error))


class _ReadAhead:
    """A file at an address, of which the block that is read last is kept."""

    def __init__(self, address: str, size: int) -> None:
        self._address, self._size, self._at = address, size, 0
        self._start, self._block = 0, b""

    def read(self, size: int) -> bytes:
        found = io.BytesIO()
        stop = min(self._at + size, self._size)
        while self._at < stop:
            if not self._start <= self._at < self._start + len(self._block):
                self._start = self._at
                self._block = between(self._address, self._at, min(self._at + BLOCK_BYTES, self._size))
            piece = self._block[self._at - self._start : stop - self._start]
            found.write(piece)
            self._at += len(piece)
        return found.getvalue()

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        self._at = position + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if self._at < 0:
            raise ValueError("its headers lead to before its beginning")
        return self._at

    def tell(self) -> int:
        return self._at
