"""The blocks of a build, made by Ray's tasks: each writes its block where all blocks are, and returns a number.

What the tasks need (the encoder, some 40 MB) is sent once to each machine; the blocks never pass through Ray's memory.
A worker that dies is replaced, and its task is tried again.
"""

import tempfile
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from geoclip.encoders.location import LocationEncoder
from geoclip.encoders.multi_gpu import MultiGpuEncoder
from geoclip.encoders.precision import pick_device
from geoclip.errors import InputError
from geoclip.on_ray import cluster
from geoclip.remote.address import UnreachableError
from geoclip.remote.blocks import open_blocks
from index.building.block_job import BlockJob, MakeBlocks, block_maker
from index.building.blocks import OnBlock

RETRIES, WAIT_S = 5, 2.0
"""Of a block whose worker died, or whose storage could not be reached: it is waited for before each of these."""


class _Sent(NamedTuple):
    """What goes to the workers."""

    job: BlockJob
    encoder: LocationEncoder
    device: str
    """`cpu` or `cuda`; of several GPUs, Ray shows a task its own."""
    blocks: str | None
    """Where blocks are kept, if not in the working folder."""


def on_ray(encoder: LocationEncoder, device: str, blocks: str | None) -> MakeBlocks:
    """Return what makes blocks on Ray.

    Args:
        encoder: of the model; a copy is sent.
        device: `cpu`: a task takes a core; or `cuda`: a task takes a GPU.
        blocks: the address where they are kept; None where all machines see the working folder.
    """

    def make(job: BlockJob, points: Mapping[int, int], on_block: OnBlock) -> None:
        with cluster():
            _mapped(_Sent(job, encoder, device, blocks), points, on_block)

    return make


def _mapped(sent: _Sent, points: Mapping[int, int], on_block: OnBlock) -> None:
    """Make the blocks and wait for them.

    Raises:
        InputError: what a worker says, or a worker died too often; the other tasks are stopped.
    """
    import ray

    task = ray.remote(
        num_cpus=1,
        num_gpus=1 if sent.device == "cuda" else 0,
        max_retries=RETRIES,
        retry_exceptions=[OSError, UnreachableError],
    )(_make)
    reference = [ray.put(sent)]  # in a list it is passed on as it is, so that a worker reads it once and not each task
    done, total = 0, sum(points.values())
    on_block(done, total)
    waiting = {task.remote(reference, number) for number in points}
    try:
        while waiting:
            for ready in ray.wait(list(waiting), num_returns=1)[0]:
                done += points[ray.get(ready)]
                waiting.remove(ready)
                on_block(done, total)
    except ray.exceptions.RayError as error:
        raise _told(error) from error
    finally:
        for unfinished in waiting:
            ray.cancel(unfinished, force=True)


def _told(error: Exception) -> Exception:
    """Return a worker's own error, or one for a worker that could not say anything."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, ValueError | OSError):
        return cause
    return InputError(
        f"Ray could not make a block, tried {RETRIES + 1} times ({type(error).__name__}); what is done is kept, and "
        "the same command goes on."
    )


def _make(reference: list[Any], number: int) -> int:
    """Make a block, in a worker; return its number."""
    try:
        _worker(reference[0]).make(number)
    except (OSError, UnreachableError):
        time.sleep(WAIT_S)
        raise
    return number


@lru_cache(maxsize=1)
def _worker(reference: Any) -> "_Worker":
    """Return what makes a build's blocks in this process, which reads encoder and grid once."""
    import ray

    return _Worker(ray.get(reference))


class _Worker:
    """Makes blocks; beside a store, in a folder of its own that goes with it."""

    def __init__(self, sent: _Sent) -> None:
        encoder = MultiGpuEncoder(sent.encoder, [pick_device(sent.device)])
        if sent.blocks is None:
            self.make = block_maker(sent.job, encoder)
            return
        self._folder = tempfile.TemporaryDirectory(prefix="geoclip-blocks-")
        job = sent.job._replace(work=Path(self._folder.name))
        self.make = block_maker(job, encoder, open_blocks(sent.blocks))
