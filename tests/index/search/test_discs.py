"""Probability around points against points strewn over discs, integrals and distances in plain float64."""

from functools import partial

import h3
import numpy as np
import pytest
from numpy.typing import NDArray

from index.grid.cells import Cells, base_cells, cells_at, centres, children, children_counts, parents, resolutions
from index.search.circles import Spreads, circles_km
from index.search.discs import Discs, Gain, Mean
from index.search.posterior import Posterior

Floats = NDArray[np.float64]

RADIUS_KM = 6371.0
HALF_WAY_ROUND_KM = 20015.0868
GAINS = [1.0, 25.0, 200.0, 750.0, 2500.0, None]


def gain(km: float | None) -> Gain:
    return Mean.GEOSCORE if km is None else km


def km_between(a: Floats, b: Floats) -> Floats:
    """Great-circle distances (A, B) by the haversine formula."""
    lat_a, lng_a = np.radians(np.atleast_2d(a)).T[:, :, None]
    lat_b, lng_b = np.radians(np.atleast_2d(b)).T[:, None, :]
    h = np.sin((lat_a - lat_b) / 2) ** 2 + np.cos(lat_a) * np.cos(lat_b) * np.sin((lng_a - lng_b) / 2) ** 2
    result: Floats = 2 * RADIUS_KM * np.arcsin(np.sqrt(h))
    return result


def away_from(point: Floats, km: Floats, bearing: Floats) -> Floats:
    """The points (N, 2) at distances (N,) and bearings (N,) in radians from a point (2,): the direct problem."""
    lat, lng = np.radians(point)
    angle = km / RADIUS_KM
    sin_lat = np.sin(lat) * np.cos(angle) + np.cos(lat) * np.sin(angle) * np.cos(bearing)
    east = np.sin(bearing) * np.sin(angle) * np.cos(lat)
    turned = lng + np.arctan2(east, np.cos(angle) - np.sin(lat) * sin_lat)
    return np.stack((np.degrees(np.arcsin(sin_lat)), np.mod(np.degrees(turned) + 180, 360) - 180), axis=1)


def evenly(point: Floats, radius_km: float, count: int, seed: int) -> Floats:
    """Points spread evenly over the disc around a point."""
    rng = np.random.default_rng(seed)
    return away_from(point, radius_km * np.sqrt(rng.random(count)), rng.uniform(0, 2 * np.pi, count))


def share_by_integral(away: float, radius: float, km: float) -> float:
    """The share of a disc inside a circle: over rings around the disc's centre, how much of each is inside."""
    ring = radius * (np.arange(20_000) + 0.5) / 20_000
    cosine = ((away - km) * (away + km) + ring**2) / (2 * away * ring)
    inside = np.arccos(np.clip(cosine, -1, 1)) / np.pi
    return float((inside * 2 * ring).sum() / radius**2 * radius / 20_000)


def disc(lat: float, lng: float, radius_km: float, mass: float = 1.0) -> Discs:
    """One made-up disc."""
    where = np.array([[lat, lng]])
    x, y = np.radians(where[0])
    unit = np.array([[np.cos(x) * np.cos(y), np.cos(x) * np.sin(y), np.sin(x)]])
    return Discs(unit, np.array([radius_km]), np.array([mass]), where, cells_at(where, 9))


def east_of_zero(km: float) -> Floats:
    """The point (1, 2) on the equator so far from (0, 0)."""
    return np.array([[0.0, np.degrees(km / RADIUS_KM)]])


def posterior(cells: Cells, mass: Floats | None = None, finest: int = 11) -> Posterior:
    """A distribution, flat where no mass is given."""
    mass = np.ones(len(cells)) if mass is None else mass
    order = np.argsort(resolutions(cells), kind="stable")
    return Posterior(cells[order], (mass / mass.sum())[order], finest)


def at(points: object, mass: Floats | None = None, res: int = 11) -> Posterior:
    """A distribution over the cells around points, tiny by default."""
    cells = cells_at(np.array(points, dtype=np.float64), res)
    assert len(np.unique(cells)) == len(cells)
    return posterior(cells, mass, res)


