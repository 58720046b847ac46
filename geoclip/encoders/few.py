"""How a few points are cut into products: as the device likes it, where that changes no bit of the results.

Whether a row of a matrix product rounds the same among 8 rows and among 64, on one core and on two, depends on the
processor and its library. It is tried once; where it does not, all products have one shape.
"""

from typing import TYPE_CHECKING

import torch

from geoclip.encoders.cores import on_all_cores
from geoclip.encoders.layers import Layers

if TYPE_CHECKING:
    from geoclip.encoders.location import LocationEncoder

_FIXED = 64
"""Rows of a product where they must all have one shape, on one core."""
_MULTIPLE = 8
"""Rows are filled up to a multiple: fewer than four round in another way everywhere."""
_MOST = 512
_TRIED = (8, 24, 72)

_alike: dict[object, bool] = {}


def rows_a_product(count: int, encoder: "LocationEncoder", layers: Layers) -> tuple[int, bool]:
    """Return how many rows the products for some points should have, and whether all cores should share each."""
    if not _rounds_alike(encoder, layers):
        return _FIXED, False
    return min(-(-max(count, 1) // _MULTIPLE) * _MULTIPLE, _MOST), True


def _rounds_alike(encoder: "LocationEncoder", layers: Layers) -> bool:
    state = (layers.hidden[0][0][1].dtype, encoder.config, torch.get_num_threads())
    if state not in _alike:
        _alike[state] = _tried(encoder, layers)
    return _alike[state]


def _tried(encoder: "LocationEncoder", layers: Layers) -> bool:
    """Compare one product of 72 rows with smaller ones, on one core and on all."""
    count = max(_TRIED)
    plane = torch.rand(count, 2, generator=torch.Generator().manual_seed(1)) * 2 - 1
    results = []
    for rows in _TRIED:
        for alone in (True, False):
            out = torch.zeros(count, encoder.dim)

            def fill(start: int, out: torch.Tensor = out, rows: int = rows) -> None:
                with torch.inference_mode(), torch.autocast("cpu", enabled=False):
                    part = slice(start, start + rows)
                    encoder.add_capsules(out[part], plane[part], tuple(range(encoder.n)), layers)

            on_all_cores(fill, range(0, count, rows), cores=None if alone else 1, alone=alone)
            results.append(out)
    return all(torch.equal(results[0], other) for other in results[1:])
