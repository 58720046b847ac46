"""An evaluation as tables for people at a terminal; systems that do not fit side by side follow each other."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import PurePath
from typing import NamedTuple, TextIO

from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from geoclip.answers.answer import NEARBY_KM
from geoclip.evaluation.by_country import Group
from geoclip.evaluation.measures import MASSES, THRESHOLDS_KM, Interval
from geoclip.evaluation.reliability import LEAST_CLAIMS
from geoclip.evaluation.report import Report, RunReport
from geoclip.evaluation.significance import Comparison
from geoclip.writers.wording import one_line

COUNTRIES = 10
"""Countries listed, at most: those with most photos. All are in the JSON report."""
_RECALL_KM = (25.0, 200.0)
_NONE = "-"
_LEAST_WIDTH = 80  # in a narrower terminal lines wrap: rich would cut figures
_TITLE_WIDTH = 20  # longer names of systems fold
_GAP = 2  # between columns


class _Column(NamedTuple):
    title: str
    cells: list[str]

    @property
    def width(self) -> int:
        return max(*map(cell_len, self.cells), min(cell_len(self.title), _TITLE_WIDTH))


def print_report(report: Report, stream: TextIO) -> None:
    """Print the measures, systems side by side, and what there is of comparisons, searched areas and places."""
    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    with console.capture() as captured:
        _print(report, console)
    stream.write(captured.get())  # rich itself would exit with 1 where the reader has seen enough
    stream.flush()


def _print(report: Report, console: Console) -> None:
    titles = _titles([run.name for run in report.runs])
    console.width = max(console.width, _LEAST_WIDTH)
    _tables(console, *_folded(*_measures(report.runs, titles), console.width))
    fixed, systems = _searched(report.runs, titles)
    if fixed[0].cells:
        _section(console, "Searched area", *_folded(fixed, systems, console.width))
    for run, title in zip(report.runs, titles, strict=True):
        of = f", % of photos ({title})" if len(titles) > 1 else ", % of photos"
        _section(console, f"By continent{of}", _groups(run.continents))
        more = len(run.countries) - COUNTRIES
        _section(console, f"By country{of}", _groups(run.countries[:COUNTRIES]))
        if more > 0:
            console.print(Text(f"and {more} more countries, with fewer photos", style="dim"))
    by_name = dict(zip((run.name for run in report.runs), titles, strict=True))
    for (first, second), found in groupby(report.comparisons, key=lambda each: each[:2]):
        _section(console, f"{by_name[second]} (second) less {by_name[first]} (first)", _comparisons(found))
    console.print()
    for note in notes(report):
        console.print(Text(one_line(note), style="dim"))


def notes(report: Report) -> Iterator[str]:
    """Yield what must be known to read the figures, in sentences."""
    for run in report.runs:
        counts = run.counts
        lost = counts.labelled - counts.answered
        if lost:
            yield (
                f"{run.name}: {counts.missing} of {counts.labelled} photos are missing and {counts.unreadable} "
                "unreadable; all shares count them as misses, the median as infinitely far, the mean leaves them out."
            )
        if counts.left_out:
            yield f"{run.name}: inputs that have no row in the labels and are left out: {counts.left_out}."
        if run.searched:
            crops = f", crops {run.searched['crops']}" if "crops" in run.searched else ""
            yield f"{run.name}: candidates {run.searched['candidates']}{crops}."
    yield from _of_calibration(report)
    yield f"In brackets: 95 % intervals of {report.resamples:,} bootstrap resamples of the photos."
    if report.comparisons:
        yield (
            f"p: McNemar's exact test for accuracies, paired bootstrap for the others; Holm: corrected for all "
            f"{len(report.comparisons)} tests."
        )
    if report.overlap is None:
        yield "Overlap with a gallery was not checked; name the gallery with --gallery."
    else:
        yield (
            f"{report.overlap.within_1_m} of {report.photos} true places are within 1 m and "
            f"{report.overlap.within_100_m} within 100 m of a place of the gallery {report.overlap.gallery} "
            f"({report.overlap.places:,} places)."
        )


def _of_calibration(report: Report) -> Iterator[str]:
    claims = {run.name: sum(each.claims for each in run.calibration.bins) for run in report.runs}
    if any(run.calibration.error is not None for run in report.runs):
        yield (
            f"Calibration error: how far the probability that answers claim to be within {NEARBY_KM:g} km differs from "
            "the share of them that are, on average."
        )
    for name, few in claims.items():
        if 0 < few < LEAST_CLAIMS:
            yield f"{name}: a calibration error needs {LEAST_CLAIMS} answers with a probability; here are {few}."


def _titles(names: Sequence[str]) -> list[str]:
    """Return short names of the systems, the paths' last parts where these differ."""
    short = [PurePath(name).name or name for name in names]
    return [one_line(name) for name in (short if len(set(short)) == len(short) else names)]


def _measures(runs: Sequence[RunReport], titles: list[str]) -> tuple[list[_Column], list[_Column]]:
    """Return the column of the rows' titles, and one a system."""
    rows: list[tuple[str, list[str]]] = []
    for name in ("labelled", "answered", "missing", "unreadable"):
        title = "photos" if name == "labelled" else name
        rows.append((title, [f"{getattr(run.counts, name):,}" for run in runs]))
    for row, reach in enumerate(THRESHOLDS_KM):
        rows.append((f"within {reach:g} km", [_share(run.accuracy[row].share) for run in runs]))
    rows.append(("median error", [_between(run.median_km, _km, " km") for run in runs]))
    rows.append(("mean error of answered", [_between(run.mean_km, _km, " km") for run in runs]))
    rows.append(("GeoScore", [_between(run.geoscore, lambda value: f"{value:,.0f}") for run in runs]))
    for name, title in (
        ("coverage_50", "inside the 50 % circle"),
        ("coverage_90", "inside the 90 % circle"),
        ("error", "calibration error"),
    ):
        values = [getattr(run.calibration, name) for run in runs]
        if any(value is not None for value in values):
            rows.append((title, [_NONE if value is None else f"{100 * value:.1f} %" for value in values]))
    return [_Column("", [title for title, _ in rows])], _by_system(titles, [cells for _, cells in rows])


