"""Two replicas under Ray Serve on this machine: one is killed, the other answers."""

import gc
import http.client
import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from geoclip.errors import InputError
from geoclip.serve.settings import ServeOptions
from tests.helpers.ray_cluster import ray_processes, two_cores
from tests.helpers.served import ServedWork

pytest.importorskip("ray", reason="the extra `ray` is not installed")

from ray import serve

from geoclip.serve.on_ray import app, application, deployment

PORT = 18431
CALLERS = 4


@pytest.fixture(scope="module")
def cluster(work: ServedWork) -> Iterator[None]:
    """Ray with two replicas; stopped at the end."""
    with two_cores():
        try:
            serve.start(http_options={"host": "127.0.0.1", "port": PORT})
            args = {"index": [str(work.basel)], "device": "cpu", "workers": 1, "vectors_only": True, "queue": 8}
            serve.run(deployment(args).options(num_replicas=2).bind(), name="geoclip", route_prefix="/")
            yield
        finally:
            serve.shutdown()
    assert not ray_processes("ServeReplica")


def ask(body: bytes) -> tuple[int, bytes]:
    """Return the status and content of one answer; status 0 where there was none."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    try:
        headers = {"Content-Type": "application/json", "Accept": "application/x-ndjson"}
        connection.request("POST", "/v1/search", body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    except OSError:
        return 0, b""
    finally:
        connection.close()


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_a_replica_that_is_killed_loses_what_it_was_doing_and_no_more(work: ServedWork) -> None:
    bodies = [json.dumps({"vectors": [vector]}).encode() for vector in work.vectors.tolist()]
    expected = [ask(body) for body in bodies]
    assert [status for status, _ in expected] == [200] * len(bodies)
    failed: list[int] = []

    def answered(number: int) -> bytes:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            status, content = ask(bodies[number % len(bodies)])
            if status == 200:
                return content
            failed.append(status)
        raise AssertionError(f"Request {number} was never answered: {failed}")

    running = ray_processes("ServeReplica")
    assert len(running) == 2
    with ThreadPoolExecutor(CALLERS) as callers:
        asked = [callers.submit(answered, number) for number in range(60)]
        asked[10].result()
        running[0].send_signal(signal.SIGKILL)
        for number, future in enumerate(asked):
            assert future.result() == expected[number % len(bodies)][1]
    assert len(failed) <= CALLERS, failed  # what it was doing, which is asked again
    assert running[1].is_running()


def test_options_are_those_of_the_command() -> None:
    with pytest.raises(InputError, match="no option 'indxe'"):
        app({"indxe": []})
    with pytest.raises(InputError, match="GEOCLIP_API_KEY"):
        app({"host": "0.0.0.0"})


def test_what_a_replica_loads_is_not_looked_at_by_later_collections(work: ServedWork) -> None:
    replica = application({"index": [str(work.basel)], "device": "cpu", "vectors_only": True}, ServeOptions())
    assert not any(each is replica for each in gc.get_objects())
