"""Options of the service itself, beside those that every command has."""

import ipaddress
import os
from dataclasses import dataclass
from typing import Annotated

from geoclip.errors import InputError
from geoclip.option_groups import Help, Options, Panel

KEY_VARIABLE = "GEOCLIP_API_KEY"


@dataclass(frozen=True)
class ServeOptions(Options):
    """Where the service listens, whom it answers, and how much it takes on.

    Raises:
        InputError: other machines could reach it, and there is no key.
    """

    host: Annotated[str, Help("Address to listen on; any but this machine's own needs a key.", metavar="ADDRESS")] = (
        "127.0.0.1"
    )
    port: Annotated[int, Help("Port to listen on; 0 takes a free one.", least=0, most=65535)] = 8000
    api_key: Annotated[
        str | None,
        Help(
            f"What callers must send as `Authorization: Bearer KEY`. Default: ${KEY_VARIABLE}; better there, since "
            "everybody on this machine can read command lines.",
            metavar="KEY",
        ),
    ] = None
    vectors_only: Annotated[bool, Help("Serve no photos: CLIP's weights are not needed.")] = False
    notice: Annotated[str, Help("A sentence that the page shows on top of everything.", metavar="TEXT")] = ""
    queue: Annotated[
        int,
        Help(
            "Requests that are accepted and not answered yet, at most; more are refused at once.", Panel.LIMITS, least=1
        ),
    ] = 32
    per_client: Annotated[
        int | None, Help("The same of one address. Default: no such limit.", Panel.LIMITS, least=1)
    ] = None
    upload_mb: Annotated[
        int, Help("Size of a request's body, at most.", Panel.LIMITS, metavar="MB", least=1, most=4096)
    ] = 64
    upload_s: Annotated[
        float,
        Help("Time for the head of a request, and for its body.", Panel.LIMITS, metavar="S", least=0.1, most=3600),
    ] = 60.0
    photos: Annotated[int, Help("Photos of one request, at most.", Panel.LIMITS, least=1)] = 100
    vectors: Annotated[int, Help("Vectors of one request, at most.", Panel.LIMITS, least=1)] = 10_000
    batch_ms: Annotated[
        float,
        Help(
            "How long a request waits for others to be computed with it, on a GPU; a CPU never waits.",
            Panel.MACHINE,
            metavar="MS",
            least=0,
            most=1000,
        ),
    ] = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.key and not self.is_local:
            raise InputError(
                f"Other machines can reach {self.host}, and there is no key; set {KEY_VARIABLE} or give --api-key, or "
                "listen on 127.0.0.1."
            )

    @property
    def key(self) -> str:
        """What callers must send; empty is nothing."""
        return os.environ.get(KEY_VARIABLE, "") if self.api_key is None else self.api_key

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the service."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def upload_bytes(self) -> int:
        """Size of a request's body, at most."""
        return self.upload_mb << 20


@dataclass(frozen=True)
class ServedOptions(Options):
    """What is served."""

    index: Annotated[
        tuple[str, ...],
        Help(
            "An index, as of every command; or NAME=DIR, for callers to choose by name. Repeatable: the first is the "
            "default. Default: the finest in the cache, else the gallery.",
            names=("--index", "-i"),
            metavar="[NAME=]DIR",
        ),
    ] = ()
    weights: Annotated[
        tuple[str, ...],
        Help(
            "Another model, a folder of `geoclip export` or its address; repeatable. An index is served with the one "
            "that it was built with. Default: the released one.",
            Panel.MODEL,
            metavar="DIR",
        ),
    ] = ()
