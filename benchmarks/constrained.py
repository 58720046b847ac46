"""What a constraint costs: the same queries with and without it, in turns.

    python -m benchmarks.constrained INDEX [--queries 30] [--resolution 9] [--prior-weight 0] [--out FILE.jsonl]

Photo-like simulated queries, one at a time, effort default. A constraint is parsed once; its first query, which makes
what later ones share, is timed apart. The ratio is that of the medians, and at most 1.5 is wanted.
"""

import argparse
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.machine import command, machine
from benchmarks.released_model import ReleasedModel, released_model
from benchmarks.simulated import Kind, places, queries
from index.grid.constraint import Constraint
from index.search.planet import Planet
from index.search.question import Question

SEED = 31
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


class Timed(NamedTuple):
    """Milliseconds and encodings of single queries."""

    ms: list[float]
    encodings: list[int]


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("--queries", type=int, default=30)
    parser.add_argument("--resolution", type=int, default=9)
    parser.add_argument("--prior-weight", type=float, default=0.0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    model = released_model(arguments.device)
    vectors = queries(Kind.PHOTO_LIKE, places(model.gallery, arguments.queries, SEED), model.exact, SEED).vectors
    planet = model.open(arguments.index, engine=arguments.engine, device=arguments.device)
    plain = Question(k=10, resolution=arguments.resolution, prior_weight=arguments.prior_weight)
    about = {"command": command(), "machine": machine(), "device": arguments.device, "engine": arguments.engine}
    about |= {"threads": os.environ.get("OMP_NUM_THREADS", "all"), "index": {"cells": len(planet.cells)}}
    run(planet, model, vectors[:5], plain)  # warms up
    for name, flags in CONSTRAINTS.items():
        record = compared(planet, model, vectors, plain, flags)
        print(
            f"{name:30s} {record['constrained_p50_ms']:.0f} ms to {record['plain_p50_ms']:.0f}: "
            f"{record['ratio']:.2f}; parsed in {record['parse_s']:.2f} s, first query {record['first_ms']:.0f} ms, "
            f"{record['constrained_encodings']:.0f} encodings to {record['plain_encodings']:.0f}",
            flush=True,
        )
        if arguments.out:
            with arguments.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"constraint": name} | record | about | {"simulated": True}) + "\n")


def compared(
    planet: Planet, model: ReleasedModel, vectors: Any, plain: Question, flags: dict[str, list[str]]
) -> dict[str, Any]:
    """Time every query with and without a constraint, one right after the other."""
    begun = time.perf_counter()
    constraint = Constraint.parse(**flags)
    parse_s = time.perf_counter() - begun
    assert constraint.region is not None
    asked = replace(plain, constraint=constraint)
    first = run(planet, model, vectors[:1], asked).ms[0]
    turns: list[tuple[Timed, Timed]] = []
    for n in range(len(vectors)):
        order = (plain, asked) if n % 2 else (asked, plain)
        done = {id(question): run(planet, model, vectors[n : n + 1], question) for question in order}
        turns.append((done[id(asked)], done[id(plain)]))
    with_it, without = (
        Timed([t.ms[0] for t in side], [t.encodings[0] for t in side]) for side in zip(*turns, strict=True)
    )
    record: dict[str, Any] = {"flags": flags, "ranges": len(constraint.region), "parse_s": parse_s, "first_ms": first}
    for side, timed in (("constrained", with_it), ("plain", without)):
        p50, p90 = np.percentile(timed.ms, (50, 90))
        record |= {f"{side}_p50_ms": p50, f"{side}_p90_ms": p90, f"{side}_encodings": float(np.mean(timed.encodings))}
    return record | {"ratio": record["constrained_p50_ms"] / record["plain_p50_ms"], "queries": len(vectors)}


def run(planet: Planet, model: ReleasedModel, vectors: Any, question: Question) -> Timed:
    """Time queries one by one."""
    result = Timed([], [])
    for row in range(len(vectors)):
        begun = time.perf_counter()
        hits = planet.search(vectors[row : row + 1], question)
        result.ms.append(1000 * (time.perf_counter() - begun))
        result.encodings.append(int(hits.encodings[0]))
    return result


if __name__ == "__main__":
    main()
