"""The prior against an oracle in plain Python over h3-py, and its laws on random trees."""

import json
import math
from collections import Counter, defaultdict

import h3
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from index.grid.cells import Cells, areas_km2, base_cells, cells_at, centres, children, parents, resolution
from index.storage.gallery import Gallery
from index.storage.prior import Prior

COARSE = 3
PENTAGON = 0x8009FFFFFFFFFFF


class World:
    """Some land of resolution `COARSE`, one pentagon in it, and photos on it."""

    def __init__(self, seed: int, photos: int = 300) -> None:
        rng = np.random.default_rng(seed)
        roots = np.unique(np.append(rng.choice(base_cells(), 3), np.uint64(PENTAGON)))
        every = children(roots, COARSE)
        pentagon = children(np.array([PENTAGON], dtype=np.uint64), COARSE)[:1]
        self.land = np.unique(np.append(rng.choice(every, len(every) // 3, replace=False), pentagon))
        self.areas = areas_km2(self.land) * rng.uniform(0.1, 1.0, len(self.land))
        around = centres(children(rng.choice(self.land, 12), 5))  # fewer than 12 * 49 with a pentagon among them
        towns = around[rng.integers(0, len(around), 40)]
        points = towns[rng.integers(0, 40, photos)] + rng.choice([0.0, 1e-3, 0.1], (photos, 1)) * rng.normal(
            size=(photos, 2)
        )
        points = np.concatenate((points, np.repeat(centres(pentagon), min(photos, 5), axis=0)))
        points[:, 0] = points[:, 0].clip(-90, 90)
        points[:, 1] = (points[:, 1] + 180) % 360 - 180
        inside = np.isin(parents(cells_at(points.astype(np.float32), 15), COARSE), self.land)
        self.gallery = Gallery.of(points[inside])

    def fit(self, *, distinct: bool = False) -> Prior:
        return Prior.fit(self.land, self.areas, self.gallery, distinct=distinct)

    def around(self, res: int, seed: int = 0) -> Cells:
        """Cells of a resolution: with photos, beside photos, on land without, and off land."""
        rng = np.random.default_rng(seed)
        near = self.gallery.lat_lng[rng.integers(0, len(self.gallery), 30)] if len(self.gallery) else np.zeros((0, 2))
        near = near + rng.choice([0.0, 1e-4, 0.02], (len(near), 1)) * rng.normal(size=near.shape)
        near[:, 0] = near[:, 0].clip(-90, 90)
        anywhere = centres(np.append(rng.choice(self.land, 20), rng.choice(base_cells(), 5)))
        return np.append(cells_at(np.concatenate((near, anywhere)), res), self.pentagons(res))

    def pentagons(self, res: int) -> Cells:
        return cells_at(centres(np.array([PENTAGON], dtype=np.uint64)), res)


class Oracle:
    """The formula of the module, one cell at a time."""

    def __init__(self, world: World, kappas: NDArray[np.float64], *, distinct: bool = False) -> None:
        self.kappas: list[float] = kappas.tolist()
        self.area: dict[str, float] = defaultdict(float)
        self.photos: Counter[str] = Counter()
        for cell, area in zip(world.land.tolist(), world.areas.tolist(), strict=True):
            for name in ancestors(h3.int_to_str(cell)):
                self.area[name] += area
        for cell, count in zip(world.gallery.cells.tolist(), world.gallery.counts.tolist(), strict=True):
            for name in ancestors(h3.int_to_str(cell)):
                self.photos[name] += 1 if distinct else count

    def base(self, name: str) -> float:
        res = h3.get_resolution(name)
        if res > COARSE:
            return 1.0 / len(h3.cell_to_children(h3.cell_to_parent(name, res - 1)))
        return self.area.get(name, 0.0) / self.area[above(name)] if self.area.get(above(name)) else 0.0

    def mass(self, name: str) -> float:
        if name == "":
            return 1.0
        kappa: float = self.kappas[h3.get_resolution(name)]
        up = above(name)
        before: float = self.mass(up)
        if before == 0.0:
            return 0.0
        return before * (self.photos[name] + kappa * self.base(name)) / (self.photos[up] + kappa)


def above(name: str) -> str:
    res = h3.get_resolution(name)
    return h3.cell_to_parent(name, res - 1) if res else ""


def ancestors(name: str) -> list[str]:
    return ["", *(h3.cell_to_parent(name, res) for res in range(h3.get_resolution(name) + 1))]


@pytest.mark.parametrize("distinct", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_masses_equal_the_oracle_at_every_resolution(seed: int, distinct: bool) -> None:
    world = World(seed)
    prior = world.fit(distinct=distinct)
    oracle = Oracle(world, prior.kappas, distinct=distinct)
    for res in range(16):
        cells = world.around(res)
        expected = np.array([oracle.mass(h3.int_to_str(int(cell))) for cell in cells])
        assert (expected == 0).any() or res < 2
        np.testing.assert_allclose(np.exp(prior.log_mass(cells)), expected, rtol=1e-11, atol=0.0)
    everywhere = [oracle.mass(h3.int_to_str(int(cell))) for cell in world.land]
    np.testing.assert_allclose(np.exp(prior.coarse_log_mass), everywhere, rtol=1e-11)


@pytest.mark.parametrize("distinct", [False, True])
def test_each_kappa_is_the_likeliest_with_every_place_left_out_in_turn(distinct: bool) -> None:
    world = World(2)
    prior = world.fit(distinct=distinct)
    oracle = Oracle(world, prior.kappas, distinct=distinct)
    assert (world.gallery.counts > 1).any()
    grid = np.exp(np.linspace(math.log(0.03), math.log(3e4), 1200))
    for res in range(12):
        terms = []
        for cell, count in zip(world.gallery.cells.tolist(), world.gallery.counts.tolist(), strict=True):
            name = h3.cell_to_parent(h3.int_to_str(cell), res)
            own = 1 if distinct else count
            terms.append((oracle.photos[name] - own, oracle.base(name), oracle.photos[above(name)] - own))
        n, b, total = (np.array(column)[:, None] for column in zip(*terms, strict=True))
        score = np.log((n + grid * b) / (total + grid)).sum(axis=0) - 0.5 * ((np.log(grid) - math.log(3)) / 2) ** 2
        assert abs(math.log(prior.kappas[res]) - math.log(grid[score.argmax()])) < 0.06


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 400))
def test_masses_sum_to_one_and_children_to_their_parent(seed: int, photos: int) -> None:
    world = World(seed, photos)
    prior = world.fit()
    for res in range(COARSE + 1):
        land = np.unique(parents(world.land, res))
        assert abs(np.exp(prior.log_mass(land)).sum() - 1.0) < 1e-12
        assert np.isfinite(prior.log_mass(land)).all()
    for res in range(11):
        cells = np.unique(world.around(res, seed))
        below = children(cells, res + 1)
        sums = np.zeros(len(cells))
        np.add.at(sums, np.searchsorted(cells, parents(below, res)), np.exp(prior.log_mass(below)))
        np.testing.assert_allclose(sums, np.exp(prior.log_mass(cells)), rtol=1e-9, atol=0.0)


def test_uniform_is_land_area() -> None:
    world = World(3)
    prior = Prior.uniform(world.land, world.areas)
    np.testing.assert_allclose(np.exp(prior.coarse_log_mass), world.areas / world.areas.sum(), rtol=1e-12)
    fine = children(world.land[:20], COARSE + 2)
    counts = [len(h3.cell_to_children(h3.int_to_str(int(c)), COARSE + 2)) for c in world.land[:20]]
    hexagons = np.repeat(np.array(counts) == 49, counts)
    expected = np.repeat(world.areas[:20] / world.areas.sum() / 49, counts)
    np.testing.assert_allclose(np.exp(prior.log_mass(fine))[hexagons], expected[hexagons], rtol=1e-12)


def test_photos_draw_mass_and_repetitions_count_unless_told() -> None:
    world = World(4, photos=0)
    spots = centres(children(world.land[5:7], 9)[::40_000])
    spots = spots[np.isin(parents(cells_at(spots.astype(np.float32), 15), COARSE), world.land)]
    cells = parents(cells_at(spots.astype(np.float32), 15), COARSE)
    gallery = Gallery.of(spots, np.where(cells == cells[0], 50, 1))
    as_given = Prior.fit(world.land, world.areas, gallery)
    once = Prior.fit(world.land, world.areas, gallery, distinct=True)
    uniform = Prior.uniform(world.land, world.areas)
    cell = cells[:1]
    assert uniform.log_mass(cell) < once.log_mass(cell) < as_given.log_mass(cell)


def test_restored_equals_fitted() -> None:
    world = World(5)
    fitted = world.fit(distinct=True)
    parameters = json.loads(json.dumps(fitted.parameters()))
    restored = Prior.restore(world.land, fitted.coarse_log_mass, world.gallery, parameters)
    for res in range(16):
        cells = world.around(res)
        assert np.array_equal(restored.log_mass(cells), fitted.log_mass(cells))
    assert restored.parameters() == fitted.parameters()


def test_parts_that_do_not_belong_together_are_refused() -> None:
    world = World(6)
    prior = world.fit()
    good = prior.parameters()
    for changed, says in (
        ({"format": 9}, "format 9"),
        ({"resolution": 6}, "resolution 6, not 3"),
        ({"photos": 1}, "photos 1"),
        ({"kappas": [1.0]}, "16 positive"),
        ({"kappas": [-1.0] * 16}, "16 positive"),
    ):
        with pytest.raises(ValueError, match=says):
            Prior.restore(world.land, prior.coarse_log_mass, world.gallery, good | changed)
    with pytest.raises(ValueError, match="masses for"):
        Prior.restore(world.land, prior.coarse_log_mass[1:], world.gallery, good)
    with pytest.raises(ValueError, match="places"):
        Prior.restore(world.land, prior.coarse_log_mass, Gallery.empty(), good)


def test_bad_land_is_refused() -> None:
    world = World(7)
    with pytest.raises(ValueError, match="no land cells"):
        Prior.uniform(world.land[:0], world.areas[:0])
    with pytest.raises(ValueError, match="sorted and distinct"):
        Prior.uniform(world.land[::-1], world.areas)
    with pytest.raises(ValueError, match="areas for"):
        Prior.uniform(world.land, world.areas[1:])
    with pytest.raises(ValueError, match="must be positive"):
        Prior.uniform(world.land, np.zeros(len(world.land)))
    with pytest.raises(ValueError, match="resolutions"):
        Prior.uniform(np.append(base_cells()[:1], world.land), np.ones(len(world.land) + 1))
    occupied = world.gallery.cells_at(COARSE)[0]
    rest = world.land != occupied
    with pytest.raises(ValueError, match="lie in no land cell"):
        Prior.fit(world.land[rest], world.areas[rest], world.gallery)


def test_questions_at_the_edges() -> None:
    world = World(8)
    prior = world.fit()
    assert prior.log_mass(world.land[:0]).shape == (0,)
    with pytest.raises(ValueError, match="resolutions"):
        prior.log_mass(np.append(world.land[:1], base_cells()[:1]))
    off_land = np.setdiff1d(children(parents(world.land, 2), 3), world.land)
    for res in (COARSE, COARSE + 1, 9):
        assert (prior.log_mass(cells_at(centres(off_land), res)) == -np.inf).mean() > 0.9
        assert np.isneginf(prior.log_mass(children(off_land[:2], res))).all()


def test_coarse_cells_at_the_root() -> None:
    land = base_cells()
    gallery = Gallery.of([[48.85, 2.35], [48.86, 2.36], [40.7, -74.0]])
    prior = Prior.fit(land, areas_km2(land), gallery)
    assert resolution(prior.land) == 0
    assert abs(np.exp(prior.log_mass(children(land, 2))).sum() - 1.0) < 1e-12
    assert prior.log_mass(gallery.cells[:1]) > Prior.uniform(land, areas_km2(land)).log_mass(gallery.cells[:1])
