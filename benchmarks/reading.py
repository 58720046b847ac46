"""What it takes to choose and read an answer of what a search found: alone and in a batch, stage by stage.

    python -m benchmarks.reading INDEX [--queries 512] [--rounds 5] [--out FILE.jsonl]

Photo-like simulated queries are searched for once, and read several times; what is remembered of a distribution is
forgotten in between. Milliseconds a query, by the clock, with all threads:

- first: alone, and cells met for the first time by this process, whose places must be looked up;
- alone: each query's fastest round, their median; and the median of all;
- batch: all queries in one call, the fastest round;
- stages: of what is alone and in a batch, each without the stages inside it; processor time of the threads that read,
  of which there are two in a batch, without those that encode.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import parser
from benchmarks.released_model import released_model
from benchmarks.results import Results
from geoclip.answers import answering
from geoclip.answers.answerer import Answerer
from geoclip.answers.answering import AnswerMaker
from geoclip.answers.looked_at import LookedAt
from geoclip.answers.place_names import PlaceNames
from geoclip.answers.source import Asked
from geoclip.locator import Locator
from index.search.discs import Discs
from index.search.hits import FoundPlaces, joined_hits
from index.search.posterior import Posterior

SEED = 7002
TOGETHER = 64
Vectors = NDArray[np.float32]
STAGES: tuple[tuple[Any, str, str], ...] = (
    (Posterior, "joined", "joining leaves"),
    (Discs, "of", "discs"),
    (LookedAt, "of", "places looked at"),
    (AnswerMaker, "_best_of", "best point"),
    (answering, "at_scale", "scale"),
    (answering, "areas", "areas"),
    (AnswerMaker, "_read", "predictions"),
    (answering, "entropy_bits", "entropy"),
    (AnswerMaker, "_measured", "radii"),
    (AnswerMaker, "_score", "scores of points not scored"),
    (AnswerMaker, "_titles", "titles"),
    (PlaceNames, "shares", "shares of places"),
    (Posterior, "tree", "cells"),
    (AnswerMaker, "_told", "description"),
    (Answerer, "read", "rest"),
)
"""Owner, attribute, and what it does."""


def main() -> None:
    """Measure, print and save."""
    options = parser(__doc__)
    options.add_argument("--queries", type=int, default=512)
    options.add_argument("--alone", type=int, default=64, help="queries that are read alone")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--point", default="all")
    arguments = options.parse_args()
    vectors = released_model().photo_like(arguments.queries, SEED)
    locator, results = Locator.open(arguments.index), Results(arguments.out, SEED)
    reading = Reading(locator.answerer, locator.asked(point=arguments.point), vectors)
    about = {"index": Path(arguments.index).name, "queries": len(vectors), "simulated": True, "point": arguments.point}
    alone = range(min(arguments.alone, len(vectors)))
    first = [reading.timed(slice(row, row + 1)) for row in alone]
    results.add(
        "reading", {"table": "first"} | about, {"median_ms": 1000 * float(np.median(first)), "read": len(first)}
    )
    reading.timed(slice(None))  # all cells are met
    with staged() as spent:
        rounds = [[reading.timed(slice(row, row + 1)) for row in alone] for _ in range(arguments.rounds)]
    each = np.array(rounds)
    values = {"fastest_median_ms": 1000 * float(np.median(each.min(axis=0)))}
    values |= {"median_ms": 1000 * float(np.median(each)), "read": len(alone), "rounds": arguments.rounds}
    results.add("reading", {"table": "alone"} | about, values)
    stages(results, {"table": "stages", "batch": 1} | about, spent, each.size)
    with staged() as spent:
        together = [reading.timed(slice(None)) / len(vectors) for _ in range(arguments.rounds)]
    values = {"fastest_ms": 1000 * min(together), "median_ms": 1000 * float(np.median(together))}
    results.add("reading", {"table": "batch"} | about, values | {"rounds": arguments.rounds})
    stages(results, {"table": "stages", "batch": len(vectors)} | about, spent, len(vectors) * arguments.rounds)


def stages(results: Results, about: dict[str, Any], spent: dict[str, float], count: int) -> None:
    """Record the mean milliseconds a query of each stage."""
    results.add("reading", about, {f"{name.replace(' ', '_')}_ms": 1000 * s / count for name, s in spent.items()})


class Reading:
    """What was found for some vectors, to be read again and again.

    Args:
        answerer: finds and reads.
        asked: what is asked.
        vectors: (N, dim) of length 1.
    """

    def __init__(self, answerer: Answerer, asked: Asked, vectors: Vectors) -> None:
        self._answerer, self._asked, self._vectors = answerer, asked, vectors
        batches = [vectors[at : at + TOGETHER] for at in range(0, len(vectors), TOGETHER)]
        self._found = joined_hits([answerer.found(batch, asked) for batch in batches])

    def timed(self, rows: slice) -> float:
        """Return the seconds that reading the answers of some queries takes."""
        found, vectors = self._of(rows), self._vectors[rows]
        names = [str(row) for row in range(len(vectors))]
        begun = time.perf_counter()
        self._answerer.read(names, vectors, found, self._asked)
        return time.perf_counter() - begun

    def _of(self, rows: slice) -> FoundPlaces:
        """Return what was found for some queries, as if it had just been."""
        arrays = [array[rows] for array in self._found[:-1]]
        posteriors = self._found.posteriors[rows]
        fresh = (Posterior(each.cells, each.mass, each.finest, each.unsure) for each in posteriors)
        return FoundPlaces._make([*arrays, tuple(fresh)])


@contextmanager
def staged() -> Iterator[dict[str, float]]:
    """Yield the processor's seconds that each stage takes, without those inside it, of what is run in this context."""
    spent, own, adding = {name: 0.0 for _, _, name in STAGES}, threading.local(), threading.Lock()

    def watched(run: Callable[..., Any], name: str) -> Callable[..., Any]:
        def watching(*arguments: Any, **options: Any) -> Any:
            begun, inside = time.thread_time(), own.__dict__.setdefault("inside", [0.0])
            inside.append(0.0)
            try:
                return run(*arguments, **options)
            finally:
                took = time.thread_time() - begun
                with adding:
                    spent[name] += took - inside.pop()
                inside[-1] += took

        return watching

    before = [(owner, attribute, vars(owner)[attribute]) for owner, attribute, _ in STAGES]
    try:
        for (owner, attribute, raw), (_, _, name) in zip(before, STAGES, strict=True):
            made: Any
            if isinstance(raw, cached_property):
                made = cached_property(watched(raw.func, name))
                made.__set_name__(owner, attribute)
            else:
                made = classmethod(watched(raw.__func__, name)) if isinstance(raw, classmethod) else watched(raw, name)
            setattr(owner, attribute, made)
        yield spent
    finally:
        for owner, attribute, raw in before:
            setattr(owner, attribute, raw)


if __name__ == "__main__":
    main()
