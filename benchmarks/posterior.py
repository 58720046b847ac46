"""How good is the estimate of what was not scored? Against the exhaustive sum over all land, on simulated queries.

    python -m benchmarks.posterior INDEX WORK [--out results/posterior.jsonl]

WORK is what `exhaustive.py` left. The log of the sum of exp(tau * score) over all cells one level below the stored
ones is estimated from the start level alone, as `index/search/posterior.py` does for the rest of the planet, for
several values of its constant SPREAD, and compared with the exhaustive sum. An error of 0.7 is a
factor of 2 in that mass.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from benchmarks.exhaustive import truth
from benchmarks.machine import command, machine
from benchmarks.released_model import released_model
from index.grid.cells import children_counts, parents
from index.search.posterior import SPREAD


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    planet = released_model().open(arguments.index)
    tau, start = planet.manifest.tau, planet.engine.start
    exact = np.logaddexp.reduce(truth(arguments.work / "truth", tau).log_sums, axis=0)
    saved = np.load(arguments.work / "queries.npz")
    vectors, kinds = saved["vectors"], [str(kind) for kind in saved["kinds"]]
    rows = np.unique(parents(planet.cells, planet.manifest.start_res), return_inverse=True)[1]
    counts = np.bincount(rows, children_counts(planet.cells, planet.manifest.coarse_res + 1))
    sides = np.bincount(start.rows)[start.rows]
    scores = (vectors @ start.vectors.T).astype(np.float64)
    length = start.lengths.astype(np.float64)
    for spread in (0.0, 0.5 * SPREAD, SPREAD, 1.5 * SPREAD, 2 * SPREAD):
        logits = tau * scores * length + 0.5 * tau**2 * spread * (1 - length**2)
        error = np.logaddexp.reduce(logits + np.log(counts[start.rows] / sides), axis=1) - exact
        for kind, own in zip(kinds, np.split(error, len(kinds)), strict=True):
            low, middle, high = np.percentile(own, (5, 50, 95))
            record = {"spread": spread, "kind": kind, "p5": low, "median": middle, "p95": high, "queries": len(own)}
            print(f"spread {spread:.4f} {kind:10s} error of the log sum {middle:+.2f} ({low:+.2f} to {high:+.2f})")
            if arguments.out:
                with arguments.out.open("a", encoding="utf-8") as file:
                    about = {"command": command(), "machine": machine(), "simulated": True}
                    file.write(json.dumps(record | about) + "\n")


if __name__ == "__main__":
    main()