def mixed(seed: int, leaves: int = 500, where: tuple[float, float] = (46.0, 8.0), spread: float = 3.0) -> Posterior:
    """A distribution as a search leaves it: fine cells in clusters, coarser ones around, of most uneven masses."""
    rng = np.random.default_rng(seed)
    lat, lng = where
    middle = np.stack((np.clip(rng.normal(lat, spread, 12), -89, 89), rng.normal(lng, spread, 12)), axis=1)
    near = middle[rng.integers(0, 12, leaves)] + rng.normal(size=(leaves, 2)) * rng.choice([0.02, 0.3], (leaves, 1))
    near[:, 0] = np.clip(near[:, 0], -90, 90)
    opened = np.unique(cells_at(near, 9))
    coarse = np.unique(parents(opened, 3))
    siblings = children(np.unique(parents(coarse, 1)), 3)
    cells = np.concatenate((siblings[~np.isin(siblings, coarse)], opened))
    mass = rng.exponential(size=len(cells)) ** 3 * np.where(resolutions(cells) == 3, 0.2, 1.0)
    return posterior(cells, mass, 9)


def unit(points: Floats) -> Floats:
    """Points (N, 2) as unit vectors."""
    lat, lng = np.radians(points).T
    return np.stack((np.cos(lat) * np.cos(lng), np.cos(lat) * np.sin(lng), np.sin(lat)), axis=1)


PLACES = [(46.6, 8.2), (0.0, 0.0), (-17.2, 179.96), (89.8, 40.0), (-89.9, -100.0), (64.7, -179.999)]


# Shares


@pytest.mark.parametrize("place", PLACES, ids=str)
@pytest.mark.parametrize("res", [2, 4, 7, 9])
def test_shares_equal_those_of_points_strewn_over_a_disc(place: tuple[float, float], res: int) -> None:
    cell = cells_at([place], res)
    discs = Discs.of(posterior(cell, finest=res))
    radius = float(np.sqrt(h3.cell_area(f"{cell[0]:x}", "km^2") / np.pi))
    assert discs.radii_km == pytest.approx([radius], rel=0.02)
    radius = float(discs.radii_km[0])
    strewn = evenly(centres(cell)[0], radius, 40_000, res)
    for km in (0.4 * radius, 1.1 * radius, 5 * radius):
        spots = away_from(centres(cell)[0], np.linspace(0.05, km + 1.2 * radius, 9), np.linspace(0, 6, 9))
        expected = (km_between(spots, strewn) <= km).mean(axis=1)
        assert expected.min() == 0
        assert expected.max() > 0.14
        np.testing.assert_allclose(discs.shares(spots, km)[:, 0], expected, atol=0.0125)  # 5 sigma
        np.testing.assert_allclose(discs.within(spots, km), discs.shares(spots, km)[:, 0], rtol=1e-12)


@pytest.mark.parametrize("km", [0.02, 1.0, 25.0, 200.0, 2500.0, 9000.0])
@pytest.mark.parametrize("radius", [0.025, 0.18, 25.0, 60.0])
def test_shares_are_the_areas_of_lenses(radius: float, km: float) -> None:
    """Also of discs of 25 m that are cut by a circle of thousands of kilometres."""
    one = disc(0, 0, radius)
    for part in (-0.99, -0.6, 0.01, 0.5, 0.95):
        away = abs(km + part * min(radius, km))  # circle and disc cross
        expected = share_by_integral(away, radius, km)
        found = float(one.shares(east_of_zero(away), km)[0, 0])
        assert found == pytest.approx(expected, abs=2e-5 if radius > 0.1 else 2e-3)  # a cosine tells 0.1 m at 1 m


