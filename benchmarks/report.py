"""Results as tables in Markdown on stdout, and figures; nothing here measures.

python -m benchmarks.report FILE.jsonl ... [--figures FOLDER]
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.results import ENOUGH, Line, best_settings, of, read, recall_1, short


def main() -> None:
    """Print the report, and draw its figures where a folder is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--figures", type=Path, metavar="FOLDER", help="draw there what the results allow")
    arguments = parser.parse_args()
    print(report(read(*arguments.files)))
    if arguments.figures is not None:
        from benchmarks.figures import draw

        for path in draw(read(*arguments.files), arguments.figures):
            print(f"![{path.stem}]({path.parent.name}/{path.name})")


def report(lines: list[Line]) -> str:
    """Return the tables: those that benchmarks have of their own, and one of all facts for each other benchmark."""
    own: dict[str, tuple[str, Callable[[list[Line]], Iterator[str]]]] = {
        "encode": ("Encoding", _encode),
        "build": ("Building", _build),
        "build growth": ("", _growth),
        "search": ("Searching: ours and explicit grids of the same cells", _search),
        "scale": ("Scale", _scale),
        "side by side": ("Side by side", _side_by_side),
    }
    parts = [_head(lines[0]["about"])]
    for benchmark in dict.fromkeys(line["benchmark"] for line in lines):
        title, rows = own.get(benchmark, (benchmark.capitalize(), _all_facts))
        parts += [f"### {title}\n"] if title else []
        parts += [*rows(of(lines, benchmark)), ""]
    return "\n".join(parts)


