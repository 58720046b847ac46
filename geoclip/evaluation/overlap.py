"""How many true places the searched gallery holds already: what is found there may be known rather than seen."""

from typing import NamedTuple

import numpy as np

from geoclip.distance import EARTH_RADIUS_KM
from geoclip.evaluation.answer_table import Floats

SAME_KM, NEAR_KM = 0.001, 0.1


class Overlap(NamedTuple):
    """True places beside places of a gallery."""

    gallery: str
    """The file, as given or found."""
    places: int
    """Rows of the gallery."""
    within_1_m: int
    """True places with a gallery place so near."""
    within_100_m: int


def overlap(lat_lng: Floats, gallery: Floats, name: str) -> Overlap:
    """Compare true places (N, 2) with a gallery's (G, 2), both in degrees. Distances are on the sphere."""
    from scipy.spatial import cKDTree

    if not len(gallery):
        return Overlap(name, 0, 0, 0)
    reach = 2 * NEAR_KM / EARTH_RADIUS_KM  # chords beyond come back as infinity
    chord, _ = cKDTree(_units(gallery), balanced_tree=False).query(_units(lat_lng), distance_upper_bound=reach)
    km = 2 * EARTH_RADIUS_KM * np.arcsin(np.clip(chord / 2, 0.0, 1.0))
    return Overlap(name, len(gallery), int((km <= SAME_KM).sum()), int((km <= NEAR_KM).sum()))


def _units(lat_lng: Floats) -> Floats:
    lat, lng = np.radians(lat_lng).T
    return np.stack((np.cos(lat) * np.cos(lng), np.cos(lat) * np.sin(lng), np.sin(lat)), axis=1)
