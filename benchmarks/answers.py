"""What answers are worth, on simulated queries: the choice of the point, calibration, whether a photo can be placed.

    python -m benchmarks.answers INDEX [--queries 1000] [--candidates gallery] [--work FOLDER] [--out FILE.jsonl]

What the searches found is kept in FOLDER, so that another run reads it and compares other choices without searching.

Photo-like simulated queries, and for the last table as many vectors of pure noise. Four tables:

- point: accuracy at the field's distances, median distance and mean GeoGuessr score, for each way to choose the point
  and each weight of the prior, of the released package's ranking, and with the calibration;
- reading: what it takes to choose and read an answer of what a search found, names and all;
- calibration: fitted on half of the queries, measured on the other half, before and after;
- localizable: how well the spatial entropy tells queries from noise (AUROC), and the median error of all answers and of
  the half with the lower entropy.
"""

import pickle
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from benchmarks.harness import parser
from benchmarks.released_model import released_model
from benchmarks.results import Results
from benchmarks.simulated import Kind, places, queries, unit
from geoclip.answers.answerer import LEAST_PLACES
from geoclip.answers.answering import entropy_bits
from geoclip.answers.fitting import calibrate
from geoclip.answers.source import Asked
from geoclip.evaluation.measures import MEASURES, measured
from geoclip.locator import Locator
from index.grid.cells import Cells
from index.grid.sphere import Floats, haversine_km
from index.search.hits import FoundPlaces
from index.search.posterior import Posterior

SEED = 7001
POINTS = ("cell", "all", "25", "200", "750", "geoscore")
WEIGHTS = (0.25, 0.5, 0.75, 1.0)
TOGETHER = 64
Vectors = NDArray[np.float32]
Facts = dict[str, Any]


def main() -> None:
    """Measure, print and save."""
    options = parser(__doc__)
    options.add_argument("--queries", type=int, default=1000)
    options.add_argument("--seed", type=int, default=SEED, help="of the queries")
    options.add_argument("--work", type=Path, metavar="FOLDER", help="keep what searches found, or read it there")
    options.add_argument("--weights", type=float, nargs="+", default=WEIGHTS)
    options.add_argument("--candidates", default="planet", choices=["planet", "gallery"])
    options.add_argument("--tables", nargs="+", default=["released", "point", "calibration", "localizable"])
    arguments = options.parse_args()
    model, results = released_model(), Results(arguments.out)
    truth = places(model.gallery, arguments.queries, arguments.seed)
    vectors = queries(Kind.PHOTO_LIKE, truth, model.exact, arguments.seed)
    locator = Locator.open(arguments.index, candidates=arguments.candidates)
    about = {"candidates": arguments.candidates, "simulated": True, "queries": len(vectors)}
    about |= {"query_seed": arguments.seed, "index": Path(arguments.index).name}
    if "released" in arguments.tables:
        gallery = Locator.open("none")
        batches = found(gallery, gallery.asked(), vectors, None)
        for _, values in points(gallery, {"cell": gallery.asked()}, batches, vectors, truth, {}):
            results.add("answers", {"table": "point", "point": "released"} | about, values)
    spent: dict[str, list[float]] = {}
    for weight in arguments.weights if "point" in arguments.tables else ():
        ways = {point: locator.asked(point=point, prior_weight=weight) for point in POINTS}
        path = arguments.work and arguments.work / f"found-{weight:g}.pkl"
        batches = found(locator, locator.asked(prior_weight=weight), vectors, path)
        for point, values in points(locator, ways, batches, vectors, truth, spent):
            results.add("answers", {"table": "point", "point": point, "prior_weight": weight} | about, values)
    for point, milliseconds in spent.items():
        values = {"median_ms": float(np.median(milliseconds)), "batch": TOGETHER}
        results.add("answers", {"table": "reading", "point": point} | about, values)
    if "calibration" in arguments.tables:
        calibration(locator, vectors, truth, results, about)
    if "localizable" in arguments.tables:
        results.add("answers", {"table": "localizable"} | about, localizable(locator, vectors, truth))


def calibration(locator: Locator, vectors: Vectors, truth: Floats, results: Results, about: Facts) -> None:
    """Record what a calibration changes, and points read with it on the half that it was not fitted to."""
    fitted = calibrate(locator.answerer, locator.asked(), vectors, truth)
    fit: Facts = {"temperature": fitted.temperature, "prior_weight": fitted.prior_weight}
    fit["classes"] = [each.model_dump() for each in fitted.classes]
    fit |= {f"{when}_{name}": value for when, found in fitted.report.items() for name, value in found.items()}
    results.add("answers", {"table": "calibration"} | about, fit)
    held_out = np.random.default_rng(0).permutation(len(vectors))[1::2]
    ways = {point: Asked(*fitted.applied(*locator.asked(point=point))) for point in POINTS}
    batches = found(locator, ways["all"], vectors[held_out], None)
    for point, values in points(locator, ways, batches, vectors[held_out], truth[held_out], {}):
        facts = {"table": "point", "point": point, "calibrated": True} | about | {"queries": len(held_out)}
        results.add("answers", facts, values)


