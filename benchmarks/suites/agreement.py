"""How far two runs of the same benchmark differ: in what their ratios say, not in seconds of a shared machine."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from benchmarks.suites.report import best_settings

Line = dict[str, Any]
RATES = {
    "encode": (("side", "precision", "batch"), "points_a_second"),
    "search": (("system", "setting"), "all_per_second"),
    "end to end": (("side", "task"), "seconds_a_photo"),
}
"""By suite: what names a line, and the number that is compared."""
SAME = 0.10
OURS = ("geoclip-planet", "default")


def agreement(first: Path, second: Path) -> str:
    """Return two tables: how far all rates agree, and the ratios that conclusions rest on, run beside run."""
    runs = [_read(path) for path in (first, second)]
    return "\n".join([*_rates(*runs), "", *_ratios(*runs)])


def _rates(first: list[Line], second: list[Line]) -> Iterator[str]:
    yield "| suite | lines | rank correlation | ratios differ by (median, 90th percentile) | within 10 % |"
    yield "|---|--:|--:|--:|--:|"
    for suite, (keys, value) in RATES.items():
        runs = [_values(lines, suite, keys, value) for lines in (first, second)]
        names = sorted(set(runs[0]) & set(runs[1]))
        if len(names) < 3:
            continue
        a, b = (np.array([run[name] for name in names]) for run in runs)
        differ = np.abs(np.log(a / np.median(a)) - np.log(b / np.median(b)))
        rank = float(spearmanr(a, b).statistic)
        median, p90 = (100 * np.expm1(np.percentile(differ, p)) for p in (50, 90))
        share = 100 * float((differ <= np.log1p(SAME)).mean())
        yield f"| {suite} | {len(names)} | {rank:.3f} | {median:.1f} %, {p90:.1f} % | {share:.0f} % |"


def _ratios(first: list[Line], second: list[Line]) -> Iterator[str]:
    a, b = (dict(_conclusions(lines, best_settings(first))) for lines in (first, second))
    yield "| ratio | first | second | differ by |"
    yield "|---|--:|--:|--:|"
    for name in (name for name in a if name in b):
        yield f"| {name} | {a[name]:.3g} | {b[name]:.3g} | {100 * abs(b[name] / a[name] - 1):.0f} % |"


def _conclusions(lines: list[Line], best: dict[str, Line]) -> Iterator[tuple[str, float]]:
    """Yield what the report concludes, by name: our encoder and photos against the released, systems against ours."""
    encode = _values(lines, "encode", ("side", "precision", "batch"), "points_a_second")
    for name, rate in encode.items():
        side, precision, batch = name.split()
        if side == "project" and f"released fp32 {batch}" in encode:
            yield f"encoding, {precision}, {batch} a call: over released", rate / encode[f"released fp32 {batch}"]
    photos = _values(lines, "end to end", ("side", "task"), "seconds_a_photo")
    for side in ("released", "fastgeoclip"):
        if f"{side} predict" in photos and "project predict" in photos:
            yield f"a photo: {side} over this project", photos[f"{side} predict"] / photos["project predict"]
    for per in ("one_per_second", "all_per_second"):
        searched = _values(lines, "search", ("system", "setting"), per)
        ours = searched.get(" ".join(OURS))
        for line in best.values():
            name = f"{line['system']} {line['setting']}"
            if ours and name in searched and line["system"] != OURS[0]:
                yield f"search, {name}, {per.replace('_', ' ')}: over ours", searched[name] / ours


def _read(path: Path) -> list[Line]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _values(lines: list[Line], suite: str, keys: tuple[str, ...], value: str) -> dict[str, float]:
    chosen = [line for line in lines if line["suite"] == suite and value in line]
    return {" ".join(str(line[key]) for key in keys): float(line[value]) for line in chosen}
