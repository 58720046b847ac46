"""Print results of `released.sh` as Markdown:  python -m benchmarks.report benchmarks/results/FILE.jsonl ..."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

Line = dict[str, Any]


class Target(NamedTuple):
    """A ratio of two rates that the project set out to reach; each side and task is looked up in the results."""

    what: str
    of: tuple[str, str]
    over: tuple[str, str]
    at_least: float


TARGETS = (
    Target("`predict`, fp32 CLIP on both sides", ("project", "predict"), ("released", "predict"), 30),
    Target("lookup alone, vector to top 5", ("project", "lookup 1"), ("released", "lookup"), 1000),
    Target("encoding 10,000 points, bf16", ("project", "encode bf16"), ("released", "encode"), 8),
    Target("encoding 10,000 points, fp32", ("project", "encode fp32"), ("released", "encode"), 8),
    Target("encoding the gallery at once, bf16", ("project", "encode gallery bf16"), ("released", "encode gallery"), 8),
    Target("encoding the gallery at once, fp32", ("project", "encode gallery fp32"), ("released", "encode gallery"), 8),
    Target("encoding, share of plain bf16 products", ("project", "encode bf16"), ("project", "gemm layers bf16"), 0.7),
    Target("encoding, share of plain fp32 products", ("project", "encode fp32"), ("project", "gemm layers fp32"), 0.7),
)
SEARCH_MB = ("geoclip search, 1,000 vectors", 1500)
POINT_FLOP = 2.0 * 3 * (512 * 1024 + 2 * 1024 * 1024 + 1024 * 512)
"""Of the linear layers, to compare points with products."""


def main() -> None:
    """Print one report a file."""
    for name in sys.argv[1:]:
        lines = [json.loads(line) for line in Path(name).read_text(encoding="utf-8").splitlines() if line.strip()]
        print("\n".join(_report(lines)))


def _report(lines: list[Line]) -> Iterator[str]:
    machine, released = lines[0]["machine"], lines[0]["released"]
    flags = ", ".join(machine["flags"]) or "none of AVX2, AVX-512, AMX"
    yield (
        f"{machine.get('cpu', 'unknown CPU')}, {machine['cores']} cores ({flags}), {machine['memory_gib']:g} GiB; "
        f"{lines[0]['date'][:10]}, commit {machine['commit']}, seed {lines[0]['seed']}."
    )
    yield f"Project: Python {machine['python']}, {_versions(machine['versions'])}. Released: {_versions(released)}."
    times = [line for line in lines if line["kind"] == "time"]
    if times:
        yield from _times(times)
        yield from _ratios(times)
    memory = [line for line in lines if line["kind"] == "memory"]
    if memory:
        yield from _memory(memory)
    yield ""


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _times(times: list[Line]) -> Iterator[str]:
    yield from ("", "| side | task | median | min to max | runs | rate |", "|---|---|--:|--:|--:|--:|")
    for line in times:
        low, high = min(line["timings_s"]), max(line["timings_s"])
        yield (
            f"| {line['side']} | {line['task']} | {_seconds(line['median_s'])} | {_seconds(low)} to {_seconds(high)} "
            f"| {line['repeats']} | {_rate(line)} |"
        )


def _ratios(times: list[Line]) -> Iterator[str]:
    yield from ("", "| target | wanted | measured | met |", "|---|--:|--:|---|")
    for target in TARGETS:
        of, over = _find(times, target.of, target.over), _find(times, target.over, target.of)
        if of is None or over is None:
            yield f"| {target.what} | {_ratio(target.at_least)} | not measured (bf16: no units for it) | |"
            continue
        ratio = _comparable_rate(of) / _comparable_rate(over)
        met = "yes" if ratio >= target.at_least else "no"
        yield f"| {target.what} | {_ratio(target.at_least)} | {_ratio(ratio)} | {met} |"


def _memory(memory: list[Line]) -> Iterator[str]:
    yield from ("", "| side | process | largest resident memory, MB |", "|---|---|--:|")
    for line in memory:
        name, limit = SEARCH_MB
        note = ""
        if line["side"] == "project" and line["task"] == name:
            note = f" (at most {limit:,} wanted: {'met' if line['median_mb'] <= limit else 'not met'})"
        yield f"| {line['side']} | {line['task']}{note} | {line['median_mb']:,.0f} |"


def _find(times: list[Line], wanted: tuple[str, str], beside: tuple[str, str]) -> Line | None:
    """Return the line of a side and task, of the group in which it was timed in turns with the other."""
    found = [line for line in times if (line["side"], line["task"]) == wanted]
    return next((line for line in found if " ".join(beside) in line["against"]), None)


def _comparable_rate(line: Line) -> float:
    rate: float = line["amount"] / line["median_s"]
    return rate / POINT_FLOP if line["unit"] == "flop" else rate


def _ratio(value: float) -> str:
    return f"{value:,.0f}x" if value >= 100 else f"{value:.1f}x" if value >= 1 else f"{value:.0%}"


def _rate(line: Line) -> str:
    rate = line["amount"] / line["median_s"]
    if line["unit"] == "flop":
        return f"{rate / 1e9:,.0f} GFLOP/s"
    return f"{rate:,.0f} {line['unit']}/s" if rate >= 10 else f"{rate:,.2f} {line['unit']}/s"


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{value * 1e3:.1f} ms"


if __name__ == "__main__":
    main()
