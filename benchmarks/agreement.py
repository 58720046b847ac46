"""How far two runs of the same benchmark differ: in what their ratios say, not in seconds of a shared machine.

python -m benchmarks.agreement A.jsonl B.jsonl
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from benchmarks.report import counterpart
from benchmarks.results import Line, best_settings, of, read

RATES = {
    "encode": (("side", "precision", "batch"), "points_per_second"),
    "search": (("system", "setting"), "all_per_second"),
    "side by side": (("side", "task"), "per_second"),
}
"""By benchmark: what names a line, and the number that is compared."""
SAME = 0.10
OURS = "geoclip-planet default"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs=2, type=Path)
    print(agreement(*(read(path) for path in parser.parse_args().files)))


def agreement(first: list[Line], second: list[Line]) -> str:
    """Return two tables: how far all rates agree, and the ratios that conclusions rest on, run beside run."""
    return "\n".join([*_rates(first, second), "", *_ratios(first, second)])


def _rates(first: list[Line], second: list[Line]) -> Iterator[str]:
    yield "| benchmark | lines | rank correlation | ratios differ by (median, 90th percentile) | within 10 % |"
    yield "|---|--:|--:|--:|--:|"
    for benchmark, (keys, value) in RATES.items():
        runs = [_values(lines, benchmark, keys, value) for lines in (first, second)]
        names = sorted(set(runs[0]) & set(runs[1]))
        if len(names) < 3:
            continue
        a, b = (np.array([run[name] for name in names]) for run in runs)
        differ = np.abs(np.log(a / np.median(a)) - np.log(b / np.median(b)))
        rank = float(spearmanr(a, b).statistic)
        median, p90 = (100 * np.expm1(np.percentile(differ, p)) for p in (50, 90))
        share = 100 * float((differ <= np.log1p(SAME)).mean())
        yield f"| {benchmark} | {len(names)} | {rank:.3f} | {median:.1f} %, {p90:.1f} % | {share:.0f} % |"


def _ratios(first: list[Line], second: list[Line]) -> Iterator[str]:
    a, b = (dict(_conclusions(lines, best_settings(first))) for lines in (first, second))
    yield "| ratio | first | second | differ by |"
    yield "|---|--:|--:|--:|"
    for name in (name for name in a if name in b):
        yield f"| {name} | {a[name]:.3g} | {b[name]:.3g} | {100 * abs(b[name] / a[name] - 1):.0f} % |"


def _conclusions(lines: list[Line], best: dict[str, Line]) -> Iterator[tuple[str, float]]:
    """Yield what the report concludes, by name: encoding and photos against the released, systems against ours."""
    encode = _values(lines, "encode", *RATES["encode"])
    for name, rate in encode.items():
        side, precision, batch = name.split()
        if side == "project" and f"released fp32 {batch}" in encode:
            yield f"encoding, {precision}, {batch} a call: over released", rate / encode[f"released fp32 {batch}"]
    tasks = _values(lines, "side by side", *RATES["side by side"])
    for name, rate in tasks.items():
        side, _, task = name.partition(" ")
        if side != "released" and f"released {counterpart(task)}" in tasks:
            yield f"{name}: over released", rate / tasks[f"released {counterpart(task)}"]
    for per in ("one_per_second", "all_per_second"):
        searched = _values(lines, "search", RATES["search"][0], per)
        for line in best.values():
            name = f"{line['system']} {line['setting']}".strip()
            if OURS in searched and name in searched and name != OURS:
                yield f"search, {name}, {per.replace('_', ' ')}: over ours", searched[name] / searched[OURS]


def _values(lines: list[Line], benchmark: str, keys: tuple[str, ...], value: str) -> dict[str, float]:
    chosen = [line for line in of(lines, benchmark) if value in line]
    return {" ".join(str(line[key]) for key in keys).strip(): float(line[value]) for line in chosen}


if __name__ == "__main__":
    main()