def test_shares_of_discs_inside_around_and_outside() -> None:
    one = disc(0, 0, 10.0, 0.25)
    assert one.shares(east_of_zero(0), 10.5)[0, 0] == 1
    assert one.shares(east_of_zero(14.9), 25.0)[0, 0] == 1
    assert one.shares(east_of_zero(35.1), 25.0)[0, 0] == 0
    assert one.shares(east_of_zero(9000), 8000.0)[0, 0] == 0
    assert one.shares(east_of_zero(9000), 9900.0)[0, 0] == 1
    assert one.shares(east_of_zero(19_000), 19_500.0)[0, 0] == 1
    for away in (0.0, 3.0, 6.9):  # the circle lies in the disc
        assert one.shares(east_of_zero(away), 3.0)[0, 0] == pytest.approx(0.09, abs=1e-6)
        assert one.within(east_of_zero(away), 3.0)[0] == pytest.approx(0.0225, abs=1e-6)
    assert one.shares(np.zeros((0, 2)), 3.0).shape == (0, 1)
    several = Discs.of(at([(0, 0), (0, 1), (0, 2)], np.array([5.0, 3.0, 2.0])))
    np.testing.assert_allclose(several.within(np.array([[0, 0], [0, 1], [40, 40.0]]), 120.0), [0.8, 1.0, 0.0])
    assert several.shares(np.zeros((4, 2)), 1.0).shape == (4, 3)


def test_within_grows_with_the_distance() -> None:
    discs = Discs.of(mixed(3))
    for point in discs.lat_lng[[0, 40, -1]]:
        held = [float(discs.within(point[None], km)[0]) for km in np.geomspace(1e-3, 19_000, 200)]
        assert (np.diff(held) >= -1e-12).all()
        assert held[-1] == pytest.approx(discs.mass.sum(), abs=1e-12)


def test_within_grows_up_to_the_other_end_of_the_globe() -> None:
    discs = disc(0, 0, 100.0)
    for spot in (east_of_zero(HALF_WAY_ROUND_KM), east_of_zero(19_950)):
        held = [float(discs.within(spot, km)[0]) for km in np.linspace(19_800, HALF_WAY_ROUND_KM, 100)]
        assert (np.diff(held) >= 0).all()
        assert held[0] == 0
        assert held[-1] > 0.45  # in the plane a disc at the other end is only half reached


def test_distances_are_great_circles() -> None:
    discs = Discs.of(mixed(1))
    spots = np.array(PLACES)
    np.testing.assert_allclose(discs.distances(spots), km_between(spots, discs.lat_lng), rtol=1e-9, atol=3e-4)


# The circle that holds a share


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_radius_is_the_inverse_of_within(place: tuple[float, float]) -> None:
    discs = Discs.of(mixed(7, where=place))
    for spot in (discs.lat_lng[0], discs.lat_lng[20], np.array(place)):
        radii = [discs.radius(spot, share) for share in (0.01, 0.2, 0.5, 0.9, 0.998)]
        assert (np.diff(radii) > 0).all()
        for share, radius in zip((0.01, 0.2, 0.5, 0.9, 0.998), radii, strict=True):
            assert discs.within(spot[None], radius)[0] == pytest.approx(share, abs=1e-3)


@pytest.mark.parametrize("res", [2, 6, 9, 11])
def test_the_radius_of_one_disc_is_known(res: int) -> None:
    discs = Discs.of(at([(46.6, 8.2)], res=res))
    for share in (0.04, 0.5, 0.9, 1.0):
        expected = float(discs.radii_km[0]) * share**0.5
        assert discs.radius(discs.lat_lng[0], share) == pytest.approx(expected, rel=5e-3)
        assert discs.within(discs.lat_lng, discs.radius(discs.lat_lng[0], share))[0] == pytest.approx(share, abs=1e-3)


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_the_radius_of_tiny_cells_is_the_weighted_quantile_of_distances(place: tuple[float, float]) -> None:
    rng = np.random.default_rng(11)
    spots = away_from(np.array(place), rng.exponential(300, 200), rng.uniform(0, 2 * np.pi, 200))
    mass = rng.random(200)
    own = at(spots, mass)
    discs, away = Discs.of(own), km_between(np.array(place), centres(own.cells))[0]
    order = np.argsort(away)
    held = np.cumsum(own.mass[order])
    for share in rng.uniform(0.02, 0.99, 20):
        if np.abs(held - share).min() > 1.2e-3:  # the lightest 0.1 % may be missing
            expected = away[order][np.searchsorted(held, share)]
            assert discs.radius(np.array(place), float(share)) == pytest.approx(expected, abs=0.06)


