"""Recall of the index against the exhaustive answer, on simulated queries, and the work it takes.

    python -m benchmarks.recall INDEX WORK [--resolution 7] [--out results/recall.jsonl] [--figure recall.png]

WORK is what `exhaustive.py` left for the same grid, or a file of `truth/`. Three tables, each a line of the results:

- walk: how often the parent of the exhaustive answer is among the best B coarse cells, for walks of several widths and
  for exact search over the stored vectors;
- effort: recall@1 and @10 of the efforts with a name, at the resolution of the exhaustive answer, with the encodings
  they took;
- places: how often exact search over the released gallery places the queries within 1, 25, 200, 750 and 2500 km, which
  says how hard they are.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.exhaustive import asked_and_found
from benchmarks.machine import command, machine
from benchmarks.released_model import ReleasedModel, released_model
from benchmarks.simulated import Kind
from index.grid.cells import Cells, parents
from index.grid.constraint import Constraint
from index.grid.region import Region
from index.search.efforts import Effort, EffortName, Step, named
from index.search.planet import Planet
from index.search.question import Question

BEAMS = (8, 16, 32, 64, 128, 256)
WALKS = ((64, 128), (128, 256), (256, 512), (512, 1024), (1024, 2048), (2048, 4096))
KEPT = 512


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--queries", type=int, default=500, help="of each kind, at most")
    parser.add_argument("--curve", type=int, default=0, help="also measure beams without margins, on so many queries")
    parser.add_argument("--efforts", nargs="*", default=["fast", "default", "thorough"])
    parser.add_argument("--efforts-only", action="store_true", help="leave out the walks")
    parser.add_argument("--resolution", type=int, help="of the exhaustive answer; default: one below the index's")
    parser.add_argument("--region", type=Region.parse, help="that the exhaustive answer was made for")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--figure", type=Path)
    arguments = parser.parse_args()
    model = released_model()
    planet = model.open(arguments.index)
    vectors, kinds, cells = asked_and_found(arguments.work, model.exact, model.gallery, model.tau)
    each = len(vectors) // len(kinds)
    rows = {kind: np.arange(n * each, n * each + min(each, arguments.queries)) for n, kind in enumerate(kinds)}
    records: list[dict[str, Any]] = []
    if not arguments.efforts_only:
        records += walks(planet, vectors, cells, rows)
    efforts = {name: named(EffortName(name)) for name in arguments.efforts}
    res = arguments.resolution or planet.manifest.coarse_res + 1
    region = arguments.region
    if region is not None:  # the exhaustive answer has whole coarse cells
        region = Region.of_cells(planet.cells[region.overlaps(planet.cells)])
    asked = Question(k=10, resolution=res, constraint=Constraint(region), gallery=False)
    records += measured_efforts(planet, model, vectors, cells, rows, efforts, "effort", asked)
    if arguments.curve:
        few = {kind: some[: arguments.curve] for kind, some in rows.items()}
        beams = {f"beam {b}": Effort((1024, 2048), b, (Step(b, float("inf"), 4096),)) for b in BEAMS}
        records += measured_efforts(planet, model, vectors, cells, few, beams, "curve", asked)
    about = {"command": command(), "machine": machine(), "index": {"cells": len(planet.cells)}, "simulated": True}
    about |= {"coarse_resolution": planet.manifest.coarse_res}
    if arguments.out:
        with arguments.out.open("a", encoding="utf-8") as file:
            for record in records:
                file.write(json.dumps(record | about) + "\n")
    if arguments.figure:
        draw(records, arguments.figure)


def walks(
    planet: Planet, vectors: NDArray[np.float32], best: Cells, rows: dict[str, NDArray[np.int64]]
) -> list[dict[str, Any]]:
    """Return how often the true parents are among the first coarse cells, by width of the walk."""
    from index.search.engine.all_cells import ExactCoarse
    from index.search.engine.tree import TreeEngine

    records = []
    assert isinstance(planet.engine, TreeEngine)
    engines: dict[str, Any] = {f"walk {widths}": (planet.engine, widths) for widths in WALKS}
    engines["exact"] = (ExactCoarse(planet.engine, "cpu"), (1,))
    print(f"\nparents of the exhaustive best 1 / 10 among the best {BEAMS} coarse cells")
    for name, (engine, widths) in engines.items():
        for kind, some in rows.items():
            begun = time.perf_counter()
            together = 500 if name == "exact" else 128
            hits = [
                engine.search(vectors[some[a : a + together]], KEPT, widths=widths).cells
                for a in range(0, len(some), together)
            ]
            seconds = time.perf_counter() - begun
            cells = np.concatenate(hits)
            up = parents(best[some, :10], planet.manifest.coarse_res)
            rank = np.array(
                [[np.argmax(c == p) if (c == p).any() else KEPT for p in ps] for c, ps in zip(cells, up, strict=True)]
            )
            one = [float((rank[:, 0] < beam).mean()) for beam in BEAMS]
            ten = [float((rank < beam).mean()) for beam in BEAMS]
            records.append(
                {"table": "walk", "engine": name, "kind": kind, "beams": BEAMS, "recall_1": one, "recall_10": ten}
                | {"queries": len(some), "ms_a_query": 1000 * seconds / len(some)}
            )
            cellsof = "  ".join(f"{a:.3f}/{b:.3f}" for a, b in zip(one, ten, strict=True))
            print(f"{name:20s} {kind:10s} {cellsof}  {1000 * seconds / len(some):.2f} ms", flush=True)
    return records


def measured_efforts(
    planet: Planet,
    model: ReleasedModel,
    vectors: NDArray[np.float32],
    best: Cells,
    rows: dict[str, NDArray[np.int64]],
    efforts: dict[str, Effort],
    table: str,
    asked: Question,
) -> list[dict[str, Any]]:
    """Return recall against the exhaustive answer, and encodings."""
    records = []
    print("\nrecall@1 / recall@10 and encodings a query: median, mean, 95th percentile")
    for name, effort in efforts.items():
        for kind, some in rows.items():
            begun = time.perf_counter()
            hits = planet.search(vectors[some], replace(asked, effort=effort))
            seconds = time.perf_counter() - begun
            one = float((hits.cells[:, 0] == best[some, 0]).mean())
            ten = float(np.mean([np.isin(a, b).mean() for a, b in zip(best[some, :10], hits.cells, strict=True)]))
            median, p95 = np.percentile(hits.encodings, (50, 95))
            records.append(
                {"table": table, "effort": name, "kind": kind, "recall_1": one, "recall_10": ten}
                | {"encodings": float(hits.encodings.mean()), "median": float(median), "p95": float(p95)}
                | {"queries": len(some), "resolution": asked.resolution, "ms_a_query": 1000 * seconds / len(some)}
            )
            print(
                f"{name:12s} {kind:10s} {one:.3f} / {ten:.3f}   {median:.0f} {hits.encodings.mean():.0f} {p95:.0f}"
                f"   {1000 * seconds / len(some):.1f} ms",
                flush=True,
            )
    return records


def draw(records: list[dict[str, Any]], path: Path) -> None:
    """Draw recall against encodings."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    names = dict.fromkeys(record["kind"] for record in records)
    colours = dict(zip(names, ("tab:blue", "tab:orange", "tab:gray", "tab:red"), strict=False))
    for ax, key, title in zip(axes, ("recall_1", "recall_10"), ("recall@1", "recall@10"), strict=True):
        for kind, colour in colours.items():
            curve = [r for r in records if r["table"] == "curve" and r["kind"] == kind]
            points = [r for r in records if r["table"] == "effort" and r["kind"] == kind]
            ax.plot([r["encodings"] for r in curve], [r[key] for r in curve], "-", color=colour, lw=1, alpha=0.6)
            ax.plot([r["encodings"] for r in points], [r[key] for r in points], "o", color=colour, label=kind)
            for r in points if kind == Kind.PHOTO_LIKE else []:
                ax.annotate(
                    r["effort"], (r["encodings"], r[key]), textcoords="offset points", xytext=(4, -10), fontsize=7
                )
        ax.set(xscale="log", xlabel="encodings a query (mean)", title=title, ylim=(0.75, 1.005))
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("of the exhaustive answer")
    axes[0].legend(title="simulated queries", loc="lower right", fontsize=8)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
