"""How many true places the searched gallery holds already: what is found there may be known rather than seen."""

from pathlib import Path
from typing import NamedTuple

from geoclip.tables.bad_rows import BadRows
from geoclip.tables.rows import open_table
from index.grid.sphere import Floats, chords_of_km, km_of_chords, unit_vectors

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
    reach = 2 * float(chords_of_km(NEAR_KM))  # chords beyond come back as infinity
    nearest = cKDTree(unit_vectors(gallery), balanced_tree=False)
    chord, _ = nearest.query(unit_vectors(lat_lng), distance_upper_bound=reach)
    km = km_of_chords(chord)
    return Overlap(name, len(gallery), int((km <= SAME_KM).sum()), int((km <= NEAR_KM).sum()))


def gallery_of_index(folder: Path) -> Path | None:
    """Return the file with the places of an index's gallery; None where it has none, as of a region without photos.

    Raises:
        InputError: the file cannot be read.
    """
    path = folder / "gallery.parquet"
    return path if any(len(rows) for rows, _ in open_table(path).blocks([0], BadRows())) else None
