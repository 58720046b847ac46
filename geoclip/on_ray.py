"""Ray, for those who have no scheduler of their own: which process does the work, and how a cluster is joined."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from geoclip.extras import need


class Runner(StrEnum):
    """Who does the work of a long job."""

    HERE = "here"
    """This process."""
    RAY = "ray"
    """Processes of Ray, on this machine or on a cluster."""


@contextmanager
def cluster() -> Iterator[None]:
    """Join the cluster of `$RAY_ADDRESS` or of this machine, or start Ray on this machine alone; left at the end.

    Where the program is in one already, it stays in it.

    Raises:
        InputError: Ray is not installed.
    """
    need("ray", "--on ray")
    import ray

    if ray.is_initialized():
        yield
        return
    ray.init(logging_level="ERROR", log_to_driver=False, include_dashboard=False)
    try:
        yield
    finally:
        ray.shutdown()
