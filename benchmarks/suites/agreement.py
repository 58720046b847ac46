"""How far two runs of the same benchmark differ: in what their ratios say, not in seconds of a shared machine."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

Line = dict[str, Any]
RATES = {
    "encode": (("side", "precision", "batch"), "points_a_second"),
    "search": (("system", "setting"), "all_per_second"),
    "end to end": (("side", "task"), "seconds_a_photo"),
}
"""By suite: what names a line, and the number that is compared."""
SAME = 0.10


def agreement(first: Path, second: Path) -> str:
    """Return a table: per suite, the rank correlation of two runs and how far ratios to the median line differ."""
    lines = [_read(path) for path in (first, second)]
    rows = ["| suite | lines | rank correlation | ratios differ by (median, 90th percentile) | within 10 % |"]
    rows.append("|---|--:|--:|--:|--:|")
    for suite, (keys, value) in RATES.items():
        runs = [_values(each, suite, keys, value) for each in lines]
        names = sorted(set(runs[0]) & set(runs[1]))
        if len(names) < 3:
            continue
        a, b = (np.array([run[name] for name in names]) for run in runs)
        differ = np.abs(np.log(a / np.median(a)) - np.log(b / np.median(b)))
        rank = float(spearmanr(a, b).statistic)
        median, p90 = (100 * np.expm1(np.percentile(differ, p)) for p in (50, 90))
        share = 100 * float((differ <= np.log1p(SAME)).mean())
        rows.append(f"| {suite} | {len(names)} | {rank:.3f} | {median:.1f} %, {p90:.1f} % | {share:.0f} % |")
    return "\n".join(rows)


def _read(path: Path) -> list[Line]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _values(lines: list[Line], suite: str, keys: tuple[str, ...], value: str) -> dict[str, float]:
    chosen = [line for line in lines if line["suite"] == suite and value in line]
    return {" ".join(str(line[key]) for key in keys): float(line[value]) for line in chosen}
