"""The worker's half of a side-by-side run: names of tasks in on stdin, seconds out on stdout."""

import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple


class Task(NamedTuple):
    """Something to time."""

    run: Callable[[], object]
    amount: float
    """How many `unit`s one run does."""
    unit: str


def serve(tasks: Mapping[str, Task], about: Mapping[str, object]) -> None:
    """Answer until stdin ends: first `about`, then for each task named on a line what one run of it took."""
    _reply(about)
    for line in sys.stdin:
        task = tasks[line.strip()]
        start = time.perf_counter()
        task.run()
        seconds = time.perf_counter() - start
        _reply({"seconds": seconds, "amount": task.amount, "unit": task.unit})


def _reply(message: Mapping[str, object]) -> None:
    print(json.dumps(message), flush=True)
