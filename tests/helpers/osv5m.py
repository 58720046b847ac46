"""Fifty distances and scores of OSV-5M's demo, from a file that is not part of this repository."""

import csv
import os
from pathlib import Path

import pytest

GAME = Path(os.environ.get("GEOCLIP_OSV5M_CSV", Path(__file__).parents[3] / "shared/data/osv5m_game_select.csv"))


def game() -> list[dict[str, str]]:
    """Return the table's rows."""
    if not GAME.is_file():
        pytest.skip(f"{GAME} is absent: 50 distances and scores of OSV-5M's demo; name it with GEOCLIP_OSV5M_CSV")
    with GAME.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
