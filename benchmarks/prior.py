"""How well the prior foretells where photos are taken: held-out places of the released gallery, in nats a place.

    python -m benchmarks.prior                     # prints the table, adds a line to benchmarks/results/prior.jsonl

Ten folds, drawn by place (`random`) or by whole cells of resolution 3 or 4 (`blocked`: a tenth of all cells that hold
photos have theirs taken away, so that the nearest known photo is one such cell off). Compared at each resolution:

    uniform   land area alone
    add-one   (n + 1) / (N + cells), counts of the one resolution
    add-area  (n + kappa b) / (N + kappa), counts of the one resolution, b the share of the land; the best kappa,
              each place left out in turn
    prior     `index.storage.prior.Prior`

All share one grid: the land cells of resolution 6 with those of the gallery, and their children.
"""

import argparse
import datetime
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import ROOT, machine
from index.grid.cells import Cells, areas_km2, children_counts, parents
from index.grid.land import land_cells
from index.storage.gallery import Gallery
from index.storage.prior import Prior

RESOLUTIONS = range(2, 8)
COARSE, FOLDS = 6, 10
BLOCKS = {"random": None, "blocked by resolution 4": 4, "blocked by resolution 3": 3}
METHODS = ("uniform", "add-one", "add-area", "prior")
KAPPAS = np.exp(np.linspace(-3.0, 15.0, 73))
Floats = NDArray[np.float64]


def main() -> None:
    """Measure, print the tables, add the results to the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "prior.jsonl")
    given = parser.parse_args()
    from geoclip.release.fetch import released

    places = Gallery.of(released().gallery())
    land = land_cells(COARSE, also=places.cells_at(COARSE))
    areas = areas_km2(land)
    started = time.perf_counter()
    whole = Prior.fit(land, areas, places, distinct=True)
    fit_s = time.perf_counter() - started
    print(f"{len(land)} land cells of resolution {COARSE}, {len(places)} places; fitted in {fit_s:.1f} s")
    uniform = Prior.uniform(land, areas)
    splits = {}
    for name, block in BLOCKS.items():
        fold_of = folds(places, block, np.random.default_rng(given.seed))
        rows = [scores(areas, uniform, places, fold_of == fold) for fold in range(FOLDS)]
        splits[name] = np.array(rows)  # (fold, method, resolution)
        print("\n".join(report(name, splits[name])), flush=True)
    line = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "command": ["python", "benchmarks/prior.py", *sys.argv[1:]],
        "seed": given.seed,
        "land_cells": len(land),
        "places": len(places),
        "gallery": places.digest(),
        "fit_s": round(fit_s, 2),
        "kappas": [round(kappa, 4) for kappa in whole.kappas.tolist()],
        "unit": "nats a place, per fold",
        "resolutions": list(RESOLUTIONS),
        "splits": {name: by_method(found) for name, found in splits.items()},
    }
    with given.output.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def folds(places: Gallery, block: int | None, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return each place's fold, 0 to 9; places of one cell of resolution `block` share theirs."""
    if block is None:
        return rng.permutation(len(places)) % FOLDS
    held, row = np.unique(parents(places.cells, block), return_inverse=True)
    return (rng.permutation(len(held)) % FOLDS)[row]


def scores(areas: Floats, uniform: Prior, places: Gallery, held_out: NDArray[np.bool_]) -> Floats:
    """Return the mean log probability (method, resolution) of the places held out, known all others."""
    known = Gallery.of(places.lat_lng[~held_out])
    prior = Prior.fit(uniform.land, areas, known)
    asked = places.cells[held_out]
    result = np.empty((len(METHODS), len(RESOLUTIONS)))
    for column, res in enumerate(RESOLUTIONS):
        cells = parents(asked, res)
        flat = uniform.log_mass(cells)
        count = known.count_in(cells)
        kappa = best_kappa(known, uniform, res)
        result[:, column] = (
            flat.mean(),
            np.log((count + 1) / (len(known) + cells_with_land(uniform.land, res))).mean(),
            np.log((count + kappa * np.exp(flat)) / (len(known) + kappa)).mean(),
            prior.log_mass(cells).mean(),
        )
    return result


def cells_with_land(land: Cells, res: int) -> int:
    """Return how many cells of a resolution have land in them."""
    if res > COARSE:
        return int(children_counts(land, res).sum())
    return 1 + int(np.count_nonzero(np.diff(parents(land, res))))


def best_kappa(known: Gallery, uniform: Prior, res: int) -> float:
    """Return the kappa of a single resolution under which the places are most likely, each given all others."""
    cells, count = np.unique(parents(known.cells, res), return_counts=True)
    share = np.exp(uniform.log_mass(cells))
    likelihoods = [(count * np.log((count - 1 + kappa * share) / (len(known) - 1 + kappa))).sum() for kappa in KAPPAS]
    return float(KAPPAS[int(np.argmax(likelihoods))])


def by_method(found: Floats) -> dict[str, list[list[float]]]:
    """Return the results for JSON: for each method, a list for each fold with a number for each resolution."""
    return {name: found[:, method].round(5).tolist() for method, name in enumerate(METHODS)}


def report(name: str, found: Floats) -> Iterator[str]:
    """Yield a Markdown table: mean and standard deviation over the folds, and the prior's least lead in any fold."""
    yield f"\n| {name} | " + " | ".join(f"res {res}" for res in RESOLUTIONS) + " |"
    yield "|---" * (len(RESOLUTIONS) + 1) + "|"
    for method, label in enumerate(METHODS):
        cells = zip(found[:, method].mean(axis=0), found[:, method].std(axis=0, ddof=1), strict=True)
        yield f"| {label} | " + " | ".join(f"{mean:.3f} ± {spread:.3f}" for mean, spread in cells) + " |"
    leads = found[:, -1:] - found[:, :-1]  # (fold, method, resolution)
    for method, label in enumerate(METHODS[:-1]):
        cells_of: list[Any] = list(zip(leads[:, method].mean(axis=0), leads[:, method].min(axis=0), strict=True))
        yield f"| lead on {label}, mean (least) | " + " | ".join(f"{a:+.3f} ({b:+.3f})" for a, b in cells_of) + " |"


if __name__ == "__main__":
    main()
