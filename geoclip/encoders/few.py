"""How a few points are cut into products: as the device likes it, where that changes no bit of the results.

Whether a row of a matrix product rounds the same among 8 rows and among 384, on one core and on two, depends on the
processor and its library. It is tried once; products are of the shapes that round alike.
"""

from typing import TYPE_CHECKING, NamedTuple

import torch

from geoclip.encoders.cores import on_all_cores
from geoclip.encoders.layers import Layers

if TYPE_CHECKING:
    from geoclip.encoders.location import LocationEncoder

_FIXED = 64
"""Rows of a product where they must all have one shape, on one core."""
_MULTIPLE = 8
"""Rows are filled up to a multiple: fewer than four round in another way everywhere."""
_MOST = 384
"""Larger products are no faster a row, and some round in another way."""
_TRIED = ((8, 24, 64, _MOST), (64, 128, _MOST))
"""Shapes that are tried together. With AMX, products of up to 32 rows, and of 512, are added up in another order."""

_least: dict[object, int | None] = {}


class Products(NamedTuple):
    """How some points are cut."""

    rows: int
    """Of a product; fewer points are filled up."""
    shared: bool
    """Whether all cores share each product, or each has products of its own."""
    apart: bool = False
    """Whether each capsule's head is a product of its own: with AMX joined ones round alike in one shape only."""

    def add(
        self,
        out: torch.Tensor,
        plane: torch.Tensor,
        capsules: tuple[int, ...],
        encoder: "LocationEncoder",
        layers: Layers,
    ) -> None:
        """Add the shares of some capsules; see `LocationEncoder.add_capsules`."""
        for some in [(number,) for number in capsules] if self.apart else [capsules]:
            encoder.add_capsules(out, plane, some, layers)


def products(count: int, capsules: tuple[int, ...], encoder: "LocationEncoder", layers: Layers) -> Products:
    """Return the products for some points of some capsules, by their numbers."""
    apart = layers.hidden[0][0][1].dtype is torch.bfloat16  # on any number of cores: it changes what comes out
    least = _least_that_rounds_alike(capsules, encoder, layers, apart=apart)
    if least is None:
        return Products(_FIXED, shared=False, apart=apart)
    threads = torch.get_num_threads()
    shared = count < threads * _MOST
    share = count if shared else -(-count // threads)
    rows = max(-(-share // _MULTIPLE) * _MULTIPLE, least)
    return Products(rows if rows <= _MOST else _even(rows), shared, apart)


def _even(rows: int) -> int:
    """Return the rows of equal products, as few as can be, that hold so many rows together."""
    each = -(-rows // -(-rows // _MOST))
    return -(-each // _MULTIPLE) * _MULTIPLE


def _least_that_rounds_alike(
    capsules: tuple[int, ...], encoder: "LocationEncoder", layers: Layers, *, apart: bool
) -> int | None:
    """Return from how many rows on all products round alike; None where there is no such number among those tried."""
    state = (layers.hidden[0][0][1].dtype, encoder.config, len(capsules), torch.get_num_threads())
    if state not in _least:
        _least[state] = next(
            (tried[0] for tried in _TRIED if _round_alike(tried, capsules, encoder, layers, apart=apart)), None
        )
    return _least[state]


def _round_alike(
    tried: tuple[int, ...], capsules: tuple[int, ...], encoder: "LocationEncoder", layers: Layers, *, apart: bool
) -> bool:
    """Compare one large product with smaller ones, on one core and on all."""
    *smaller, most = tried
    cut = Products(most, shared=False, apart=apart)
    plane = torch.rand(most, 2, generator=torch.Generator().manual_seed(1)) * 2 - 1
    first: torch.Tensor | None = None
    for rows in (most, *smaller):
        count = most if rows == most else max(smaller) // rows * rows
        for alone in (True, False):
            out = torch.zeros(count, encoder.dim)

            def fill(start: int, out: torch.Tensor = out, rows: int = rows) -> None:
                with torch.inference_mode(), torch.autocast("cpu", enabled=False):
                    part = slice(start, start + rows)
                    cut.add(out[part], plane[part], capsules, encoder, layers)

            on_all_cores(fill, range(0, count, rows), cores=None if alone else 1, alone=alone)
            if first is None:
                first = out
            elif not torch.equal(first[:count], out):
                return False
    return True