def test_the_whole_is_reached() -> None:
    three = Discs.of(Posterior(cells_at([(0, 0), (0, 1), (0, 2)], 11), np.array([0.6, 0.3, 0.1]), 11))
    assert three.mass.sum() < 1  # in floating point
    assert three.radius(np.zeros(2), 1.0) == pytest.approx(km_between(np.zeros(2), three.lat_lng).max(), abs=0.06)


@pytest.mark.parametrize("seed", range(4))
def test_circles_hold_what_they_are_to_hold_whatever_else_is_asked(seed: int) -> None:
    """Of claimed masses, most of them 0 and many alike, too: the share within the radius is found again by `shares`."""
    rng = np.random.default_rng(seed)
    discs = Discs.of(mixed(seed, where=PLACES[seed]))
    spots = discs.lat_lng[rng.integers(0, len(discs.mass), 6)]
    mass = np.round(discs.mass * (rng.random((6, len(discs.mass))) < [[1], [1], [0.5], [0.1], [0.05], [0]]), 4)
    wanted = mass.sum(axis=1) * np.array([0.9, 0.1, 0.5, 0.99, 0.5, 0.5])
    units = unit(spots)
    spreads = discs.spreads(units, wanted, mass)
    radii = circles_km(spreads)
    for row in range(5):
        held = [
            float(discs.shares(spots[row : row + 1], km)[0] @ mass[row])
            for km in radii[row] * np.array([1 - 1e-5, 1 + 1e-5])
        ]
        assert held[0] - 1e-6 <= wanted[row] <= held[1] + 1e-6
        alone = circles_km(
            Spreads(spreads.away_km[row : row + 1], spreads.radii_km, mass[row : row + 1], wanted[row : row + 1])
        )
        assert alone == radii[row]
    assert radii[5] == pytest.approx(HALF_WAY_ROUND_KM)  # nothing is there to be held
    assert circles_km(discs.spreads(units[:0], [])).shape == (0,)


# Nearness


@pytest.mark.parametrize("seed", range(3))
def test_nearness_is_the_mean_of_shares_over_distances(seed: int) -> None:
    """Far outside a disc that of its centre; inside and on all distances from the shares at 4,000 of them."""
    rng = np.random.default_rng(seed)
    cells = np.concatenate([cells_at(rng.normal((46, 8), 3, (20, 2)), res) for res in (2, 4, 6, 9)])
    discs = Discs.of(posterior(np.unique(cells), finest=9))
    spots = np.concatenate((discs.lat_lng[:20], rng.normal((46, 8), 5, (30, 2)), [[-40.0, 170.0]]))
    found = discs.nearness(unit(spots))
    assert found.shape == (51, len(discs.mass))
    assert found.dtype == np.float32
    distances = np.geomspace(1.0, 2500.0, 4001)
    middles = np.sqrt(distances[1:] * distances[:-1])
    expected = np.mean([discs.shares(spots, km) for km in middles], axis=0)
    outside = km_between(spots, discs.lat_lng) > discs.radii_km
    np.testing.assert_allclose(found[outside], expected[outside], atol=0.02)
    np.testing.assert_allclose(found[~outside], expected[~outside], atol=0.06)  # of a disc cut at 1 km the mean is cut
    chords = 2 * RADIUS_KM * np.sin(km_between(spots, discs.lat_lng) / (2 * RADIUS_KM))  # straight through the Earth
    away = np.clip(chords, 1.0, 2500.0)
    np.testing.assert_allclose(found[outside], 1 - np.log(away[outside]) / np.log(2500.0), atol=2e-4)
    assert found[-1].max() == 0


# What is looked at


@pytest.mark.parametrize("seed", range(3))
def test_heavy_leaves_are_looked_at_alone(seed: int) -> None:
    own = mixed(seed)
    discs = Discs.of(own)
    assert discs.mass.sum() == pytest.approx(1, abs=1e-12)
    assert (np.diff(discs.mass) <= 0).all()
    masses = dict(zip(discs.cells.tolist(), discs.mass.tolist(), strict=True))
    heavy = own.mass >= 1e-2
    assert heavy.sum() > 3
    assert [masses[cell] for cell in own.cells[heavy].tolist()] == pytest.approx(own.mass[heavy].tolist(), rel=1e-12)
    np.testing.assert_array_equal(discs.lat_lng, centres(discs.cells))
    np.testing.assert_allclose(np.linalg.norm(discs.units, axis=1), 1)
    areas = [h3.cell_area(f"{cell:x}", "km^2") for cell in discs.cells.tolist()]
    np.testing.assert_allclose(np.pi * discs.radii_km**2, areas, rtol=0.05)


