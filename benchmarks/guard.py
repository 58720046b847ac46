"""Has a change made the heart slower? Rates as shares of the matrix products measured in the same minute.

    python -m benchmarks.guard [--save]

The products are in the arithmetic that the machine's encoder takes by itself. A machine's speed cancels out of a share,
so what a kind of processor is known for is committed, in `guard.json`, by its vector units; `--save` writes it. A share
that has lost more than a fifth fails, if it does so three times.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.harness import in_turns, parser, some_points, timed
from benchmarks.results import machine
from benchmarks.suites.encode import encoder_of, products
from benchmarks.suites.world import COARSE, World, world
from geoclip.encoders.precision import has_bf16_units
from index.building.build import build
from index.building.request import Request
from index.grid.region import Region
from index.search.efforts import EffortName
from index.search.posterior import Posterior
from index.search.question import Question
from index.storage.gallery import Gallery

KNOWN = Path(__file__).with_name("guard.json")
TOLERANCE = 0.20
LOOKS = 3
"""Measurements in all of which a share must have fallen."""
TO_KNOW = 5
"""Measurements whose medians are saved."""
PRODUCTS = 2048
"""Points whose products are the unit of time."""
REGION, RESOLUTION, QUERIES = "country:SI", 7, 64
ROUNDS = 7


def main() -> int:
    """Measure, compare, and say which shares fell."""
    options = parser(__doc__, index=False, out=False)
    options.add_argument("--save", action="store_true", help="what is measured now is known from now on")
    arguments = options.parse_args()
    kind = kind_of_machine()
    known = json.loads(KNOWN.read_text(encoding="utf-8")) if KNOWN.exists() else {}
    if kind not in known and not arguments.save:
        print(f"Nothing is known of processors with {kind}; write it with --save on a commit that is trusted.")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        tasks = heart(world(REGION, RESOLUTION, QUERIES, 0, Path(folder)), Path(folder))
        if arguments.save:
            looks = [shares(tasks) for _ in range(TO_KNOW)]
            measured = {name: float(np.median([look[name] for look in looks])) for name in looks[0]}
            KNOWN.write_text(json.dumps(known | {kind: measured}, indent=2) + "\n", encoding="utf-8")
        else:
            measured = shares(tasks)
            for _ in range(LOOKS - 1):  # noise passes, a slower program does not
                if slower(measured, known[kind]):
                    again = shares(tasks)
                    measured = {name: max(share, again[name]) for name, share in measured.items()}
    fell = [] if arguments.save else slower(measured, known[kind])
    for name, share in measured.items():
        was = known.get(kind, {}).get(name)
        print(f"{name:32s} {share:8.3f}" + (f"   known {was:.3f}   {share / was - 1:+.0%}" if was else ""))
    for name in fell:
        print(f"{name} is more than {TOLERANCE:.0%} slower than known, relative to the matrix products.")
    return 1 if fell else 0


def kind_of_machine() -> str:
    """Return what decides the shares: the vector units and the cores."""
    facts = machine()
    return f"{' '.join(facts['flags']) or 'none'}, {facts['cores']} cores"


def slower(measured: dict[str, float], known: dict[str, float]) -> list[str]:
    """Return the names of shares that have fallen by more than the tolerance."""
    return [name for name, was in known.items() if measured[name] < was * (1 - TOLERANCE)]


def shares(tasks: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return for each task the time of the products over its own, medians of turns."""
    seconds = in_turns({name: partial(timed, task) for name, task in tasks.items()}, ROUNDS)
    unit = float(np.median(seconds["products"]))
    return {name: unit / float(np.median(spent)) for name, spent in seconds.items() if name != "products"}


def heart(here: World, folder: Path) -> dict[str, Callable[[], object]]:
    """Return the tasks: encoding in large and small calls, coarse search, descent, posterior, build."""
    precision = "bf16" if has_bf16_units(torch.device("cpu")) else "fp32"
    encoder = encoder_of(precision)
    points = some_points(PRODUCTS)
    vectors = next(iter(here.queries.values()))
    coarse = Question(k=10, resolution=COARSE, effort=EffortName.DEFAULT)
    finest = Question(k=10, resolution=9, effort=EffortName.FAST)
    findings = list(here.planet.query_scores(vectors[:16], finest))
    request = Request(5, Gallery.of(points), "guard", region=Region.parse(REGION))
    targets = iter(range(1_000_000))

    def small_calls() -> None:
        for start in range(0, 512, 32):
            encoder.embed(points[start : start + 32])

    def search(question: Question, count: int) -> None:
        here.planet.search(vectors[:count], question)

    def posteriors() -> list[Posterior]:
        return [here.planet.posterior(finding, finest) for finding in findings]

    return {
        "products": products(precision, PRODUCTS),
        "encode, 2048 points": partial(encoder.embed, points),
        "encode, 16 calls of 32": small_calls,
        "coarse search, 64 queries": partial(search, coarse, 64),
        "lookup to resolution 9, 8 queries": partial(search, finest, 8),
        "posterior, 16 queries": posteriors,
        "build": lambda: build(request, here.model.encoder, folder / f"guard-{next(targets)}", report=lambda *_: None),
    }


if __name__ == "__main__":
    sys.exit(main())