def _head(line: Line) -> str:
    machine = line["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in line["versions"].items())
    return (
        f"{machine.get('cpu', 'unknown CPU')}, {machine['cores']} cores ({', '.join(machine['flags'])}), "
        f"{machine['memory_gib']:g} GiB; {versions}; {line['date'][:10]}, commit {line['commit']}, "
        f"seed {line['seed']}; `{line['command']}`.\n"
    )


def _table(rows: list[dict[str, str]]) -> Iterator[str]:
    """Yield a table whose columns are those of the first row; columns of numbers are aligned right."""
    heads = list(rows[0])
    numbers = [all(not row[head] or row[head][0] in "-+.0123456789" for row in rows) for head in heads]
    yield f"| {' | '.join(heads)} |"
    yield f"|{'|'.join('--:' if right else '---' for right in numbers)}|"
    yield from (f"| {' | '.join(row[head] for head in heads)} |" for row in rows)


def _all_facts(lines: list[Line]) -> Iterator[str]:
    """Yield tables of all values, with the parameters that differ; what all lines share stands before them."""
    for name in dict.fromkeys(line.get("table") for line in lines):
        some = [line for line in lines if line.get("table") == name]
        keys = dict.fromkeys(key for line in some for key in line["about"]["parameters"])
        shared = [key for key in keys if all(line.get(key) == some[0].get(key) for line in some)]
        yield ", ".join(f"{key} {short(some[0][key])}" for key in shared) + "\n"
        shown = [key for key in keys if key not in shared]
        shown += dict.fromkeys(key for line in some for key, value in line["about"]["values"].items() if _fits(value))
        yield from _table([{key: _cell(line.get(key)) for key in shown} for line in some])
        yield ""


def _fits(value: Any) -> bool:
    return not isinstance(value, list | dict) or (isinstance(value, list) and len(value) <= 6)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return " / ".join(map(short, value))
    return "" if value is None else short(value)


def _encode(lines: list[Line]) -> Iterator[str]:
    sides = sorted({(line["side"], line["precision"]) for line in lines})
    own = [precision for side, precision in sides if side == "project"]
    rows = []
    for batch in sorted({line["batch"] for line in lines}):
        by = {(line["side"], line["precision"]): line for line in lines if line["batch"] == batch}
        row = {"points a call": f"{batch:,}"}
        row |= {f"{' '.join(side)}, points/s": f"{by[side]['points_per_second']:,.0f}" for side in sides}
        row |= {f"share, {each}": f"{by['project', each]['share_of_peak']:.0%}" for each in own}
        for each in own if ("released", "fp32") in by else ():
            gain = by["project", each]["points_per_second"] / by["released", "fp32"]["points_per_second"]
            row[f"{each} over released"] = f"{gain:.1f}x"
        rows.append(row)
    yield from _table(rows)
    yield "\n`products` are the encoder's matrix products alone; `share` is the project's rate over theirs."


def _build(lines: list[Line]) -> Iterator[str]:
    yield from _table(
        [
            {
                "resolution": str(line["resolution"]),
                "cells": f"{line['cells']:,}",
                "encodings": f"{line['encodings']:,}",
                "seconds": f"{line['seconds']:.1f}",
                "encoder's share": f"{line['encoder_share']:.0%}",
                "peak memory": f"{line['peak_mb'] / 1e3:.2f} GB",
                "index": f"{line['index_bytes'] / 1e6:.1f} MB",
            }
            for line in lines
        ]
    )
    last = lines[-1]
    yield f"\nBy stage, resolution {last['resolution']}:\n"
    peaks = last["stages_peak_mb"]
    yield from _table(
        [
            {"stage": stage, "seconds": f"{seconds:.1f}", "peak memory": f"{peaks[stage] / 1e3:.2f} GB"}
            for stage, seconds in last["stages_s"].items()
        ]
    )


def _growth(lines: list[Line]) -> Iterator[str]:
    for line in lines:
        yield (
            f"Seconds grow as encodings to the power {line['exponent']:.2f} over all four, "
            f"{line['last_step_exponent']:.2f} over the last step ({line['region']})."
        )


def _search(lines: list[Line]) -> Iterator[str]:
    first = lines[0]
    yield (
        f"{first['region']}, {first['cells']:,} cells of resolution {first['resolution']}, {first['queries']:,} "
        f"{'simulated ' if first['simulated'] else ''}{first['timed_with']} queries. The fastest setting of each with "
        f"recall@1 of {ENOUGH} or more:\n"
    )
    best = best_settings(lines)
    yield from _table([_searched(line) for line in sorted(best.values(), key=lambda line: -line["all_per_second"])])
    missing = sorted({line["system"] for line in lines} - set(best))
    if missing:
        yield f"\nNo setting reached it: {', '.join(missing)}."
    yield "\nAll settings:\n"
    yield from _table([_searched(line) for line in lines])


def _searched(line: Line) -> dict[str, str]:
    kind, one = line["timed_with"], recall_1(line)
    cold, warm = (1000 * (line[f"{state}_open_s"] + line[f"{state}_first_s"]) for state in ("cold", "warm"))
    return {
        "system": line["system"],
        "setting": line["setting"],
        "recall@1 / @10": "" if one is None else f"{one:.3f} / {line[f'{kind}_recall_10']:.3f}",
        "regret, mean km": "" if one is None else f"{line[f'{kind}_regret_mean_km']:.2f}",
        "one: p50, p99 ms": f"{line['one_p50_ms']:.1f}, {line['one_p99_ms']:.1f}",
        "64 a call: /s": f"{line['64_per_second']:,.0f}",
        "all: /s": f"{line['all_per_second']:,.0f}",
        "bytes a cell": f"{line['bytes_a_cell']:,.1f}",
        "built in": f"{line['build_s']:.0f} s" if "build_s" in line else "",
        "open and answer, cold, warm": f"{cold:,.0f}, {warm:,.0f} ms",
    }


def _scale(lines: list[Line]) -> Iterator[str]:
    yield from _table(
        [
            {
                "index": line["region"],
                "resolution": str(line["resolution"]),
                "addressable": f"{line['cells']:,}",
                "effort": line["effort"],
                "on disk": f"{line['index_bytes'] / 1e9:.3f} GB",
                "bytes a cell": f"{line['index_bytes'] / line['cells']:.3g}",
                "opened cold, warm": f"{1000 * line['cold_open_s']:,.0f}, {1000 * line['warm_open_s']:,.0f} ms",
                "memory added": f"{line['rss_added_gb']:.2f} GB",
                "p50, p99": f"{line['p50_ms']:.0f}, {line['p99_ms']:.0f} ms",
            }
            for line in lines
            if not line["computed"]
        ]
    )
    sizes = [f"{line['cells']:.0e}: {line['index_bytes'] / 1e9:,.1f} GB" for line in lines if line["computed"]]
    yield f"\nComputed, not measured: an explicit grid with 8-bit codes and ids takes {', '.join(sizes)}."


def _side_by_side(lines: list[Line]) -> Iterator[str]:
    released = {line["task"]: line["per_second"] for line in lines if line["side"] == "released"}
    rows = []
    for line in lines:
        median, least, most = (line[key] / line["amount"] for key in ("median_s", "least_s", "most_s"))
        other = released.get(counterpart(line["task"])) if line["side"] != "released" else None
        rows.append(
            {
                "side": line["side"],
                "task": line["task"],
                "a second": f"{line['per_second']:,.4g} {line['unit']}",
                "seconds for one": f"{median:.3g}",
                "least to most": f"{least:.3g} to {most:.3g}",
                "over released": "" if other is None else f"{line['per_second'] / other:.1f}x",
            }
        )
    yield from _table(rows)


def counterpart(task: str) -> str:
    """Return the released package's task that does the same; some other name where there is none."""
    if task.startswith(("predict", "locate", "batch")):
        return "predict"
    return {"lookup 1": "lookup"}.get(task, task.removesuffix(" fp32").removesuffix(" bf16"))


if __name__ == "__main__":
    main()