def test_cells_without_mass_are_not_looked_at() -> None:
    own = at([(0, float(lng)) for lng in range(10)], np.array([0.0, 3.0, *[0.0] * 7, 1.0]))
    discs = Discs.of(own)
    assert discs.cells.tolist() == own.cells[[1, 9]].tolist()
    assert discs.mass.tolist() == [0.75, 0.25]


def many(seed: int) -> Posterior:
    """Too many cells: a heavy town, and the country around it."""
    rng = np.random.default_rng(seed)
    cells = np.unique(cells_at(rng.normal((46.0, 8.0), 1.0, (20_000, 2)), 9))
    away = km_between(np.array([46.3, 8.1]), centres(cells))[0]
    return posterior(cells, rng.exponential(size=len(cells)) * (1 + 300 * np.exp(-away / 5)), 9)


@pytest.mark.parametrize("seed", range(2))
def test_joining_light_cells_keeps_the_mass_and_hardly_moves_the_circles(seed: int) -> None:
    own = many(seed)
    discs = Discs.of(own)
    assert len(own.cells) > 15_000
    assert len(discs.mass) <= 2200
    assert len(np.unique(discs.cells)) == len(discs.cells)
    assert (np.diff(discs.mass) <= 0).all()
    groups, rows = np.unique(parents(discs.cells, 0), return_inverse=True)
    truth, truth_rows = np.unique(parents(own.cells, 0), return_inverse=True)
    assert groups.tolist() == truth.tolist()
    np.testing.assert_allclose(np.bincount(rows, discs.mass), np.bincount(truth_rows, own.mass), rtol=1e-9)
    for spot in (np.array([46.3, 8.1]), np.array([45.0, 9.0])):
        away = km_between(spot, centres(own.cells))[0]
        by_distance = np.argsort(away)
        held = np.cumsum(own.mass[by_distance])
        for share in (0.1, 0.5, 0.9):
            expected = float(away[by_distance][np.searchsorted(held, share)])
            assert discs.radius(spot, share) == pytest.approx(expected, rel=0.01, abs=0.2)
        for km in (5.0, 25.0, 200.0):
            assert discs.within(spot[None], km)[0] == pytest.approx(own.mass[away <= km].sum(), abs=0.005)


def test_a_distribution_over_the_whole_globe() -> None:
    """41,162 cells, each its share of all: circles are caps of the sphere."""
    cells = children(base_cells(), 3)
    own = posterior(cells, np.array([h3.cell_area(f"{cell:x}", "km^2") for cell in cells.tolist()]), 3)
    discs = Discs.of(own)
    assert len(discs.mass) <= 2200
    assert discs.mass.sum() == pytest.approx(1, abs=1e-9)
    for place in PLACES:
        for share in (0.05, 0.5, 0.9):
            cap = RADIUS_KM * np.arccos(1 - 2 * share)
            assert discs.radius(np.array(place), share) == pytest.approx(cap, rel=0.02)
    for gain_km in (25.0, 2500.0, None):
        spot = discs.best_point(gain(gain_km))
        assert np.isfinite(spot).all()
        assert abs(spot[0]) <= 90


# The best point


def gains_at(discs: Discs, points: Floats, gain_km: float | None) -> Floats:
    """Expected gains (C,) by haversine distances; a disc is cut by the line that the circle is from nearby."""
    parts = []
    for point in points:
        away = km_between(point, discs.lat_lng)[0]
        if gain_km is None:
            parts.append(np.exp(-away / 1492.7) @ discs.mass)
        else:
            parts.append(discs.within(point[None], gain_km)[0])
    return np.array(parts)


