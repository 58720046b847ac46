"""One photo at an address: https, s3, gs or hf."""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from geoclip.photos.elsewhere import Elsewhere, Unusable
from geoclip.photos.tar import is_named_as_tar
from geoclip.remote.address import NO_CREDENTIALS, PACKAGES, has_credentials, shown, split_address
from geoclip.remote.content import whole

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://|file:/", re.IGNORECASE)


def is_tar_at(words: str) -> bool:
    """Return whether words are the address of tar files that can be read there; see `geoclip.remote.tar`."""
    scheme, host, path, _, _ = split_address(words)
    return scheme in PACKAGES and bool(host) and not has_credentials(scheme, host) and is_named_as_tar(path)


def is_address(words: str) -> bool:
    """Return whether words are an address, of whatever kind, and not a path."""
    return _ADDRESS.match(words) is not None


def photo_at(address: str) -> Elsewhere | str:
    """Return the photo at an address: of file:// the path; of what is not read, a row with a reason."""
    scheme, host, path, _, _ = split_address(address)
    if scheme == "file" and host in ("", "localhost"):
        return unquote(path)
    if scheme in PACKAGES and has_credentials(scheme, host):
        return Unusable(shown(address), f"The address holds a name or a password; {NO_CREDENTIALS}")
    if is_named_as_tar(path):
        return Unusable(shown(address), "A tar file holds many photos, and here is a place for one.")
    if scheme not in PACKAGES or not host or not path.strip("/"):
        kinds = "file://, https://, http://, s3://, gs:// and hf://"
        return Unusable(shown(address), f"This is not the address of a file that is read; {kinds} are.")
    return RemotePhoto(address)


@dataclass(frozen=True, repr=False)
class RemotePhoto(Elsewhere):
    """A photo at an address. A name and password, or a query such as a signature, are used and never shown."""

    address: str

    @property
    def name(self) -> str:
        """The address without what may be secret in it."""
        return shown(self.address)

    def __repr__(self) -> str:
        return f"RemotePhoto({self.name!r})"

    def content(self, most: int) -> bytes:
        """See `Elsewhere.content`."""
        return whole(self.address, most)
