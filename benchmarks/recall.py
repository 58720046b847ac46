"""Recall of the index against the exhaustive answer, on simulated queries, and the work it takes.

    python -m benchmarks.recall INDEX WORK [--resolution 7] [--out FILE.jsonl]

WORK is what `exhaustive` left for the same grid, or a file of `truth/`. Three tables, each a line of the results:

- walk: how often the parent of the exhaustive answer is among the best B coarse cells, for walks of several widths and
  for exact search over the stored vectors;
- effort: recall@1 and @10 of the efforts with a name, at the resolution of the exhaustive answer, with the encodings
  they took; and how many of the first 1 and 10 hits score as high as the exhaustive answer's first and tenth (found_1,
  found_10): neighbours tie, grids differ along coasts, and the exhaustive answer's own vectors are rounded;
- curve: the same for beams without margins.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.exhaustive import asked_and_found
from benchmarks.harness import parser
from benchmarks.released_model import released_model
from benchmarks.results import Results
from index.grid.cells import Cells, centres, parents
from index.grid.constraint import Constraint
from index.grid.region import Region
from index.search.efforts import Effort, EffortName, Step, named
from index.search.planet import Planet
from index.search.question import Question

BEAMS = (8, 16, 32, 64, 128, 256)
WALKS = ((64, 128), (128, 256), (256, 512), (512, 1024), (1024, 2048), (2048, 4096))
KEPT = 512
_TIE = 1e-4
"""Scores that differ by less are equal: tau times that is 0.4 % of a probability."""
Facts = dict[str, Any]


class Asked(NamedTuple):
    """Queries of one kind, and the exhaustive answers to them."""

    kind: str
    vectors: NDArray[np.float32]
    best: Cells
    """(Q, 10) best first."""
    scores: NDArray[np.float32]
    """(Q, 2) what the first and the tenth of them score exactly."""


def main() -> None:
    """Measure, print and save."""
    options = parser(__doc__)
    options.add_argument("work", type=Path)
    options.add_argument("--queries", type=int, default=500, help="of each kind, at most")
    options.add_argument("--curve", type=int, default=0, help="also measure beams without margins, on so many queries")
    options.add_argument("--efforts", nargs="*", type=EffortName, default=["fast", "default", "thorough"])
    options.add_argument("--efforts-only", action="store_true", help="leave out the walks")
    options.add_argument("--resolution", type=int, help="of the exhaustive answer; default: one below the index's")
    options.add_argument("--region", type=Region.parse, help="that the exhaustive answer was made for")
    arguments = options.parse_args()
    model = released_model()
    planet = model.open(arguments.index)
    vectors, kinds, cells = asked_and_found(arguments.work, model.exact, model.gallery, model.tau)
    each = len(vectors) // len(kinds)
    slices = [slice(n * each, n * each + min(each, arguments.queries)) for n in range(len(kinds))]
    top = np.stack([(model.exact(centres(cells[:, at])) * vectors).sum(axis=1) for at in (0, 9)], axis=1)
    asked = [Asked(kind, vectors[own], cells[own, :10], top[own]) for kind, own in zip(kinds, slices, strict=True)]
    region = arguments.region
    if region is not None:  # the exhaustive answer has whole coarse cells
        region = Region.of_cells(planet.cells[region.overlaps(planet.cells)])
    resolution = arguments.resolution or planet.manifest.coarse_res + 1
    question = Question(k=10, resolution=resolution, constraint=Constraint(region), gallery=False)
    results = Results(arguments.out)
    about = {"index_cells": len(planet.cells), "coarse_resolution": planet.manifest.coarse_res, "simulated": True}
    found = [] if arguments.efforts_only else [walks(planet, asked)]
    coarse_res = planet.manifest.coarse_res
    efforts = {name: named(EffortName(name), coarse_res) for name in arguments.efforts}
    found.append(efforts_measured("effort", planet, asked, efforts, question))
    if arguments.curve:
        some = slice(arguments.curve)
        few = [Asked(one.kind, one.vectors[some], one.best[some], one.scores[some]) for one in asked]
        beams = {f"beam {b}": Effort((1024, 2048), b, (Step(b, float("inf"), 4096),)) for b in BEAMS}
        found.append(efforts_measured("curve", planet, few, beams, question))
    for table in found:
        for parameters, values in table:
            results.add("recall", parameters | about, values)


def walks(planet: Planet, asked: list[Asked]) -> Iterator[tuple[Facts, Facts]]:
    """Yield how often the true parents are among the first coarse cells, by width of the walk."""
    from index.search.engine.all_cells import ExactCoarse
    from index.search.engine.tree import TreeEngine

    assert isinstance(planet.engine, TreeEngine)
    engines: dict[str, Any] = {f"walk {widths}": (planet.engine, widths, 128) for widths in WALKS}
    engines["exact"] = (ExactCoarse(planet.engine), (1,), 500)
    for name, (engine, widths, together) in engines.items():
        for kind, vectors, best, _ in asked:
            begun = time.perf_counter()
            parts = [vectors[at : at + together] for at in range(0, len(vectors), together)]
            cells = np.concatenate([engine.search(part, KEPT, widths=widths).cells for part in parts])
            ms = 1000 * (time.perf_counter() - begun) / len(vectors)
            equal = cells[:, None, :] == parents(best, planet.manifest.coarse_res)[:, :, None]
            rank = np.where(equal.any(axis=2), equal.argmax(axis=2), KEPT)
            values: Facts = {"recall_1": [float((rank[:, 0] < beam).mean()) for beam in BEAMS]}
            values |= {"recall_10": [float((rank < beam).mean()) for beam in BEAMS], "ms_a_query": ms}
            yield {"table": "walk", "engine": name, "kind": kind, "beams": BEAMS, "queries": len(vectors)}, values


def efforts_measured(
    table: str,
    planet: Planet,
    asked: list[Asked],
    efforts: Mapping[str, Effort],
    question: Question,
) -> Iterator[tuple[Facts, Facts]]:
    """Yield recall against the exhaustive answer, and encodings a query."""
    for name, effort in efforts.items():
        for kind, vectors, best, top in asked:
            begun = time.perf_counter()
            hits = planet.search(vectors, replace(question, effort=effort))
            ms = 1000 * (time.perf_counter() - begun) / len(vectors)
            median, p95 = np.percentile(hits.encodings, (50, 95))
            values: Facts = {"recall_1": float((hits.cells[:, 0] == best[:, 0]).mean())}
            values["found_1"] = float((hits.scores[:, 0] >= top[:, 0] - _TIE).mean())
            values["found_10"] = float((hits.scores >= top[:, 1:] - _TIE).mean())
            values["recall_10"] = float(np.mean([np.isin(a, b).mean() for a, b in zip(best, hits.cells, strict=True)]))
            values |= {"encodings": float(hits.encodings.mean()), "median": float(median), "p95": float(p95)}
            about: Facts = {"table": table, "effort": name, "kind": kind, "queries": len(vectors)}
            yield about | {"resolution": question.resolution}, values | {"ms_a_query": ms}


if __name__ == "__main__":
    main()
