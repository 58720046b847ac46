"""What an evaluation found, as values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from geoclip.evaluation.answer_table import AnswerTable
from geoclip.evaluation.by_country import Group, Whereabouts
from geoclip.evaluation.inputs import InputKind
from geoclip.evaluation.measures import (
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
from geoclip.evaluation.overlap import Overlap
from geoclip.evaluation.reliability import Reliability, calibration
from geoclip.evaluation.significance import Comparison, compared
from index.grid.sphere import Floats


@dataclass(frozen=True)
class Run:
    """One system's answers to the labelled photos."""

    name: str
    kind: InputKind
    answers: AnswerTable
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
    kind: InputKind
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