def points(
    locator: Locator,
    ways: dict[str, Asked],
    batches: Iterable[FoundPlaces],
    vectors: Vectors,
    truth: Floats,
    spent: dict[str, list[float]],
) -> Iterator[tuple[str, Facts]]:
    """Yield the accuracy of each way to read one search; add the milliseconds a query of each to those spent.

    Milliseconds are a processor's, of whole answers of a batch.
    """
    away: dict[str, list[float]] = {point: [] for point in ways}
    for at, hits in zip(range(0, len(vectors), TOGETHER), batches, strict=True):
        batch = vectors[at : at + TOGETHER]
        names = [str(row) for row in range(len(batch))]
        for point, asked in ways.items():
            begun = time.process_time()
            answers = locator.answerer.read(names, batch, hits, asked)
            spent.setdefault(point, []).append(1000 * (time.process_time() - begun) / len(batch))
            for answer, place in zip(answers, truth[at : at + TOGETHER], strict=True):
                away[point].append(float(haversine_km((answer.best.lat, answer.best.lng), place)))
    for point, km in away.items():
        yield point, dict(zip(MEASURES, measured(np.array([km]))[0].tolist(), strict=True))


def found(locator: Locator, asked: Asked, vectors: Vectors, path: Path | None) -> Iterator[FoundPlaces]:
    """Yield what is found, in batches of `TOGETHER`; kept in a file, where one is given, or read there."""
    if path is not None and path.exists():
        with path.open("rb") as file:
            while file.peek(1):
                hits, distributions = pickle.load(file)  # our own
                yield _first(hits)._replace(posteriors=tuple(map(_distribution, distributions)))
        return
    for at in range(0, len(vectors), TOGETHER):
        hits = locator.answerer.found(vectors[at : at + TOGETHER], asked)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            kept = [(each.cells, each.mass.astype(np.float32), each.finest, each.unsure) for each in hits.posteriors]
            with path.open("ab") as file:
                pickle.dump((hits._replace(posteriors=()), kept), file)
        yield hits


def _first(hits: FoundPlaces) -> FoundPlaces:
    """Return the first hits of each query, as many as answers look at."""
    own = slice(LEAST_PLACES)
    return hits._replace(
        cells=hits.cells[:, own],
        lat_lng=hits.lat_lng[:, own],
        scores=hits.scores[:, own],
        probabilities=hits.probabilities[:, own],
    )


def _distribution(kept: tuple[Cells, NDArray[np.float32], int, float]) -> Posterior:
    cells, mass, finest, unsure = kept
    exact = mass.astype(np.float64)
    return Posterior(cells, exact / exact.sum(), finest, unsure)


def localizable(locator: Locator, vectors: Vectors, truth: Floats) -> Facts:
    """Return how well entropy tells queries from noise."""
    noise = unit(np.random.default_rng(SEED).standard_normal(vectors.shape))
    both, places_of_both = np.concatenate((vectors, noise)), np.concatenate((truth, truth))
    asked = locator.asked()
    maker = locator.answerer.maker(asked)
    entropy, away = [], []
    for at in range(0, len(both), TOGETHER):
        hits = locator.answerer.found(both[at : at + TOGETHER], asked)
        for row, place in enumerate(places_of_both[at : at + TOGETHER]):
            _, best = maker.best(hits, row)
            entropy.append(entropy_bits(hits.posteriors[row]))
            away.append(float(haversine_km((best.lat, best.lng), place)))
    bits, km = np.array(entropy), np.array(away)
    real = np.arange(len(bits)) < len(vectors)
    lower = bits <= np.median(bits)
    cut = max(np.unique(bits), key=lambda each: float((bits[real] <= each).mean() + (bits[~real] > each).mean()))
    return {
        "auroc": float(mannwhitneyu(bits[~real], bits[real]).statistic) / (real.sum() * (~real).sum()),
        "median_km_all": float(np.median(km)),
        "median_km_lower_half": float(np.median(km[lower])),
        "queries_among_lower_half": float(real[lower].mean()),
        "best_threshold_bits": float(cut),
        "queries_below_threshold": float((bits[real] <= cut).mean()),
        "noise_below_threshold": float((bits[~real] <= cut).mean()),
        "bits_queries": np.percentile(bits[real], (5, 50, 95)).tolist(),
        "bits_noise": np.percentile(bits[~real], (5, 50, 95)).tolist(),
    }


if __name__ == "__main__":
    main()
