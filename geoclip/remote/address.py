"""Addresses of folders elsewhere, and their files; what an address holds of secrets is never shown."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from importlib.util import find_spec
from typing import IO, Any, NamedTuple
from urllib.parse import SplitResult, urlsplit, urlunsplit

from geoclip.errors import InputError
from geoclip.remote.web import web_options

PACKAGES = {"hf": "huggingface_hub", "https": "aiohttp", "http": "aiohttp", "s3": "s3fs", "gs": "gcsfs"}
"""Kinds of addresses, and the package that reads each through fsspec."""
WEB = ("http", "https")
_LIKE_ONE = re.compile(r"([a-z][a-z0-9+.-]+):/{1,2}(?=[^/])", re.IGNORECASE)
_SECRETS = re.compile(r"//[^/\s@]+@|[?&][^\s'\"<>]*")
_GONE = (404, 410)  # of HTTP
_COMMIT = re.compile(r"[0-9a-f]{40}")


_REPOSITORY = re.compile(r"(datasets/)?([^/@]+/[^/@]+)(?:@(.+))?")


class HubFolder(NamedTuple):
    """A repository of the hub."""

    kind: str
    """`model` or `dataset`."""
    repository: str
    """owner/name."""
    revision: str | None


class UnreachableError(InputError):
    """A file cannot be read at the moment; the next try may succeed."""


class Address:
    """A folder at an address, such as `hf://owner/name@revision`, `https://host/folder` or `s3://bucket/folder`.

    Args:
        words: the address. A name and password, or a query such as a signature, are used and never shown.
        packages: for each kind of address that is allowed, the package that it needs.

    Raises:
        InputError: it is of another kind, a package that it needs is not installed, or it is of a bucket and holds a
            name or a query.
    """

    def __init__(self, words: str, packages: Mapping[str, str] = PACKAGES) -> None:
        scheme, host, path, query, fragment = split_address(_LIKE_ONE.sub(r"\1://", words, count=1))
        self._parts = (scheme, host, path.rstrip("/"), query)
        if scheme not in packages or not host or fragment:
            raise InputError(
                f"{str(self) or without_secrets(words)} is not an address of a folder; give one like "
                "hf://owner/name@revision, https://host/folder or s3://bucket/folder."
            )
        if has_credentials(scheme, host, query):
            raise InputError(f"{self} was given with a password or a query; {NO_CREDENTIALS}")
        if find_spec(packages[scheme]) is None:
            raise InputError(
                f"{scheme}:// needs {packages[scheme]}, which this installation lacks; run "
                "`pip install 'geoclip-planet[remote]'`."
            )

    @staticmethod
    def is_one(words: str) -> bool:
        """Return whether words look like an address and not like a path; a `Path` leaves one slash of two."""
        found = _LIKE_ONE.match(words)
        return found is not None and found[1].lower() in PACKAGES

    def __str__(self) -> str:
        """Return the address without what may be secret in it."""
        scheme, host, path, _ = self._parts
        at = host.rpartition("@")[2] if scheme != "hf" else host
        return urlunsplit((scheme, at, path, "", ""))

    @property
    def name(self) -> str:
        """The last part of it, without a revision."""
        return self._parts[2].partition("@")[0].rpartition("/")[2]

    @property
    def is_fixed(self) -> bool:
        """Whether what is there can never change: it names a commit of the hub."""
        return (
            self._parts[0] == "hf" and _COMMIT.fullmatch(self._parts[2].partition("@")[2].partition("/")[0]) is not None
        )

    def hub_folder(self) -> "HubFolder | None":
        """Return which repository of the hub it is; None where it is something else, or a folder inside one."""
        scheme, host, path, _ = self._parts
        found = _REPOSITORY.fullmatch(f"{host}{path}") if scheme == "hf" else None
        return found and HubFolder("dataset" if found[1] else "model", found[2], found[3])

    def file(self, name: str) -> str:
        """Return the address of a file of the folder, secrets and all."""
        scheme, host, path, query = self._parts
        return urlunsplit((scheme, host, f"{path}/{name}", query, ""))

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """Open a file of the folder; it can be read from anywhere where the other side allows it.

        Raises:
            InputError: there is no such file.
            UnreachableError: it cannot be read.
        """
        path = self.file(name)
        with self.said(name), self._files.open(self._files._strip_protocol(path), "rb", block_size=_BLOCK) as file:
            yield file

    def size(self, name: str, most: int) -> int:
        """Return how many bytes a file of the folder has.

        Raises:
            InputError: there is no such file, it cannot be read, has more than `most`, or its size is not told.
        """
        with self.open(name) as file:
            size: int | None = getattr(file, "size", None)
        if size is None or size > most:
            has = "does not say its size" if size is None else f"has {size:,} bytes"
            raise InputError(f"{name} of {self} {has}; at most {most:,} are fetched.")
        return size

    @contextmanager
    def said(self, name: str) -> Iterator[None]:
        """Turn what a library raises while it reads a file into a sentence without secrets."""
        try:
            yield
        except InputError:
            raise
        except Exception as found:  # each kind of address has errors of its own
            error = first_cause(found) if self._parts[0] in WEB else found
            if isinstance(error, FileNotFoundError) or getattr(error, "status", None) in _GONE:
                raise InputError(f"{self} has no {name}; give the address of the folder that holds it.") from None
            raise UnreachableError(
                f"{name} of {self} cannot be read ({reason_of(error)}); try again later, or check the address and the "
                "access to it."
            ) from None

    @cached_property
    def _files(self) -> Any:
        import fsspec

        with self.said("anything"):
            options = web_options() if self._parts[0] in WEB else {}
            return fsspec.core.url_to_fs(self.file(""), skip_instance_cache=True, **options)[0]  # nothing remembered


NO_CREDENTIALS = (
    "credentials do not belong in the address of a bucket, and are read from the environment, such as "
    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
)


def split_address(words: str) -> SplitResult:
    """Return the parts of an address; all are empty where it is not one."""
    try:
        return urlsplit(words)
    except ValueError:  # brackets that are not around a number of the network
        return SplitResult("", "", "", "", "")


def has_credentials(scheme: str, host: str, query: str = "") -> bool:
    """Return whether the address of a bucket holds what its libraries would take for a part of a name."""
    return scheme not in (*WEB, "hf") and ("@" in host or bool(query))


def first_cause(error: BaseException) -> BaseException:
    """Return what an error came of; fsspec calls a server that cannot be reached a file that is not found."""
    return error if error.__cause__ is None else first_cause(error.__cause__)


def reason_of(error: BaseException) -> str:
    """Return the kind and the first line of a library's error, without names, passwords and queries of addresses."""
    return f"{type(error).__name__}: {without_secrets(f'{error}'.split(chr(10))[0])[:200]}"


def without_secrets(words: str) -> str:
    """Return words without the names, passwords and queries of addresses in them."""
    return _SECRETS.sub(lambda found: "//" if found[0].startswith("//") else "", words)


def shown(address: str) -> str:
    """Return the address of a file without what may be secret in it."""
    scheme, host, path, _, _ = split_address(address)
    if not scheme:
        return without_secrets(address)
    return urlunsplit((scheme, host if scheme == "hf" else host.rpartition("@")[2], path, "", ""))


_BLOCK = 1 << 22
