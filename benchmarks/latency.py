"""How long a lookup takes in an index, and what memory serving it takes.

    python -m benchmarks.latency INDEX [--device cuda] [--out results/latency.jsonl]

Photo-like simulated queries. Batch 1: each query timed alone. Batch 1024: one call. Coarse only: resolution of the
stored cells, nothing encoded. Encodings dominate on a CPU, so the encoder's rate is measured beside it.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]

from benchmarks.machine import command, machine
from benchmarks.released_model import ReleasedModel, released_model
from benchmarks.simulated import Kind, places, queries
from index.search.efforts import EffortName
from index.search.planet import Planet
from index.search.question import Question

SEED = 30


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("--singles", type=int, default=200)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--efforts", nargs="*", default=["fast", "default", "thorough"])
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    model = released_model(arguments.device)
    vectors = queries(Kind.PHOTO_LIKE, places(model.gallery, arguments.batch, SEED), model.exact, SEED).vectors
    begun = time.perf_counter()
    planet = model.open(arguments.index, engine=arguments.engine, device=arguments.device)
    opened = time.perf_counter() - begun
    coarse = planet.manifest.coarse_res
    tasks = {f"coarse only, {n}": Question(k=10, resolution=coarse, effort=EffortName(n)) for n in arguments.efforts}
    tasks |= {name: Question(k=10, resolution=9, effort=EffortName(name)) for name in arguments.efforts}
    rate = encoder_rate(model.encode)
    about = {"command": command(), "machine": machine(), "device": arguments.device, "engine": arguments.engine}
    about |= {"index": {"cells": len(planet.cells)}, "opened_s": opened, "encoder_points_a_second": rate}
    print(f"opened in {opened:.2f} s; the encoder makes {rate:,.0f} points a second")
    for name, question in tasks.items():
        record = one_by_one(planet, model, vectors[: arguments.singles], question)
        record |= together(planet, model, vectors, question)
        record |= {"task": name, "rss_gb": psutil.Process(os.getpid()).memory_info().rss / 1e9, "simulated": True}
        print(
            f"{name:12s} batch 1: p50 {record['p50_ms']:.1f} ms, p99 {record['p99_ms']:.1f} ms; "
            f"batch {len(vectors)}: {record['per_second']:.0f} a second; {record['encodings']:.0f} encodings a query; "
            f"{record['rss_gb']:.2f} GB resident",
            flush=True,
        )
        if arguments.out:
            with arguments.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record | about) + "\n")


def encoder_rate(encode: Any) -> float:
    """Return points a second in large batches: the median of five."""
    points = np.random.default_rng(0).uniform((-60, -180), (70, 180), (8192, 2))
    encode(points)
    seconds = []
    for _ in range(5):
        begun = time.perf_counter()
        encode(points)
        seconds.append(time.perf_counter() - begun)
    return len(points) / float(np.median(seconds))


def one_by_one(planet: Planet, model: ReleasedModel, vectors: Any, question: Question) -> dict[str, Any]:
    """Time each query alone."""
    times, encodings = [], []
    for n in range(-5, len(vectors)):  # the first five warm up
        begun = time.perf_counter()
        hits = planet.search(vectors[abs(n)][None], question)
        if n >= 0:
            times.append(1000 * (time.perf_counter() - begun))
            encodings.append(int(hits.encodings[0]))
    p50, p90, p99 = np.percentile(times, (50, 90, 99))
    return {"p50_ms": p50, "p90_ms": p90, "p99_ms": p99, "singles": len(times), "encodings": float(np.mean(encodings))}


def together(planet: Planet, model: ReleasedModel, vectors: Any, question: Question) -> dict[str, Any]:
    """Time all queries in one call."""
    begun = time.perf_counter()
    planet.search(vectors, question)
    return {"batch": len(vectors), "per_second": len(vectors) / (time.perf_counter() - begun)}


if __name__ == "__main__":
    main()
