"""What an evaluation found, as values and as JSON, which `report.schema.json` beside this file describes."""

import json
import math
import platform
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from geoclip.evaluate.by_country import Group, Whereabouts
from geoclip.evaluate.measures import (
    MEASURES,
    THRESHOLDS_KM,
    CellSet,
    Interval,
    Recall,
    intervals,
    measured,
    recall,
    resampled,
)
from geoclip.evaluate.overlap import Overlap
from geoclip.evaluate.reliability import Reliability, calibration
from geoclip.evaluate.significance import Comparison, compared
from geoclip.evaluate.system_answers import Answers, Floats
from geoclip.files import written_whole

SCHEMA = "geoclip-evaluation/1"
"""Names the fields and their meaning; another number where a reader would have to change."""
_PACKAGES = ("geoclip-planet", "numpy", "scipy", "pyarrow", "pyproj", "torch", "open-clip-torch")


class RunKind(StrEnum):
    """What a system's answers were made from."""

    PHOTOS = "photos"
    VECTORS = "vectors"
    PREDICTIONS = "predictions"


@dataclass(frozen=True)
class Run:
    """One system's answers to the labelled photos."""

    name: str
    kind: RunKind
    answers: Answers
    km: Floats
    """(N, K) from each place to the true one; infinity where there is none."""
    left_out: int = 0
    """Inputs that have no row in the labels."""
    about: dict[str, Any] | None = None
    """What was searched, and how; None for predictions of others."""
    sha256: str | None = None
    """Of the file of vectors or predictions."""
    sets: tuple[CellSet, ...] | None = None
    """None where there are no distributions."""


@dataclass(frozen=True)
class PhotoCounts:
    """How many photos there were. The first is the denominator of all shares; it is the sum of the next three."""

    labelled: int
    answered: int
    missing: int
    """No photo, no vector or no row was there."""
    unreadable: int
    """It was there, but gave no place: a photo that cannot be decoded, coordinates out of range."""
    left_out: int
    """Inputs that have no row in the labels; in no denominator."""


@dataclass(frozen=True)
class Accuracy:
    """Photos whose answer is within a distance."""

    km: float
    share: Interval
    photos: int


@dataclass(frozen=True)
class RunReport:
    """The measures of one system."""

    name: str
    kind: RunKind
    sha256: str | None
    searched: dict[str, Any] | None
    counts: PhotoCounts
    accuracy: tuple[Accuracy, ...]
    median_km: Interval
    mean_km: Interval
    geoscore: Interval
    recall: tuple[Recall, ...]
    cell_sets: tuple[CellSet, ...] | None
    calibration: Reliability
    continents: tuple[Group, ...]
    countries: tuple[Group, ...]


@dataclass(frozen=True)
class Report:
    """A whole evaluation."""

    labels: str
    labels_sha256: str
    photos: int
    resamples: int
    overlap: Overlap | None
    """None where there was no gallery to compare with."""
    runs: tuple[RunReport, ...]
    comparisons: tuple[Comparison, ...]


def evaluated(
    labels: tuple[str, str],
    runs: Sequence[Run],
    where: Whereabouts,
    overlap: Overlap | None,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Report:
    """Measure systems and compare them.

    Args:
        labels: the labels' file and its sha256.
        runs: one or more, all in the order of the same labels, of different names.
        where: the countries of the true places.
        overlap: of the true places with the gallery.
        resamples: for intervals and paired tests; see `measures.resampled`.
        seed: of the resamples.
    """
    best = np.stack([run.km[:, 0] for run in runs])
    values, drawn = measured(best), resampled(best, resamples=resamples, seed=seed)
    reports = tuple(_run_report(run, intervals(values[row], drawn[:, row]), where) for row, run in enumerate(runs))
    comparisons = compared([run.name for run in runs], best, values, drawn)
    return Report(*labels, best.shape[1], len(drawn), overlap, reports, comparisons)


def _run_report(run: Run, found: tuple[Interval, ...], where: Whereabouts) -> RunReport:
    km = run.km[:, 0]
    answered, seen = run.answers.answered, run.answers.seen
    by_name = dict(zip(MEASURES, found, strict=True))
    return RunReport(
        name=run.name,
        kind=run.kind,
        sha256=run.sha256,
        searched=run.about,
        counts=PhotoCounts(
            len(km), int(answered.sum()), int((~seen & ~answered).sum()), int((seen & ~answered).sum()), run.left_out
        ),
        accuracy=tuple(
            Accuracy(reach, share, int((km <= reach).sum())) for reach, share in zip(THRESHOLDS_KM, found, strict=False)
        ),
        median_km=by_name["median_km"],
        mean_km=by_name["mean_km"],
        geoscore=by_name["geoscore"],
        recall=recall(run.km),
        cell_sets=run.sets,
        calibration=calibration(run.answers, km),
        continents=where.by_continent(km),
        countries=where.by_country(km),
    )


def write_json(report: Report, options: dict[str, Any], path: Path) -> None:
    """Write the report with the options of the command and the versions of what computed it, whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    content = {"schema": SCHEMA, "versions": versions(), "options": plain(options), **plain(report)}
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False, default=str) + "\n", encoding="utf-8")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that matter, where they are installed."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def plain(value: Any) -> Any:
    """Return values as JSON has them: named fields as objects, numbers that are not finite as null."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: plain(each) for name, each in value._asdict().items()}
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
