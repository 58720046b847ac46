"""Do coordinates come back? Land coordinates are embedded, looked up in an index, and should be found again.

    python -m benchmarks.returns INDEX [--count 1000] [--out results/returns.jsonl]

Half of them are places of the released gallery, half random points on land (the 1 km raster). Gallery candidates are
off, so an answer is a cell's centre: at resolution 9 within 250 m in 99 % of cases, at 11 within 40 m.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from benchmarks.machine import command, machine
from benchmarks.released_model import released_model
from geoclip.distance import haversine_km
from index.grid.cells import cells_at, centres
from index.search.question import Question

LIMITS_M = {9: 250.0, 11: 40.0}
SEED = 40


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--effort", default="fast")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    from global_land_mask import globe

    model = released_model()
    gallery = model.gallery
    planet = model.open(arguments.index)
    rng = np.random.default_rng(SEED)
    half = arguments.count // 2
    cells = planet.cells[rng.choice(len(planet.cells), 4 * half, replace=False)]
    spread = centres(cells) + rng.uniform(-0.02, 0.02, (len(cells), 2))
    spread = spread[globe.is_land(np.clip(spread[:, 0], -90, 90), (spread[:, 1] + 180) % 360 - 180)][:half]
    points = np.concatenate((gallery[rng.choice(len(gallery), half, replace=False)], spread))
    vectors = model.exact(points)
    for res, limit in LIMITS_M.items():
        hits = planet.search(vectors, Question(k=1, resolution=res, effort=arguments.effort, gallery=False))
        metres = 1000 * haversine_km(points, hits.lat_lng[:, 0])
        within = float((metres <= limit).mean())
        record = {
            "resolution": res,
            "limit_m": limit,
            "within": within,
            "count": len(points),
            "effort": arguments.effort,
        }
        record |= {"median_m": float(np.median(metres)), "p99_m": float(np.percentile(metres, 99))}
        record |= {"gallery_within": float((metres[:half] <= limit).mean()), "max_m": float(metres.max())}
        # The encoder tells places apart less well near the poles: there another cell can score above the place's own.
        own = np.einsum("nd,nd->n", model.exact(centres(cells_at(points, res))), vectors)
        record |= {"or_scores_as_high": float(((metres <= limit) | (hits.scores[:, 0] >= own - 1e-6)).mean())}
        record |= {"within_below_60_degrees": float((metres <= limit)[np.abs(points[:, 0]) < 60].mean())}
        record |= {"encodings": float(hits.encodings.mean())}
        print(json.dumps(record), flush=True)
        if arguments.out:
            with arguments.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record | {"command": command(), "machine": machine()}) + "\n")


if __name__ == "__main__":
    main()
