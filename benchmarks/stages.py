"""Where the time of a lookup goes: its stages, one query at a time and in a call of many.

    python -m benchmarks.stages INDEX [--efforts default fast] [--singles 100] [--batch 512] [--out FILE.jsonl]

Photo-like simulated queries near the index's cells, to resolution 9. The functions that make up a stage are timed where
they are called; a stage's time is without that of the stages that it calls. Timing itself takes less than 0.2 ms. In a
call of many, one batch is searched while another is made into hits: stages of two threads add up to more than the call.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.harness import parser
from benchmarks.latency import WARM_UP, encoder_rate
from benchmarks.released_model import released_model
from benchmarks.results import Results
from benchmarks.simulated import Kind, places, queries
from geoclip.encoders.location import LocationEncoder
from index.grid.cells import cells_at
from index.search import descent
from index.search.batches import HostSearch
from index.search.efforts import EffortName
from index.search.engine.starts import StartProducts
from index.search.engine.tree import TreeEngine
from index.search.hits import HitMaker
from index.search.planet import Planet
from index.search.question import Question
from index.storage.lists import Lists
from index.storage.nodes import Nodes
from index.storage.slopes import Slopes

SEED = 30
STAGES: dict[str, tuple[tuple[Any, str], ...]] = {
    "start_level": ((StartProducts, "scores"),),
    "faiss_scans": ((Lists, "scan"),),
    "walk_choosing": ((TreeEngine, "search"),),
    "slopes": ((Slopes, "told"), (HostSearch, "children_scores")),
    "descent_choosing": ((descent, "descend"), (descent, "_children"), (descent, "_from_siblings")),
    "descent_scoring": ((descent, "_encoded"),),
    "encoding": ((LocationEncoder, "quickly"), (Nodes, "values")),
    "exact_scores": ((LocationEncoder, "exactly"),),
    "hits": ((HitMaker, "hits"),),
    "posterior": ((Planet, "posterior"), (HostSearch, "_passed_by")),
    "search_rest": ((HostSearch, "batch"),),
    "rest": ((Planet, "search"),),  # also what the one thread waits for the other
}


class Clock:
    """Sums the time of functions, each without that of others that it calls in the same thread."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inner: dict[int, list[float]] = defaultdict(lambda: [0.0])  # by thread
        self._lock = threading.Lock()

    def __call__(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that is timed."""

        def timed(*args: Any, **options: Any) -> Any:
            inner, begun = self._inner[threading.get_ident()], time.perf_counter()
            inner.append(0.0)
            try:
                return function(*args, **options)
            finally:
                spent = time.perf_counter() - begun
                own = spent - inner.pop()
                inner[-1] += spent
                with self._lock:
                    self.seconds[stage] += own

        return timed


def main() -> None:
    """Measure, print and save."""
    options = parser(__doc__)
    options.add_argument("--efforts", nargs="+", type=EffortName, default=["default", "fast"])
    options.add_argument("--singles", type=int, default=100)
    options.add_argument("--batch", type=int, default=512)
    arguments = options.parse_args()
    results, model, clock = Results(arguments.out), released_model(), Clock()
    rate = encoder_rate(model.encode)
    with timed(clock):
        planet = model.open(arguments.index)
        inside = model.gallery[np.isin(cells_at(model.gallery, planet.manifest.coarse_res), planet.cells)]
        count = WARM_UP + arguments.singles + arguments.batch
        vectors = queries(Kind.PHOTO_LIKE, places(inside, count, SEED), model.exact, SEED)
        many, single = vectors[: arguments.batch], vectors[arguments.batch :]
        for effort in map(EffortName, arguments.efforts):
            question = Question(k=10, resolution=9, effort=effort)
            for n in range(WARM_UP):
                planet.search(single[n : n + 1], question)
            alone = [single[n : n + 1] for n in range(WARM_UP, len(single))]
            for name, asked in (("one", alone), (f"in {len(many)}", [many])):
                clock.seconds.clear()
                begun = time.perf_counter()
                for each in asked:
                    planet.search(each, question)
                spent, lookups = time.perf_counter() - begun, sum(map(len, asked))
                values = {f"{stage}_ms": 1000 * clock.seconds[stage] / lookups for stage in STAGES}
                values |= {"lookup_ms": 1000 * spent / lookups, "encoder_points_per_second": rate}
                results.add("stages", {"effort": effort, "queries": name, "resolution": 9, "simulated": True}, values)


@contextmanager
def timed(clock: Clock) -> Iterator[None]:
    """Time the functions of all stages."""
    with ExitStack() as patches:
        for stage, functions in STAGES.items():
            for owner, name in functions:
                patches.enter_context(patch.object(owner, name, clock(stage, getattr(owner, name))))
        yield


if __name__ == "__main__":
    main()
