"""How good is the estimate of what was not scored? Against the exhaustive sum over all land, on simulated queries.

    python -m benchmarks.posterior INDEX WORK [--out FILE.jsonl]

WORK is what `exhaustive` left. The log of the sum of exp(tau * score) over all cells one level below the stored
ones is estimated from the start level alone, as `index/search/posterior.py` does for the rest of the planet, for
several values of its constant SPREAD, and compared with the exhaustive sum. An error of 0.7 is a
factor of 2 in that mass.
"""

from pathlib import Path

import numpy as np

from benchmarks.exhaustive import truth
from benchmarks.harness import parser
from benchmarks.released_model import released_model
from benchmarks.results import Results
from index.grid.cells import children_counts, parents
from index.search.posterior import SPREAD


def main() -> None:
    """Measure, print and save."""
    options = parser(__doc__)
    options.add_argument("work", type=Path)
    arguments = options.parse_args()
    planet, results = released_model().open(arguments.index), Results(arguments.out)
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
            low, middle, high = np.percentile(own, (5, 50, 95)).tolist()
            parameters = {"spread": spread, "kind": kind, "queries": len(own), "simulated": True}
            results.add("posterior", parameters, {"p5": low, "median": middle, "p95": high})


if __name__ == "__main__":
    main()
