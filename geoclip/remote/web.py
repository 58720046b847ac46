"""How files are asked for over HTTP: bounded waiting, and no redirect from https to what is not encrypted."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

if TYPE_CHECKING:
    import aiohttp

_CONNECT_S, _SILENT_S = 30, 60


def web_options(total_s: float | None = None) -> dict[str, Any]:
    """Return the options of fsspec's HTTP file system; its client follows ten redirects, none to other than HTTP.

    Args:
        total_s: for one answer with all its content; None leaves as much time as it brings something.
    """
    import aiohttp

    traces = aiohttp.TraceConfig()
    traces.on_request_redirect.append(refuse_leaving_https)
    waiting = aiohttp.ClientTimeout(total=total_s, sock_connect=_CONNECT_S, sock_read=_SILENT_S)
    return {"client_kwargs": {"timeout": waiting, "trace_configs": [traces]}}


async def refuse_leaving_https(
    session: "aiohttp.ClientSession", context: SimpleNamespace, asked: "aiohttp.TraceRequestRedirectParams"
) -> None:
    """Refuse a redirect from https to http.

    Raises:
        ConnectionError: it is one.
    """
    del session, context
    target = urlsplit(urljoin(str(asked.url), asked.response.headers.get("Location", "")))
    if asked.url.scheme == "https" and target.scheme != "https":
        raise ConnectionError(f"the server redirects to {target.scheme}://, which is not encrypted")
