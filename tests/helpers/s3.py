"""An S3 server of moto's on this machine, asked over HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager

from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer

SECRET = "hunter2"


@contextmanager
def s3_server() -> Iterator[dict[str, str]]:
    """Run a server until the end; yields the environment in which programs find it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_MAX_ATTEMPTS": "2",
        }
    finally:
        server.stop()
        s3_backends.reset()  # they are the process's, and would be there for the next server
