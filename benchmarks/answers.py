"""What answers are worth, on simulated queries: the choice of the point, calibration, whether a photo can be placed.

    python -m benchmarks.answers INDEX [--queries 600] [--out results/answers.jsonl]

Photo-like simulated queries, and for the last table as many vectors of pure noise. Three tables:

- point: accuracy at the field's distances, median distance and mean GeoGuessr score, for each way to choose the point;
- calibration: fitted on half of the queries, measured on the other half, before and after;
- localizable: how well the spatial entropy tells queries from noise (AUROC), and the median error of all answers and of
  the half with the lower entropy.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import command, machine
from benchmarks.released_model import released_model
from benchmarks.simulated import Kind, places, queries
from geoclip.answers.answering import entropy_bits
from geoclip.answers.fitting import calibrate
from geoclip.distance import geoscore, haversine_km
from geoclip.locator import Locator

SEED = 40
POINTS = ("cell", "1", "25", "200", "750", "2500", "geoscore")
DISTANCES = (1, 25, 200, 750, 2500)
TOGETHER = 64

Floats = NDArray[np.float64]


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("--queries", type=int, default=600)
    parser.add_argument("--points", type=int, default=150, help="queries for the first table, which is slow")
    parser.add_argument("--candidates", default="planet", choices=["planet", "gallery"])
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    model = released_model()
    truth = places(model.gallery, arguments.queries, SEED)
    vectors = queries(Kind.PHOTO_LIKE, truth, model.exact, SEED).vectors
    locator = Locator.open(arguments.index, candidates=arguments.candidates)
    records = points(locator, vectors[: arguments.points], truth[: arguments.points])
    records += [calibration(locator, vectors, truth), localizable(locator, vectors, truth)]
    about = {"command": command(), "machine": machine(), "simulated": True, "candidates": arguments.candidates}
    if arguments.out:
        with arguments.out.open("a", encoding="utf-8") as file:
            for record in records:
                file.write(json.dumps(record | about) + "\n")


def points(locator: Locator, vectors: NDArray[np.float32], truth: Floats) -> list[dict[str, Any]]:
    """Return the accuracy of each way to choose the point."""
    makers = {p: locator.answerer.maker(locator.asked(point=p)) for p in POINTS}
    away: dict[str, list[float]] = {p: [] for p in POINTS}
    for at in range(0, len(vectors), TOGETHER):
        found = locator.answerer.found(vectors[at : at + TOGETHER], locator.asked())
        for row, place in enumerate(truth[at : at + TOGETHER]):
            for point, maker in makers.items():
                _, best = maker.best(found, row)
                away[point].append(float(haversine_km((best.lat, best.lng), place)))
    records = []
    print("point      within 1 / 25 / 200 / 750 / 2500 km        median km  GeoScore")
    for point, km in away.items():
        shares = [float((np.array(km) <= d).mean()) for d in DISTANCES]
        score = float(geoscore(km).mean())
        records.append(
            {"table": "point", "point": point, "within": dict(zip(map(str, DISTANCES), shares, strict=True))}
            | {"median_km": float(np.median(km)), "geoscore": score, "queries": len(km)}
        )
        print(
            f"{point:9s}  {'  '.join(f'{100 * s:5.1f}' for s in shares)}   {np.median(km):8.0f}  {score:8.0f}",
            flush=True,
        )
    return records


def calibration(locator: Locator, vectors: NDArray[np.float32], truth: Floats) -> dict[str, Any]:
    """Return what a calibration on half of the queries does to the other half."""
    fitted = calibrate(locator.answerer, locator.asked(), vectors, truth)
    print(
        f"temperature {fitted.temperature:.3f}, prior weight {fitted.prior_weight:.3f}, "
        f"levels {fitted.level_50:.3f} and {fitted.level_90:.3f}"
    )
    for when, m in fitted.report.items():
        print(
            f"{when:7s} 50 % circle holds {100 * m['coverage_50']:.1f} %, 90 % circle {100 * m['coverage_90']:.1f} %, "
            f"calibration error {m['error']:.3f}, log likelihood {m['log_likelihood']:.3f}, "
            f"median {m['median_km']:.0f} km",
            flush=True,
        )
    record: dict[str, Any] = {"table": "calibration", "temperature": fitted.temperature}
    record |= {"prior_weight": fitted.prior_weight, "level_50": fitted.level_50, "level_90": fitted.level_90}
    return record | fitted.report


def localizable(locator: Locator, vectors: NDArray[np.float32], truth: Floats) -> dict[str, Any]:
    """Return how well entropy tells queries from noise."""
    rng = np.random.default_rng(SEED)
    noise = rng.standard_normal(vectors.shape).astype(np.float32)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    asked = locator.asked()
    maker = locator.answerer.maker(asked)
    entropy, away = [], []
    for at in range(0, 2 * len(vectors), TOGETHER):
        some = np.concatenate((vectors, noise))[at : at + TOGETHER]
        found = locator.answerer.found(some, asked)
        for row, place in enumerate(np.concatenate((truth, truth))[at : at + TOGETHER]):
            _, best = maker.best(found, row)
            entropy.append(entropy_bits(found.posteriors[row]))
            away.append(float(haversine_km((best.lat, best.lng), place)))
    bits, km = np.array(entropy), np.array(away)
    real = np.arange(len(bits)) < len(vectors)
    ranks = bits.argsort().argsort() + 1.0
    auroc = float((ranks[~real].sum() - (~real).sum() * ((~real).sum() + 1) / 2) / (real.sum() * (~real).sum()))
    kept = bits <= np.median(bits)
    best_cut = max(np.unique(bits), key=lambda cut: float((bits[real] <= cut).mean() + (bits[~real] > cut).mean()))
    record = {
        "table": "localizable",
        "auroc": auroc,
        "median_km_all": float(np.median(km)),
        "median_km_lower_half": float(np.median(km[kept])),
        "queries_among_lower_half": float(real[kept].mean()),
        "best_threshold_bits": float(best_cut),
        "queries_below_threshold": float((bits[real] <= best_cut).mean()),
        "noise_below_threshold": float((bits[~real] <= best_cut).mean()),
        "bits_queries": np.percentile(bits[real], (5, 50, 95)).tolist(),
        "bits_noise": np.percentile(bits[~real], (5, 50, 95)).tolist(),
    }
    print(json.dumps(record, indent=1))
    return record


if __name__ == "__main__":
    main()
