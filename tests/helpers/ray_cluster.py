"""Ray on two cores of this machine, for the tests of a module; which of its processes run."""

from collections.abc import Iterator
from contextlib import contextmanager

import psutil  # type: ignore[import-untyped]
import pytest


@contextmanager
def two_cores() -> Iterator[None]:
    """Start Ray; it is stopped at the end. What processes are to see in the environment is set before."""
    import ray

    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAY_worker_niceness", "0")  # beside other tests they would hardly get a turn
        ray.init(num_cpus=2, object_store_memory=80 << 20, include_dashboard=False, logging_level="ERROR")
        try:
            yield
        finally:
            ray.shutdown()


def ray_processes(name: str) -> list[psutil.Process]:
    """Return the processes whose title begins with `ray::NAME`: of an actor, or of a function that runs or did."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cmdline()[:1] and process.cmdline()[0].startswith(f"ray::{name}"):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found
