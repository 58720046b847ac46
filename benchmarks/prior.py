"""How well the prior foretells where photos are taken: held-out places of the released gallery, in nats a place.

    python -m benchmarks.prior [--out FILE.jsonl]

Ten folds, drawn by place (`random`) or by whole cells of resolution 3 or 4 (`blocked`: a tenth of all cells that hold
photos have theirs taken away, so that the nearest known photo is one such cell off). Compared at each resolution:

    uniform   land area alone
    add-one   (n + 1) / (N + cells), counts of the one resolution
    add-area  (n + kappa b) / (N + kappa), counts of the one resolution, b the share of the land; the best kappa,
              each place left out in turn
    prior     `index.storage.prior.Prior`

All share one grid: the land cells of resolution 6 with those of the gallery, and their children.
"""

import time
from itertools import product

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import parser
from benchmarks.results import Results
from index.grid.cells import Cells, areas_km2, children_counts, parents
from index.grid.land import land_cells
from index.grid.sphere import Floats
from index.storage.gallery import Gallery
from index.storage.prior import Prior

RESOLUTIONS = range(2, 8)
COARSE, FOLDS = 6, 10
BLOCKS = {"random": None, "blocked by resolution 4": 4, "blocked by resolution 3": 3}
METHODS = ("uniform", "add-one", "add-area", "prior")
KAPPAS = np.exp(np.linspace(-3.0, 15.0, 73))


def main() -> None:
    """Measure, and record for each method and resolution the folds, their mean, and the prior's lead."""
    options = parser(__doc__, index=False)
    options.add_argument("--seed", type=int, default=0)
    arguments = options.parse_args()
    from geoclip.release.fetch import released

    results = Results(arguments.out, arguments.seed)
    places = Gallery.of(released().gallery())
    land = land_cells(COARSE, also=places.cells_at(COARSE))
    areas = areas_km2(land)
    started = time.perf_counter()
    whole = Prior.fit(land, areas, places, distinct=True)
    about = {"land_cells": len(land), "places": len(places), "gallery": places.digest()}
    fit_s = time.perf_counter() - started
    results.add("prior", about, {"fit_s": fit_s, "kappas": [round(kappa, 4) for kappa in whole.kappas.tolist()]})
    uniform = Prior.uniform(land, areas)
    for split, block in BLOCKS.items():
        fold_of = folds(places, block, np.random.default_rng(arguments.seed))
        found = np.array([scores(areas, uniform, places, fold_of == fold) for fold in range(FOLDS)])
        for (row, method), (column, res) in product(enumerate(METHODS), enumerate(RESOLUTIONS)):
            nats, lead = found[:, row, column], found[:, -1, column] - found[:, row, column]
            values = {"mean_nats": float(nats.mean()), "least_lead_of_prior_nats": float(lead.min())}
            values |= {"folds_nats": nats.round(5).tolist()}
            results.add("prior", {"split": split, "method": method, "resolution": res}, values)


def folds(places: Gallery, block: int | None, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return each place's fold, 0 to 9; places of one cell of resolution `block` share theirs."""
    if block is None:
        return rng.permutation(len(places)) % FOLDS
    held, row = np.unique(parents(places.cells, block), return_inverse=True)
    return (rng.permutation(len(held)) % FOLDS)[row]


def scores(areas: Floats, uniform: Prior, places: Gallery, held_out: NDArray[np.bool_]) -> Floats:
    """Return the mean log probability (method, resolution) of the places held out, known all others."""
    known = Gallery.of(places.lat_lng[~held_out])
    prior = Prior.fit(uniform.land, areas, known)
    asked = places.cells[held_out]
    result = np.empty((len(METHODS), len(RESOLUTIONS)))
    for column, res in enumerate(RESOLUTIONS):
        cells = parents(asked, res)
        flat = uniform.log_mass(cells)
        count = known.count_in(cells)
        kappa = best_kappa(known, uniform, res)
        result[:, column] = (
            flat.mean(),
            np.log((count + 1) / (len(known) + cells_with_land(uniform.land, res))).mean(),
            np.log((count + kappa * np.exp(flat)) / (len(known) + kappa)).mean(),
            prior.log_mass(cells).mean(),
        )
    return result


def cells_with_land(land: Cells, res: int) -> int:
    """Return how many cells of a resolution have land in them."""
    if res > COARSE:
        return int(children_counts(land, res).sum())
    return 1 + int(np.count_nonzero(np.diff(parents(land, res))))


def best_kappa(known: Gallery, uniform: Prior, res: int) -> float:
    """Return the kappa of a single resolution under which the places are most likely, each given all others."""
    cells, count = np.unique(parents(known.cells, res), return_counts=True)
    share = np.exp(uniform.log_mass(cells))
    likelihoods = [(count * np.log((count - 1 + kappa * share) / (len(known) - 1 + kappa))).sum() for kappa in KAPPAS]
    return float(KAPPAS[int(np.argmax(likelihoods))])


if __name__ == "__main__":
    main()
