"""What answers are worth, on simulated queries: the choice of the point, calibration, whether a photo can be placed.

    python -m benchmarks.answers INDEX [--queries 600] [--candidates gallery] [--out FILE.jsonl]

Photo-like simulated queries, and for the last table as many vectors of pure noise. Three tables:

- point: accuracy at the field's distances, median distance and mean GeoGuessr score, for each way to choose the point;
- calibration: fitted on half of the queries, measured on the other half, before and after;
- localizable: how well the spatial entropy tells queries from noise (AUROC), and the median error of all answers and of
  the half with the lower entropy.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from benchmarks.harness import parser
from benchmarks.released_model import released_model
from benchmarks.results import Results
from benchmarks.simulated import Kind, places, queries, unit
from geoclip.answers.answering import entropy_bits
from geoclip.answers.fitting import calibrate
from geoclip.evaluation.measures import MEASURES, measured
from geoclip.locator import Locator
from index.grid.sphere import Floats, haversine_km

SEED = 40
POINTS = ("cell", "1", "25", "200", "750", "2500", "geoscore")
TOGETHER = 64
Vectors = NDArray[np.float32]
Facts = dict[str, Any]


def main() -> None:
    """Measure, print and save."""
    options = parser(__doc__)
    options.add_argument("--queries", type=int, default=600)
    options.add_argument("--points", type=int, default=150, help="queries for the first table, which is slow")
    options.add_argument("--candidates", default="planet", choices=["planet", "gallery"])
    arguments = options.parse_args()
    model, results = released_model(), Results(arguments.out)
    truth = places(model.gallery, arguments.queries, SEED)
    vectors = queries(Kind.PHOTO_LIKE, truth, model.exact, SEED)
    locator = Locator.open(arguments.index, candidates=arguments.candidates)
    about = {"candidates": arguments.candidates, "simulated": True}
    count = min(arguments.points, len(vectors))
    for point, values in points(locator, vectors[:count], truth[:count]):
        results.add("answers", {"table": "point", "point": point, "queries": count} | about, values)
    fitted = calibrate(locator.answerer, locator.asked(), vectors, truth)
    fit = {"temperature": fitted.temperature, "prior_weight": fitted.prior_weight}
    fit |= {"level_50": fitted.level_50, "level_90": fitted.level_90}
    fit |= {f"{when}_{name}": value for when, found in fitted.report.items() for name, value in found.items()}
    about["queries"] = len(vectors)
    results.add("answers", {"table": "calibration"} | about, fit)
    results.add("answers", {"table": "localizable"} | about, localizable(locator, vectors, truth))


def points(locator: Locator, vectors: Vectors, truth: Floats) -> Iterator[tuple[str, Facts]]:
    """Yield the accuracy of each way to choose the point."""
    makers = {point: locator.answerer.maker(locator.asked(point=point)) for point in POINTS}
    away: dict[str, list[float]] = {point: [] for point in POINTS}
    for at in range(0, len(vectors), TOGETHER):
        found = locator.answerer.found(vectors[at : at + TOGETHER], locator.asked())
        for row, place in enumerate(truth[at : at + TOGETHER]):
            for point, maker in makers.items():
                _, best = maker.best(found, row)
                away[point].append(float(haversine_km((best.lat, best.lng), place)))
    for point, km in away.items():
        yield point, dict(zip(MEASURES, measured(np.array([km]))[0].tolist(), strict=True))


def localizable(locator: Locator, vectors: Vectors, truth: Floats) -> Facts:
    """Return how well entropy tells queries from noise."""
    noise = unit(np.random.default_rng(SEED).standard_normal(vectors.shape))
    both, places_of_both = np.concatenate((vectors, noise)), np.concatenate((truth, truth))
    asked = locator.asked()
    maker = locator.answerer.maker(asked)
    entropy, away = [], []
    for at in range(0, len(both), TOGETHER):
        found = locator.answerer.found(both[at : at + TOGETHER], asked)
        for row, place in enumerate(places_of_both[at : at + TOGETHER]):
            _, best = maker.best(found, row)
            entropy.append(entropy_bits(found.posteriors[row]))
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
