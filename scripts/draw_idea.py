"""Draw scripts/idea.png: one search, from the whole planet down to a street, as README.md explains it.

    python scripts/draw_idea.py INDEX

The query is the vector of a place (the Eiffel Tower) with half its direction replaced by noise, so that the search has
something to do. What is drawn is what the search did.
"""

import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from geoclip import LocationEncoder
from index.grid.cells import centres
from index.search.efforts import EffortName, named
from index.search.planet import Planet
from index.search.question import Question

PLACE = (48.85837, 2.29448)


def main() -> None:
    """Search and draw."""
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    encoder = LocationEncoder(precision="fp32")
    planet = Planet.open(sys.argv[1], encoder)
    noise = np.random.default_rng(4).standard_normal(512)
    query = encoder.embed([PLACE])[0] + 1.3 * noise / np.linalg.norm(noise)
    query = (query / np.linalg.norm(query)).astype(np.float32)[None]
    effort = named(EffortName.DEFAULT, planet.manifest.coarse_res)
    coarse = planet.engine.search(query, effort.coarse, widths=effort.widths)
    found = next(planet.query_scores(query, Question(resolution=9))).result

    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    levels: Any = planet.engine
    land = centres(levels.levels[0])
    rows = planet.engine.start.rows
    ax = axes[0]
    ax.scatter(land[rows, 1], land[rows, 0], c=coarse.start_scores[0], s=1.2, cmap="viridis", rasterized=True)
    ax.plot(PLACE[1], PLACE[0], "r+", ms=10)
    ax.set(
        title=f"1  all {len(rows):,} cells of resolution {planet.manifest.start_res}",
        xlim=(-180, 180),
        ylim=(-60, 85),
    )
    ax = axes[1]
    where = centres(coarse.cells[0])
    order = np.argsort(coarse.scores[0])
    dots = ax.scatter(where[order, 1], where[order, 0], c=coarse.scores[0][order], s=14, cmap="viridis")
    ax.plot(PLACE[1], PLACE[0], "r+", ms=10)
    ax.set(title=f"2  the best {len(where)} of {len(planet.cells):,} stored", xlim=(-3, 6), ylim=(44, 53))
    figure.colorbar(dots, ax=ax, label="cosine")
    ax = axes[2]
    for level, size in zip(found.levels[1:], (90, 40, 12), strict=False):
        points = centres(level.cells)
        near = (np.abs(points - PLACE) < (0.06, 0.09)).all(axis=1)
        own, told = near & level.sure, near & ~level.sure
        ax.scatter(points[told, 1], points[told, 0], s=size, marker="h", facecolors="none", edgecolors="silver")
        ax.scatter(points[own, 1], points[own, 0], c=level.scores[own], s=size, marker="h", cmap="viridis")
    ax.plot(PLACE[1], PLACE[0], "r+", ms=10)
    ax.set(
        title=f"3  {found.encodings} encoded; grey: ruled out",
        xlim=(PLACE[1] - 0.09, PLACE[1] + 0.09),
        ylim=(PLACE[0] - 0.06, PLACE[0] + 0.06),
    )
    for ax in axes:
        ax.set(xlabel="longitude", ylabel="latitude")
    figure.savefig(Path(__file__).with_name("idea.png"), dpi=110)


if __name__ == "__main__":
    main()
