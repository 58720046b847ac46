"""Encoding of neighbouring places, by interpolating long waves, against encoding each: how much faster, how near.

    python -m benchmarks.neighbourhood [--points 1000000] [--out FILE.jsonl]

- rate: centres of cells of resolution 7 in one go: encoded each, by neighbourhood, and the products of all layers;
- few: 16 to 512 centres, as a search asks for them: encoded each, and with the long waves from stored nodes;
- cosine: the smallest and the mean cosine between vectors by neighbourhood and exact ones, in runs of neighbouring
  cells from all over the land.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.harness import in_turns, parser, spread, timed
from benchmarks.results import Results
from benchmarks.suites.encode import encoder_of, products
from geoclip.encoders.location import LocationEncoder
from geoclip.encoders.precision import has_bf16_units
from index.grid.cells import cells_at, centres, children, spacing_km
from index.grid.land import land_cells

RES, COARSE = 7, 4
RATE_POINTS, FEW = 65_536, (16, 64, 256, 512)
RUN = 343
"""Cells of resolution 7 in one of resolution 4."""


class Kept:
    """Values at nodes, in memory."""

    def __init__(self, encoder: LocationEncoder, lat_lng: NDArray[np.float64]) -> None:
        self._keys = encoder.nodes_around(lat_lng)
        self._values = encoder.values_at(self._keys)

    def rows(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where some nodes are; all asked for are there."""
        return np.searchsorted(self._keys, keys)

    def values(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the values at some nodes."""
        return self._values[rows]


def main() -> None:
    """Measure, print and save."""
    options = parser(__doc__, index=False)
    options.add_argument("--points", type=int, default=1_000_000, help="compared with exact vectors")
    options.add_argument("--rounds", type=int, default=5)
    arguments = options.parse_args()
    results = Results(arguments.out)
    land = land_cells(COARSE)
    precisions = ["fp32", *(["bf16"] if has_bf16_units(torch.device("cpu")) else [])]
    for precision in precisions:
        rates(results, precision, arguments.rounds)
    runs = np.random.default_rng(0).permutation(land)[: -(-arguments.points // RUN)]
    exact, encoders = encoder_of("fp32"), {precision: encoder_of(precision) for precision in precisions}
    cosines: dict[str, list[NDArray[np.float32]]] = {precision: [] for precision in precisions}
    for start in range(0, len(runs), 64):
        points = centres(children(np.sort(runs[start : start + 64]), RES))
        vectors = exact.embed(points)
        for precision, encoder in encoders.items():
            cosines[precision].append(np.einsum("nd,nd->n", vectors, encoder.nearby(points, spacing_km(RES))))
    for precision, parts in cosines.items():
        found = np.concatenate(parts)
        values = {"least": float(found.min()), "mean": float(found.mean())}
        results.add("neighbourhood", {"table": "cosine", "precision": precision, "points": len(found)}, values)


def rates(results: Results, precision: str, rounds: int) -> None:
    """Add what many neighbours, and a few places, take."""
    encoder = encoder_of(precision)
    block = centres(children(cells_at([(48.85, 2.35)], 1), RES))[:RATE_POINTS]
    timers: dict[str, Callable[[], float]] = {
        "each": partial(timed, partial(encoder.embed, block), 1),
        "neighbourhood": partial(timed, partial(encoder.nearby, block, spacing_km(RES)), 1),
        "products": partial(timed, products(precision, len(block)), 1),
    }
    taken = in_turns(timers, rounds)
    each = float(np.median(taken["each"]))
    for side, seconds in taken.items():
        values = {
            "points_per_second": len(block) / float(np.median(seconds)),
            "over_each": each / float(np.median(seconds)),
        }
        parameters = {"table": "rate", "side": side, "precision": precision, "points": len(block)}
        results.add("neighbourhood", parameters, values | spread(seconds))
    for count in FEW:
        some = block[:: len(block) // count][:count]
        kept = Kept(encoder, some)
        few = {
            "each": partial(timed, partial(encoder.quickly, some), 5),
            "nodes": partial(timed, partial(encoder.quickly, some, kept), 5),
            "exact": partial(timed, partial(encoder.exactly, some), 5),
        }
        for side, seconds in in_turns(few, rounds).items():
            parameters = {"table": "few", "side": side, "precision": precision, "points": count}
            values = {"ms_a_call": 1000 * float(np.median(seconds)) / 5}
            results.add("neighbourhood", parameters, values | spread(seconds))


if __name__ == "__main__":
    main()
