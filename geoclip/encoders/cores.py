"""Runs a function over chunks, each on one core: small matrix products gain more from that than from being split."""

import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache


def on_all_cores(
    run: Callable[[int], object], chunks: Sequence[int], cores: int | None = None, *, alone: bool = False
) -> None:
    """Call `run` once for every chunk, on several threads, each of which computes on one core; one chunk on all cores.

    Args:
        run: what is set for a thread, such as torch's inference mode, must be set inside. The first error is raised.
        chunks: what `run` is called with.
        cores: how many threads; as many as torch computes with unless said otherwise.
        alone: compute on one core even where there is one chunk, because products on several round in another way.
    """
    import torch

    threads = cores or torch.get_num_threads()
    if threads == 1 or (len(chunks) == 1 and not alone):
        for chunk in chunks:
            run(chunk)
        return
    for _ in _crew(threads).map(run, chunks):
        pass


@lru_cache(maxsize=1)
def _crew(size: int) -> ThreadPoolExecutor:
    """Return threads in each of which torch computes alone."""
    import torch

    crew, everyone = ThreadPoolExecutor(size, thread_name_prefix="geoclip-core"), threading.Barrier(size)

    def alone() -> None:
        torch.get_num_threads()  # a thread takes the number of all when it first asks, so it asks first
        torch.set_num_threads(1)  # of this thread, and of all that begin to compute from now on ...
        everyone.wait()

    for started in [crew.submit(alone) for _ in range(size)]:
        started.result()
    torch.set_num_threads(size)  # ... which is taken back here
    return crew


def _after_fork() -> None:
    """Compute on one thread: the others stayed behind in the parent, and OpenMP would wait for them for ever."""
    _crew.cache_clear()
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)
    if (faiss := sys.modules.get("faiss")) is not None:
        faiss.omp_set_num_threads(1)


os.register_at_fork(after_in_child=_after_fork)
