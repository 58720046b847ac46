"""Whose outline points are in, against shapely asked for every outline, on borders and on whole degrees, too."""

import numpy as np
import shapely

from index.grid.shapes import Borders

OUTLINES = [
    shapely.box(-10.0, -5.0, 3.0, 4.0),  # on whole degrees
    shapely.box(2.5, 3.2, 2.9, 3.9),  # inside the first
    shapely.MultiPolygon([shapely.box(170.5, 60.0, 180.0, 71.3), shapely.box(-180.0, 60.0, -169.0, 71.3)]),
    shapely.Polygon([(20.0, 40.0), (31.4, 47.7), (25.2, 52.0), (20.9, 44.4)]),
    shapely.box(-180.0, -90.0, 180.0, -63.2),
    shapely.Polygon([(40, 80), (60, 80), (60, 90), (40, 90)], [[(45.5, 82), (50, 82), (50, 85), (45.5, 85)]]),
]
OWNERS = np.array([4, 7, 2, 9, 1, 4])


def test_owners_are_those_of_every_outline() -> None:
    rng = np.random.default_rng(0)
    anywhere = rng.uniform((-90, -180), (90, 180), (3000, 2))
    whole = np.stack(np.meshgrid(np.arange(-90, 91, 5), np.arange(-180, 181, 2)), axis=-1).reshape(-1, 2)
    around = [np.array(shape.bounds)[[1, 0, 3, 2]].reshape(2, 2) for shape in OUTLINES]
    near = np.concatenate([low + (high - low) * rng.random((300, 2)) for low, high in around])
    corners = np.concatenate([shapely.get_coordinates(shape)[:, ::-1] for shape in OUTLINES])
    points = np.concatenate((anywhere, whole, near, corners)).astype(np.float64)
    found = Borders([shape.wkb for shape in OUTLINES], OWNERS).owners_at(points)
    shapes = shapely.points(points[:, ::-1])
    inside = np.stack([shapely.intersects(shape, shapes) for shape in OUTLINES], axis=1)
    for held, owner in zip(inside, found.tolist(), strict=True):
        owners = set(OWNERS[held].tolist())
        assert owner == (0 if not owners else -1 if len(owners) > 1 else owners.pop())
    assert {-1, 0, 1, 2, 4, 9} <= set(found.tolist())
    assert Borders([OUTLINES[0].wkb], OWNERS[:1]).owners_at(np.zeros((0, 2))).shape == (0,)