def _searched(runs: Sequence[RunReport], titles: list[str]) -> tuple[list[_Column], list[_Column]]:
    """Return the columns of the rows' titles and of the areas, and one a system; without rows if all know one place."""
    rows: list[tuple[str, str, list[str]]] = []
    found = [{(each.km, each.k): each for each in run.recall if each.km in _RECALL_KM} for run in runs]
    keys = sorted({key for of_run in found for key in of_run})
    for reach, k in keys if any(k > 1 for _, k in keys) else ():
        shares = [f"{100 * of_run[reach, k].share:.1f} %" if (reach, k) in of_run else _NONE for of_run in found]
        area = next(of_run[reach, k].area_km2 for of_run in found if (reach, k) in of_run)
        rows.append((f"within {reach:g} km of the first {k}", f"{area:,.0f}", shares))
    for row, mass in enumerate(MASSES):
        sets = [run.cell_sets[row] if run.cell_sets else None for run in runs]
        cells = [
            _NONE if each is None else f"{100 * each.inside:.1f} % in {each.median_area_km2:,.0f}" for each in sets
        ]
        if any(sets):
            rows.append((f"in the cells with {100 * mass:g} %", "median", cells))
    fixed = [_Column("", [title for title, _, _ in rows]), _Column("area, km2", [area for _, area, _ in rows])]
    return fixed, _by_system(titles, [cells for _, _, cells in rows])


def _by_system(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[_Column]:
    return [_Column(title, [cells[at] for cells in rows]) for at, title in enumerate(titles)]


def _folded(fixed: Sequence[_Column], systems: Sequence[_Column], width: int) -> Iterator[Table]:
    """Yield tables no wider than `width`: each has the fixed columns and as many systems as it holds, one at least."""
    room = width - sum(column.width + _GAP for column in fixed) + _GAP
    for part in _parts([column.width + _GAP for column in systems], room):
        columns = (*fixed, *systems[part])
        table = Table(box=None, pad_edge=False, header_style="dim")
        for column in columns:
            justify: JustifyMethod = "left" if column is fixed[0] else "right"
            wide = column.width
            table.add_column(column.title, justify=justify, overflow="fold", min_width=wide, max_width=wide)
        for row in zip(*(column.cells for column in columns), strict=True):
            table.add_row(*row)
        yield table


def _parts(widths: Sequence[int], room: int) -> Iterator[slice]:
    """Yield runs of columns whose widths are at most `room` together; a wider column is alone."""
    start, left = 0, room
    for at, width in enumerate(widths):
        if at > start and width > left:
            yield slice(start, at)
            start, left = at, room
        left -= width
    yield slice(start, len(widths))


def _groups(groups: Sequence[Group]) -> Table:
    table = _new("", "photos", *(f"{reach:g} km" for reach in THRESHOLDS_KM), "median")
    for group in groups:
        shares = (f"{100 * share:.1f}" for share in group.accuracy)
        table.add_row(one_line(group.name), f"{group.photos:,}", *shares, f"{_km(group.median_km)} km")
    return table


def _comparisons(found: Iterable[Comparison]) -> Table:
    table = _new("", "difference", "only\nfirst", "only\nsecond", "p", "Holm")
    for each in found:
        share = each.first_only is not None
        value, low, high = (_difference(number, share) for number in (each.difference, each.low, each.high))
        only = ("" if count is None else f"{count:,}" for count in (each.first_only, each.second_only))
        title = _MEASURES.get(each.measure) or each.measure.replace("accuracy_", "within ").replace("_", " ")
        unit = " %" if share else ""
        table.add_row(title, f"{value}{unit} [{low}, {high}]", *only, _p(each.p), _p(each.p_holm))
    return table


_MEASURES = {"median_km": "median error, km", "geoscore": "GeoScore"}


def _new(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _section(console: Console, title: str, *tables: Table) -> None:
    console.print()
    console.print(Text(title, style="bold"))
    _tables(console, *tables)


def _tables(console: Console, first: Table, *others: Table) -> None:
    console.print(first)
    for table in others:
        console.print()
        console.print(table)


def _share(found: Interval) -> str:
    return f"{100 * found.value:.1f} % [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def _between(found: Interval, shown: Callable[[float], str], unit: str = "") -> str:
    return f"{shown(found.value)}{unit} [{shown(found.low)}, {shown(found.high)}]"


def _km(value: float) -> str:
    """Return kilometres to three digits, whole ones from 100."""
    if not math.isfinite(value):
        return "unknown" if math.isnan(value) else "infinite"
    return f"{value:,.0f}" if value >= 99.95 else f"{value:#.3g}"


def _difference(value: float, share: bool) -> str:
    """Return a difference of shares in percent, of others to a tenth, whole ones from 100."""
    if share:
        return f"{100 * value:+.1f}"
    return f"{value:+,.0f}" if abs(value) >= 100 else f"{value:+.1f}"


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"
