"""A server that speaks as Google's storage does, on this machine, where its package is installed."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest


@contextmanager
def gs_server(bucket: str) -> Iterator[Mapping[str, str]]:
    """Run a server with a bucket until the end; yields the environment in which programs find it."""
    pytest.importorskip("gcsfs", reason="gs:// needs gcsfs; pip install 'geoclip-planet[dev]'")
    servers = pytest.importorskip("gcp_storage_emulator.server", reason="gs:// is tried with gcp-storage-emulator")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = servers.create_server("127.0.0.1", port, in_memory=True, default_bucket=bucket)
    server.start()
    try:
        yield {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}", "NO_GCE_CHECK": "true"}
    finally:
        server.stop()