@pytest.mark.parametrize("gain_km", GAINS, ids=str)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_centre_of_a_disc_is_better_than_the_best_point(gain_km: float | None, seed: int) -> None:
    discs = Discs.of(mixed(seed, 700, where=PLACES[seed], spread=8.0))
    best = discs.best_point(gain(gain_km))
    assert best.shape == (2,)
    own = gains_at(discs, best[None], gain_km)[0]
    assert own >= gains_at(discs, discs.lat_lng, gain_km).max() - 1e-9
    np.testing.assert_allclose(
        discs.gains(discs.lat_lng, gain(gain_km)), gains_at(discs, discs.lat_lng, gain_km), atol=1e-6
    )
    grid = away_from(best, np.tile(np.geomspace(0.1, 300, 12), 8), np.repeat(np.arange(8) * np.pi / 4, 12))
    assert own >= gains_at(discs, grid, gain_km).max() * 0.95  # no promise, but near it


def test_many_light_cells_beat_the_heaviest_single_ones() -> None:
    """400 heavy cells, each alone, and a town of 900 light ones: within 5 km the town holds most."""
    alone = np.stack(np.meshgrid(np.arange(-10, 10.0), np.arange(-10, 10.0)), axis=-1).reshape(-1, 2)
    town = h3.grid_disk(h3.latlng_to_cell(40.0, 40.0, 10), 16)
    cells = np.concatenate((cells_at(alone, 10), np.sort([np.uint64(int(name, 16)) for name in town])))
    own = posterior(cells, np.concatenate((np.full(400, 2.0), np.ones(len(town)))), 10)
    for gain_km in (1.0, 25.0):
        discs = Discs.of(own)
        best = discs.best_point(gain(gain_km))
        assert km_between(best, np.array([40.0, 40.0]))[0, 0] < max(5, gain_km)
        assert discs.within(best[None], gain_km)[0] >= discs.within(np.array([[40.0, 40.0]]), gain_km)[0] - 1e-9
    assert Discs.of(own).within(Discs.of(own).best_point(25.0)[None], 25.0)[0] > 0.5


@pytest.mark.parametrize("gain_km", GAINS, ids=str)
@pytest.mark.parametrize("place", PLACES[2:4], ids=str)
def test_the_heavier_of_two_clusters_that_are_far_apart(place: tuple[float, float], gain_km: float | None) -> None:
    heavy = np.array(place)
    light = away_from(heavy, np.array([6000.0]), np.array([2.0]))[0]
    spread = (gain_km or 300.0) / 5
    rng = np.random.default_rng(2)
    spots = [away_from(c, spread * np.sqrt(rng.random(60)), rng.uniform(0, 7, 60)) for c in (heavy, light)]
    discs = Discs.of(at(np.concatenate(spots), np.repeat([0.6, 0.4], 60), res=15))
    best = discs.best_point(gain(gain_km))
    assert km_between(best, heavy)[0, 0] < 1.3 * (gain_km or 100.0)
    if gain_km is not None:
        assert discs.within(best[None], gain_km)[0] == pytest.approx(0.6, abs=1e-3)


@pytest.mark.parametrize("gain_km", [1.0, 25.0, 200.0, 750.0, 2500.0])
@pytest.mark.parametrize("place", PLACES[:4], ids=str)
def test_between_two_clusters_that_are_near(place: tuple[float, float], gain_km: float) -> None:
    """Twice 0.9 of the distance apart: only from the middle, where nothing is, both are within it."""
    middle = np.array(place)
    spots = np.concatenate([away_from(middle, np.array([0.9 * gain_km]), np.array([b])) for b in (0.4, 0.4 + np.pi)])
    discs = Discs.of(at(spots, res=13))
    best = discs.best_point(gain(gain_km))
    assert discs.within(best[None], gain_km)[0] == pytest.approx(1, abs=1e-6)
    assert km_between(best, middle)[0, 0] < 0.5 * gain_km  # (1 - 0.81) ** 0.5 of it at most


