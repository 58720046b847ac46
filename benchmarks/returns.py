"""Do coordinates come back? Land coordinates are embedded, looked up in an index, and should be found again.

    python -m benchmarks.returns INDEX [--count 1000] [--out FILE.jsonl]

Half of them are places of the released gallery, half random points on land (the 1 km raster). Gallery candidates are
off, so an answer is a cell's centre: at resolution 9 within 250 m in 99 % of cases, at 11 within 40 m.
"""

import numpy as np

from benchmarks.harness import parser
from benchmarks.released_model import released_model
from benchmarks.results import Results
from index.grid.cells import cells_at, centres
from index.grid.raster import Raster
from index.grid.sphere import haversine_km, wrapped
from index.search.efforts import EffortName
from index.search.question import Question

LIMITS_M = {9: 250.0, 11: 40.0}
SEED = 40


def main() -> None:
    """Measure, print and save."""
    options = parser(__doc__)
    options.add_argument("--count", type=int, default=1000)
    options.add_argument("--effort", type=EffortName, default="fast")
    arguments = options.parse_args()
    model, results = released_model(), Results(arguments.out)
    planet = model.open(arguments.index)
    rng = np.random.default_rng(SEED)
    half = arguments.count // 2
    cells = planet.cells[rng.choice(len(planet.cells), 4 * half, replace=4 * half > len(planet.cells))]
    spread = centres(cells) + rng.uniform(-0.02, 0.02, (len(cells), 2))
    spread = np.stack((np.clip(spread[:, 0], -90, 90), wrapped(spread[:, 1])), axis=1)
    spread = spread[Raster.over(-90, 90).is_land(spread)][:half]
    points = np.concatenate((model.gallery[rng.choice(len(model.gallery), half, replace=False)], spread))
    vectors, low = model.exact(points), np.abs(points[:, 0]) < 60
    for res, limit in LIMITS_M.items():
        question = Question(k=1, resolution=res, effort=EffortName(arguments.effort), gallery=False)
        hits = planet.search(vectors, question)
        metres = 1000 * haversine_km(points, hits.lat_lng[:, 0])
        near = metres <= limit
        # The encoder tells places apart less well near the poles: there another cell can score above the place's own.
        own = np.einsum("nd,nd->n", model.exact(centres(cells_at(points, res))), vectors)
        shares = {"within": near, "gallery_within": near[:half], "within_below_60_degrees": near[low]}
        shares["or_scores_as_high"] = near | (hits.scores[:, 0] >= own - 1e-6)
        values = {name: float(share.mean()) for name, share in shares.items()}
        values |= {"median_m": float(np.median(metres)), "p99_m": float(np.percentile(metres, 99))}
        values |= {"most_m": float(metres.max()), "encodings": float(hits.encodings.mean())}
        parameters = {"resolution": res, "limit_m": limit, "count": len(points), "effort": str(arguments.effort)}
        results.add("returns", parameters, values)


if __name__ == "__main__":
    main()
