"""One photo at an address: https, s3, gs or hf. Bounded in size and time; tried again where the other side fails."""

import re
import time
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from geoclip.errors import PhotoError
from geoclip.photos.elsewhere import Elsewhere, TooLargeError, Unusable
from geoclip.photos.tar import is_tar
from geoclip.remote.address import (
    NO_CREDENTIALS,
    PACKAGES,
    WEB,
    first_cause,
    has_credentials,
    reason_of,
    split_address,
    without_secrets,
)
from geoclip.remote.web import web_options

TOTAL_S = 60.0
"""For one photo, each time it is tried."""
WAITS_S = (0.5, 2.0)
"""Before a photo is tried again."""
_CHUNK = 1 << 20
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://|file:/", re.IGNORECASE)
_GONE, _REFUSED, _PASSING = (404, 410), (401, 403, 407), (408, 425, 429)


def is_address(words: str) -> bool:
    """Return whether words are an address, of whatever kind, and not a path."""
    return _ADDRESS.match(words) is not None


def photo_at(address: str) -> Elsewhere | str:
    """Return the photo at an address: of file:// the path; of what is not read, a row with a reason."""
    scheme, host, path, _, _ = split_address(address)
    if scheme == "file" and host in ("", "localhost"):
        return unquote(path)
    if scheme in PACKAGES and has_credentials(scheme, host):
        return Unusable(_without_secrets(address), f"The address holds a name or a password; {NO_CREDENTIALS}")
    if is_tar(path):
        return Unusable(_without_secrets(address), "A tar file is not read at an address; copy it to this machine.")
    if scheme not in PACKAGES or not host or not path.strip("/"):
        kinds = "file://, https://, http://, s3://, gs:// and hf://"
        return Unusable(_without_secrets(address), f"This is not the address of a file that is read; {kinds} are.")
    return RemotePhoto(address)


@dataclass(frozen=True, repr=False)
class RemotePhoto(Elsewhere):
    """A photo at an address. A name and password, or a query such as a signature, are used and never shown."""

    address: str

    @property
    def name(self) -> str:
        """The address without what may be secret in it."""
        return _without_secrets(self.address)

    def __repr__(self) -> str:
        return f"RemotePhoto({self.name!r})"

    def content(self, most: int) -> bytes:
        """See `Elsewhere.content`."""
        scheme = urlsplit(self.address).scheme
        if find_spec(PACKAGES[scheme]) is None:
            raise PhotoError(f"{scheme}:// needs the package {PACKAGES[scheme]}, which this installation lacks.")
        for wait in (*WAITS_S, None):
            try:
                return _read(self.address, scheme, most)
            except PhotoError:
                raise
            except Exception as found:  # each kind of address has errors of its own
                error = first_cause(found) if scheme in WEB and not isinstance(found, TimeoutError) else found
                if wait is None or not _may_pass(error):
                    raise PhotoError(_sentence(error)) from None
            time.sleep(wait)
        raise AssertionError


def _read(address: str, scheme: str, most: int) -> bytes:
    files, until = _file_system(scheme), time.monotonic() + TOTAL_S
    path = files._strip_protocol(address)
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
        content = bytearray()
        while chunk := file.read(_CHUNK):
            content += chunk
            if len(content) > most:
                raise TooLargeError(None, most)
            if time.monotonic() > until:
                raise PhotoError(f"Fetching it takes longer than {TOTAL_S:g} s.")
    return bytes(content)


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


def _without_secrets(address: str) -> str:
    scheme, host, path, _, _ = split_address(address)
    if not scheme:
        return without_secrets(address)
    return urlunsplit((scheme, host if scheme == "hf" else host.rpartition("@")[2], path, "", ""))