@pytest.mark.parametrize("gain_km", GAINS, ids=str)
@pytest.mark.parametrize("place", PLACES[2:4], ids=str)
def test_the_empty_middle_of_a_ring(place: tuple[float, float], gain_km: float | None) -> None:
    """Where all of a ring is within the distance: near its middle, within what the distance exceeds the ring by."""
    middle, radius = np.array(place), 0.9 * (gain_km or 500.0)
    spots = away_from(middle, np.full(48, radius), np.arange(48) * np.pi / 24)
    discs = Discs.of(at(spots, res=13))
    best = discs.best_point(gain(gain_km))
    if gain_km is None:
        optimum = gains_at(discs, middle[None], None)[0]
        assert gains_at(discs, best[None], None)[0] >= optimum - 1e-4
        assert km_between(best, middle)[0, 0] < 25
    else:
        assert discs.within(best[None], gain_km)[0] == pytest.approx(1, abs=1e-6)
        assert km_between(best, middle)[0, 0] <= 0.11 * gain_km


@pytest.mark.parametrize("gain_km", [25.0, 200.0])
def test_a_ring_beats_a_cell_that_is_better_than_each_of_its_own(gain_km: float) -> None:
    """From the ring's cells three of eight are within the distance, 0.26 of the probability; the cell alone has 0.3."""
    ring = away_from(np.array([46.6, 8.2]), np.full(8, 0.9 * gain_km), np.arange(8) * np.pi / 4)
    own = at(np.concatenate((ring, [[0.0, 20.0]])), np.array([*[0.0875] * 8, 0.3]), res=13)
    discs = Discs.of(own)
    best = discs.best_point(gain(gain_km))
    assert km_between(best, np.array([46.6, 8.2]))[0, 0] <= 0.11 * gain_km
    assert discs.within(best[None], gain_km)[0] == pytest.approx(0.7, abs=1e-6)


@pytest.mark.parametrize("gain_km", GAINS, ids=str)
@pytest.mark.parametrize("res", [3, 9])
def test_one_leaf(res: int, gain_km: float | None) -> None:
    own = at([(-17.2, 179.96)], res=res)
    discs = Discs.of(own)
    best = discs.best_point(gain(gain_km))
    radius = float(discs.radii_km[0])
    assert km_between(best, centres(own.cells)[0])[0, 0] <= max(gain_km or 0.001, radius)
    expected = 1.0 if gain_km is None else min(1.0, (gain_km / radius) ** 2)
    assert gains_at(discs, best[None], gain_km)[0] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("gain_km", GAINS, ids=str)
def test_a_flat_distribution(gain_km: float | None) -> None:
    """Of a flat disk, no point is better than its middle, and that is found but for 1 %."""
    centre = cells_at([(46.6, 8.2)], 3)
    cells = children(centre, 6)
    assert len(cells) == int(children_counts(centre, 6)[0]) == 343
    discs = Discs.of(posterior(cells, finest=6))
    best = discs.best_point(gain(gain_km))
    middle = gains_at(discs, centres(centre), gain_km)[0]
    assert gains_at(discs, best[None], gain_km)[0] >= 0.99 * middle
    assert km_between(best, centres(centre)[0])[0, 0] < 75  # inside


def test_both_sides_of_the_antimeridian_are_near_each_other() -> None:
    spots = np.array([(-17.0, 179.9), (-17.0, -179.9), (-17.1, 179.95), (-16.9, -179.95)])
    discs = Discs.of(at(spots))
    near = partial(discs.within, km=25.0)
    assert near(np.array([[-17.0, 180.0], [-17.0, -180.0], [-17.0, 0.0]])).tolist() == pytest.approx([1, 1, 0])
    best = discs.best_point(25.0)
    assert near(best[None])[0] == pytest.approx(1)
    assert abs(best[1]) > 179.8
    farthest = km_between(spots, np.array([-17.0, 180.0])).max()
    assert discs.radius(np.array([-17.0, 180.0]), 1.0) == pytest.approx(farthest, abs=0.06)


def test_all_around_a_pole() -> None:
    spots = np.array([(89.9, float(lng)) for lng in range(-180, 180, 30)])
    discs = Discs.of(at(spots))
    assert discs.within(np.array([[90.0, 0.0], [90.0, 77.0]]), 12.0) == pytest.approx([1, 1])
    assert discs.radius(np.array([90.0, 0.0]), 0.9) == pytest.approx(RADIUS_KM * np.radians(0.1), rel=0.01)
    best = discs.best_point(12.0)
    assert discs.within(best[None], 12.0)[0] == pytest.approx(1)
    assert best[0] > 89.98
