"""The content of a file at an address, or a range of it: bounded in size and time; what may pass is tried again."""

import re
import time
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, TypeVar
from urllib.parse import urlsplit

from geoclip.errors import PhotoError
from geoclip.photos.elsewhere import TooLargeError
from geoclip.remote.address import PACKAGES, WEB, first_cause, reason_of
from geoclip.remote.web import web_options

T = TypeVar("T")
TOTAL_S = 60.0
"""For one photo or range, each time it is tried."""
WAITS_S = (0.5, 2.0)
"""Before it is tried again."""
_CHUNK = 1 << 20
_GONE, _REFUSED, _PASSING = (404, 410), (401, 403, 407), (408, 425, 429)
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")
_NO_RANGES = "The server does not give parts of files, which a tar file's photos are; copy the file to this machine."


class UnreachablePhotoError(PhotoError):
    """It cannot be fetched at the moment, though it was tried several times; later it may be."""


def whole(address: str, most: int) -> bytes:
    """Return the content of a file.

    Raises:
        TooLargeError: it has more than `most` bytes.
        PhotoError: it cannot be fetched; one sentence without the address.
    """
    return _trying(address, lambda scheme, files: _whole(files, scheme, files._strip_protocol(address), most))


def size_at(address: str) -> int:
    """Return how many bytes a file has of which ranges can be read; errors as of `whole`."""

    def size(scheme: str, files: Any) -> int:
        if scheme in WEB:
            try:
                return _asked_of_web(files, address, 0, 1)[1]
            except Exception as error:
                if getattr(error, "status", None) == 416:  # not even a first byte
                    return 0
                raise
        said = files.info(files._strip_protocol(address))
        if said["type"] != "file":
            raise FileNotFoundError
        return int(said["size"])

    return _trying(address, size)


def between(address: str, start: int, stop: int) -> bytes:
    """Return the bytes from `start` to before `stop`, which the file has; errors as of `whole`."""

    def content(scheme: str, files: Any) -> bytes:
        path = files._strip_protocol(address)
        if scheme in WEB:
            found = _asked_of_web(files, address, start, stop)[0]
        elif scheme == "hf":  # its own way to a range reads 5 MB
            with files.open(path, "rb", cache_type="none", size=stop) as file:
                file.seek(start)
                found = file.read(stop - start)
        else:
            found = files.cat_file(path, start=start, end=stop)
        if len(found) != stop - start:
            raise EOFError(f"{len(found):,} bytes came of {stop - start:,}")
        return found

    return _trying(address, content) if stop > start else b""


def _trying(address: str, read: Callable[[str, Any], T]) -> T:
    """Return what is read by the address's kind and file system; what may pass is tried again."""
    scheme = urlsplit(address).scheme
    if find_spec(PACKAGES[scheme]) is None:
        raise PhotoError(f"{scheme}:// needs the package {PACKAGES[scheme]}, which this installation lacks.")
    for wait in (*WAITS_S, None):
        try:
            return read(scheme, _file_system(scheme))
        except PhotoError:
            raise
        except Exception as found:  # each kind of address has errors of its own
            error = first_cause(found) if scheme in WEB and not isinstance(found, TimeoutError) else found
            passing = _may_pass(error)
            if wait is None or not passing:
                raise (UnreachablePhotoError if passing else PhotoError)(_sentence(error)) from None
        time.sleep(wait)
    raise AssertionError


def _whole(files: Any, scheme: str, path: str, most: int) -> bytes:
    if scheme in WEB:
        # one request: with a size given, whatever it is, the server is not asked for it first
        opened = files.open(path, "rb", block_size=0, size=1)
        size = opened.r.content_length
    else:
        opened = files.open(path, "rb", block_size=1 << 22)
        size = opened.size
    with opened as file:
        if size is not None and size > most:
            raise TooLargeError(size, most)
        content = _up_to(file, most + 1)
    if len(content) > most:
        raise TooLargeError(None, most)
    return content


def _up_to(file: Any, most: int) -> bytes:
    content, until = bytearray(), time.monotonic() + TOTAL_S
    while chunk := file.read(min(_CHUNK, most - len(content))):
        content += chunk
        if len(content) == most:
            break
        if time.monotonic() > until:
            raise PhotoError(f"Fetching it takes longer than {TOTAL_S:g} s.")
    return bytes(content)


def _asked_of_web(files: Any, address: str, start: int, stop: int) -> tuple[bytes, int]:
    """Return some bytes and how many the whole file has, by one request; a server that sends more is not heard out."""
    asked = {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
    with files.open(address, "rb", block_size=0, size=1, headers=asked) as file:
        said = _RANGE.fullmatch(file.r.headers.get("Content-Range", ""))
        if file.r.status != 206 or said is None or int(said[1]) != start:
            raise PhotoError(_NO_RANGES)
        return _up_to(file, stop - start), int(said[2])


@lru_cache(maxsize=8)
def _file_system(scheme: str) -> Any:
    import fsspec

    options = web_options(TOTAL_S) if scheme in WEB else {}
    return fsspec.filesystem(scheme, skip_instance_cache=True, use_listings_cache=False, **options)


def _may_pass(error: BaseException) -> bool:
    """Return whether the next try may succeed."""
    status = getattr(error, "status", None)
    if isinstance(status, int):
        return status >= 500 or status in _PASSING
    return not isinstance(error, FileNotFoundError | PermissionError | ValueError | TypeError)


def _sentence(error: BaseException) -> str:
    status = getattr(error, "status", None)
    if isinstance(error, TimeoutError):
        return "The server does not answer in time."
    if isinstance(error, FileNotFoundError) or status in _GONE:
        return "There is no such file at this address."
    if isinstance(error, PermissionError) or status in _REFUSED or "Credentials" in type(error).__name__:
        return "Access to this address is refused; it needs credentials, or others."
    return f"It cannot be fetched: {reason_of(error)}."
