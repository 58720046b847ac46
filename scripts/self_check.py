"""Look some thirty landmarks up by their embeddings: real weights, no photo needed.

    python scripts/self_check.py [INDEX]

A landmark's coordinates are embedded and searched for, in the gallery or in an index. In the gallery the answer must be
within 1 km of the distance to the nearest gallery place; in an index, which knows every place, within 0.3 km of the
landmark. Exit 1 if that fails for more than one landmark in ten.
"""

import csv
import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from geoclip import LocationEncoder, Locator
from geoclip.distance import haversine_km
from geoclip.errors import GeoclipError
from geoclip.release.fetch import released

SLACK_KM = 1.0
INDEX_KM = 0.3  # a cell of resolution 9 reaches 0.2 km from its centre


def main() -> int:
    """Print the table; return the exit code."""
    with (Path(__file__).parent / "landmarks.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    truth = np.array([(float(row["lat"]), float(row["lng"])) for row in rows])
    index = sys.argv[1] if len(sys.argv) > 1 else None
    found = Locator.open(index or "none").search(LocationEncoder().embed(truth), k=1, prior_weight=0.0).lat_lng[:, 0]
    distance = haversine_km(truth, found)
    nearest = haversine_km(truth[:, None], released().gallery()[None]).min(axis=1) if index is None else 0 * distance
    near_enough = distance <= (nearest + SLACK_KM if index is None else INDEX_KM)

    table = Table(
        "place",
        "answer",
        "km",
        *(["km at best"] if index is None else []),
        box=None,
        header_style="dim",
        pad_edge=False,
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for row, (lat, lng), km, best, good in zip(rows, found, distance, nearest, near_enough, strict=True):
        style = "" if good else "red"
        at_best = [f"{best:.2f}"] if index is None else []
        table.add_row(row["place"], f"{lat:.4f}, {lng:.4f}", f"{km:.2f}", *at_best, style=style)
    console = Console()
    console.print(table)
    goal = f"with as near a gallery place as there is, within {SLACK_KM:g} km" if index is None else "within 0.3 km"
    console.print(
        f"\n{near_enough.sum()} of {len(rows)} landmarks answered {goal}; median {np.median(distance):.2f} km.",
        highlight=False,
    )
    return 0 if near_enough.mean() >= 0.9 else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except GeoclipError as error:
        print(f"self-check: {error}", file=sys.stderr)
        sys.exit(2)
