"""Look some thirty landmarks up in the gallery by their embeddings: real weights, no photo needed.

A landmark's coordinates are embedded and searched for. The answer must be as near as the gallery allows: within
1 km of the distance to the nearest gallery place. Exit 1 if that fails for more than one landmark in ten.
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
from geoclip.release import released

SLACK_KM = 1.0


def main() -> int:
    """Print the table; return the exit code."""
    with (Path(__file__).parent / "landmarks.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    truth = np.array([(float(row["lat"]), float(row["lng"])) for row in rows])
    found = Locator.open().search(LocationEncoder().embed(truth), k=1).lat_lng[:, 0]
    distance = haversine_km(truth, found)
    nearest = haversine_km(truth[:, None], released().gallery()[None]).min(axis=1)
    near_enough = distance <= nearest + SLACK_KM

    table = Table(
        "place",
        "answer",
        "km",
        "km at best",
        box=None,
        header_style="dim",
        pad_edge=False,
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for row, (lat, lng), km, best, good in zip(rows, found, distance, nearest, near_enough, strict=True):
        style = "" if good else "red"
        table.add_row(row["place"], f"{lat:.4f}, {lng:.4f}", f"{km:.2f}", f"{best:.2f}", style=style)
    console = Console()
    console.print(table)
    console.print(
        f"\n{near_enough.sum()} of {len(rows)} landmarks answered with as near a gallery place as there is, "
        f"within {SLACK_KM:g} km; median distance {np.median(distance):.2f} km.",
        highlight=False,
    )
    return 0 if near_enough.mean() >= 0.9 else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except GeoclipError as error:
        print(f"self-check: {error}", file=sys.stderr)
        sys.exit(2)
