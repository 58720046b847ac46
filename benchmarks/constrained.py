"""What a constraint costs: the same queries with and without it, in turns.

    python -m benchmarks.constrained INDEX [--queries 30] [--resolution 9] [--prior-weight 0] [--out FILE.jsonl]

Photo-like simulated queries, one at a time, effort default. A constraint is parsed once; its first query, which makes
what later ones share, is timed apart. The ratio is that of the medians, and at most 1.5 is wanted.
"""

import time
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from benchmarks.harness import parser, timed
from benchmarks.released_model import released_model
from benchmarks.results import Results
from index.grid.constraint import Constraint
from index.search.planet import Planet
from index.search.question import Question

SEED, WARM_UP = 31, 5
CONSTRAINTS: dict[str, dict[str, list[str]]] = {
    "disk of 1 km": {"near": ["48.86,2.35,1"]},
    "disk of 50 km": {"near": ["-33.9,18.4,50"]},
    "disk astride the antimeridian": {"near": ["-17,180,300"]},
    "box of 5 degrees": {"bbox": ["35,135,40,140"]},
    "small country": {"country": ["LI"]},
    "country": {"country": ["FR"]},
    "three large countries": {"country": ["RU,CA,US"]},
    "continent": {"region": ["continent:Europe"]},
    "hemisphere": {"bbox": ["0,-180,90,180"]},
    "all but a country": {"not_country": ["US"]},
    "four kinds at once": {
        "region": ["continent:Europe"],
        "bbox": ["40,-10,60,30"],
        "not_country": ["FR,DE"],
        "not_near": ["41.9,12.5,100"],
    },
}


def main() -> None:
    """Measure, print and save."""
    options = parser(__doc__)
    options.add_argument("--queries", type=int, default=30)
    options.add_argument("--resolution", type=int, default=9)
    options.add_argument("--prior-weight", type=float, default=0.0)
    options.add_argument("--device", default="cpu")
    options.add_argument("--engine", default="auto")
    options.add_argument("--constraints", nargs="+", choices=CONSTRAINTS, default=CONSTRAINTS, metavar="NAME")
    arguments = options.parse_args()
    model, results = released_model(arguments.device), Results(arguments.out)
    vectors = model.photo_like(arguments.queries, SEED)
    planet = model.open(arguments.index, engine=arguments.engine, device=arguments.device)
    plain = Question(k=10, resolution=arguments.resolution, prior_weight=arguments.prior_weight)
    about = {"device": arguments.device, "engine": arguments.engine, "index_cells": len(planet.cells)}
    about |= {"queries": len(vectors), "simulated": True}
    for name in arguments.constraints:
        begun = time.perf_counter()
        constraint = Constraint.parse(**CONSTRAINTS[name])
        values = {"parse_s": time.perf_counter() - begun}
        assert constraint.region is not None
        values |= compared(planet, vectors, plain, replace(plain, constraint=constraint))
        results.add("constrained", {"constraint": name, "ranges": len(constraint.region)} | about, values)


def compared(planet: Planet, vectors: Any, plain: Question, asked: Question) -> dict[str, float]:
    """Time every query with and without a constraint, one right after the other."""
    values = {"first_ms": 1000 * timed(partial(planet.search, vectors[:1], asked))}
    for n in range(WARM_UP):
        planet.search(vectors[n : n + 1], plain)
    sides = {"constrained": asked, "plain": plain}
    ms: dict[str, list[float]] = {side: [] for side in sides}
    encodings: dict[str, list[int]] = {side: [] for side in sides}
    for row in range(len(vectors)):
        for side in sorted(sides, reverse=bool(row % 2)):
            begun = time.perf_counter()
            hits = planet.search(vectors[row : row + 1], sides[side])
            ms[side].append(1000 * (time.perf_counter() - begun))
            encodings[side].append(int(hits.encodings[0]))
    for side in sides:
        p50, p90 = np.percentile(ms[side], (50, 90)).tolist()
        values |= {f"{side}_p50_ms": p50, f"{side}_p90_ms": p90, f"{side}_encodings": float(np.mean(encodings[side]))}
    return values | {"ratio": values["constrained_p50_ms"] / values["plain_p50_ms"]}


if __name__ == "__main__":
    main()
