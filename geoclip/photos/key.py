"""By what a run that goes on knows a photo again."""

import io
import os
import stat
from contextlib import suppress
from hashlib import sha256
from os import PathLike

from geoclip.photos.decode import Photo, name_of
from geoclip.photos.elsewhere import Elsewhere

_END_BYTES = 1 << 16


def photo_key(photo: Photo | PathLike[str]) -> tuple[bytes, bytes]:
    """Return a photo's name and something of its content.

    Of a file that is its size and a digest of its first and last 64 KiB. Its time does not count: a copy, an archive or
    a cloud's folder gives photos other times, and not other contents. Larger files that were changed in between alone,
    to the same size, are taken for the old ones; formats that compress have no such changes.
    """
    if isinstance(photo, bytes):
        return b"", photo
    if isinstance(photo, str | PathLike):
        content = b""
        with suppress(OSError, ValueError):
            content = _ends(photo)
        return os.fsencode(photo), content
    if isinstance(photo, Elsewhere):
        return os.fsencode(photo.name), photo.key
    return os.fsencode(name_of(photo)), photo.getvalue() if isinstance(photo, io.BytesIO) else b""


def _ends(path: str | PathLike[str]) -> bytes:
    """Return the size of an ordinary file and a digest of its ends; of others nothing, and they are not opened."""
    status = os.stat(path)  # noqa: PTH116 - a path may hold what Path does not
    if not stat.S_ISREG(status.st_mode):
        return b""
    digest = sha256()
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - as above
        digest.update(file.read(2 * _END_BYTES if status.st_size <= 2 * _END_BYTES else _END_BYTES))
        if status.st_size > 2 * _END_BYTES:
            file.seek(-_END_BYTES, os.SEEK_END)
            digest.update(file.read(_END_BYTES))
    return f"{status.st_size} {digest.hexdigest()}".encode()
