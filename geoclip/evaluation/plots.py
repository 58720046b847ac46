"""Figures of an evaluation, readable in black and white and by colour-blind people: lines differ in dash and marker.

Nothing is written over the lines: names stand below, and how many claims a mark stands for is a panel of its own.
"""

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure

from geoclip.answers.answer import NEARBY_KM
from geoclip.evaluation.measures import THRESHOLDS_KM
from geoclip.evaluation.reliability import Reliability
from geoclip.evaluation.report import Report, Run
from geoclip.files import written_whole
from geoclip.writers.wording import one_line

ACCURACY, CALIBRATION = "accuracy.png", "calibration.png"
DPI = 150
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe and Ito 2008
_DASHES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_NEAREST_KM, _FURTHEST_KM = 0.05, 20_015.0
_TITLE_WIDTH = 60
_NAMES = ("street", "city", "region", "country", "continent")


def write_plots(report: Report, runs: Sequence[Run], folder: Path) -> list[Path]:
    """Write `ACCURACY` and, where answers claim probabilities, `CALIBRATION` into a folder; return the files.

    Raises:
        InputError: they cannot be written.
    """
    drawings: list[tuple[str, Callable[[Figure], None]]] = [(ACCURACY, lambda figure: _accuracy(figure, runs))]
    claims = [(run.name, run.calibration) for run in report.runs if run.calibration.bins]
    if claims:
        drawings.append((CALIBRATION, lambda figure: _calibration(figure, claims)))
    for name, draw in drawings:
        with style.context("default"):
            figure = Figure(figsize=(7.5, 5.0 + 0.3 * len(runs)), dpi=DPI, layout="constrained")
            draw(figure)
            figure.legend(loc="outside lower left", fontsize=8, frameon=False)
            with written_whole(folder / name) as temporary:
                figure.savefig(temporary, format="png", dpi=DPI)
    return [folder / name for name, _ in drawings]


def _accuracy(figure: Figure, runs: Sequence[Run]) -> None:
    """Draw the share of all photos within a distance; the marks are at the five thresholds."""
    axes = figure.add_subplot()
    for at, run in enumerate(runs):
        km = run.km[:, 0]
        reach = np.union1d(np.geomspace(_NEAREST_KM, _FURTHEST_KM, 600), THRESHOLDS_KM)
        share = np.searchsorted(np.sort(km), reach, side="right") / len(km)
        marks = np.searchsorted(reach, THRESHOLDS_KM).tolist()
        axes.plot(reach, 100 * share, label=_title(run.name), markevery=marks, **_line(at))
    for threshold, name in zip(THRESHOLDS_KM, _NAMES, strict=True):
        axes.axvline(threshold, color="0.6", linewidth=0.8, zorder=0)
        axes.text(threshold, 101, f"{name}\n{threshold:g} km", ha="center", va="bottom", fontsize=8)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.set(xlim=(_NEAREST_KM, _FURTHEST_KM), ylim=(0, 100), xlabel="distance from the true place, km")
    axes.set_ylabel("photos within that distance, %")
    axes.grid(axis="y", color="0.9")


def _calibration(figure: Figure, claims: Sequence[tuple[str, Reliability]]) -> None:
    """Draw what came true of what was claimed, and below how many claims each mark stands for."""
    true, many = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    true.plot([0, 100], [0, 100], color="0.6", linewidth=0.8, label="as claimed")
    for at, (name, found) in enumerate(claims):
        x = [100 * each.claimed for each in found.bins]
        error = f"expected calibration error {100 * (found.error or 0.0):.1f} %"
        label = f"{_title(name)}, {error}"
        true.plot(x, [100 * each.true for each in found.bins], label=label, clip_on=False, **_line(at))
        many.plot(x, [each.claims for each in found.bins], clip_on=False, **_line(at))
    true.set(xlim=(0, 100), ylim=(0, 100), ylabel="share that came true, %")
    many.set(ylim=(0, None), xlabel=f"claimed probability within {NEARBY_KM:g} km, %", ylabel="answers")
    many.yaxis.set_major_formatter("{x:,.0f}")
    many.yaxis.get_major_locator().set_params(integer=True)
    for axes in (true, many):
        axes.grid(color="0.9")
    figure.align_ylabels()


def _line(at: int) -> dict[str, Any]:
    return {
        "color": _COLOURS[at % len(_COLOURS)],
        "linestyle": _DASHES[at % len(_DASHES)],
        "marker": _MARKERS[at % len(_MARKERS)],
        "linewidth": 1.6,
        "markeredgecolor": "black",  # the lighter colours alone are faint on white
    }


def _title(name: str) -> str:
    """Return a name in lines that fit below a figure."""
    return textwrap.fill(one_line(PurePath(name).name or name), _TITLE_WIDTH).replace("$", r"\$")
