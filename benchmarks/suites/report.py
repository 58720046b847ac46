"""Raw results as tables in Markdown and figures; nothing here measures."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.suites.figures import draw

Line = dict[str, Any]
ENOUGH = 0.99
"""Recall@1 at which systems are compared in one line each."""
SEARCH_HEAD = (
    "| system | setting | recall@1 / @10 | regret, mean km | one: p50, p99 ms | 64 a call: /s | all: /s | bytes a cell "
    "| built in | open and answer, cold, warm |",
    "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|",
)


def report(files: list[Path], figures: Path) -> str:
    """Return the report on results; figures are drawn into a folder."""
    lines = [json.loads(line) for path in files for line in path.read_text(encoding="utf-8").splitlines() if line]
    figures.mkdir(parents=True, exist_ok=True)
    drawn = draw(lines, figures)
    parts = [_head(lines[0])]
    for title, table in (
        ("Encoding", _encode),
        ("Building", _build),
        ("Searching: ours and explicit grids of the same cells", _search),
        ("Scale", _scale),
        ("From photo to answer", _end_to_end),
        ("GPU", _gpu),
    ):
        rows = list(table(lines))
        if rows:
            parts += [f"### {title}", "", *rows, ""]
    return "\n".join([*parts, *(f"![{path.stem}](figures/{path.name})" for path in drawn)])


def _head(line: Line) -> str:
    machine = line["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{machine.get('cpu', 'unknown CPU')}, {machine['cores']} cores ({', '.join(machine['flags'])}), "
        f"{machine['memory_gib']:g} GiB; Python {machine['python']}, {versions}; {line['date'][:10]}, commit "
        f"{machine['commit']}, seed {line['seed']}; `{line['command']}`.\n"
    )


def _of(lines: list[Line], suite: str) -> list[Line]:
    return [line for line in lines if line["suite"] == suite]


def _encode(lines: list[Line]) -> Iterator[str]:
    found = _of(lines, "encode")
    sides = sorted({(line["side"], line["precision"]) for line in found})
    if not found:
        return
    own = [precision for side, precision in sides if side == "project"]
    against = [each for each in own if ("released", "fp32") in sides]
    heads = [
        *(f"{side} {precision}, points/s" for side, precision in sides),
        *(f"share, {each}" for each in own),
        *(f"{each} over released" for each in against),
    ]
    yield f"| points a call | {' | '.join(heads)} |"
    yield "|--:|" + "--:|" * len(heads)
    for batch in sorted({line["batch"] for line in found}):
        by = {(line["side"], line["precision"]): line for line in found if line["batch"] == batch}
        rates = " | ".join(f"{by[side]['points_a_second']:,.0f}" if side in by else "" for side in sides)
        shares = [f"{by['project', each]['share_of_peak']:.0%}" for each in own]
        rate = {side: line["points_a_second"] for side, line in by.items()}
        gains = [f"{rate['project', each] / rate['released', 'fp32']:.1f}x" for each in against]
        yield f"| {batch:,} | {rates} | {' | '.join(shares + gains)} |"
    yield "\n`products` are the encoder's matrix products alone; `share` is the project's rate over theirs."


def _build(lines: list[Line]) -> Iterator[str]:
    found = _of(lines, "build")
    if not found:
        return
    yield "| resolution | cells | encodings | seconds | encoder's share | peak memory | index |"
    yield "|--:|--:|--:|--:|--:|--:|--:|"
    for line in found:
        yield (
            f"| {line['resolution']} | {line['cells']:,} | {line['encodings']:,} | {line['seconds']:.1f} | "
            f"{line['encoder_share']:.0%} | {line['peak_mb'] / 1e3:.2f} GB | {line['index_bytes'] / 1e6:.1f} MB |"
        )
    last = found[-1]
    if "stages_peak_mb" in last:
        yield f"\nBy stage, resolution {last['resolution']}:\n"
        yield "| stage | seconds | peak memory |"
        yield "|---|--:|--:|"
        for stage, seconds in last["stages_s"].items():
            yield f"| {stage} | {seconds:.1f} | {last['stages_peak_mb'][stage] / 1e3:.2f} GB |"
    for line in _of(lines, "build growth"):
        yield (
            f"\nSeconds grow as encodings to the power {line['exponent']:.2f} over all four, "
            f"{line['last_step_exponent']:.2f} over the last step ({line['region']})."
        )


def best_settings(lines: list[Line]) -> dict[str, Line]:
    """Return each system's fastest setting (in one call with all queries) that reaches the recall, if one does."""
    best: dict[str, Line] = {}
    for line in _of(lines, "search"):
        recall = recall_1(line)
        if recall is None or recall < ENOUGH:
            continue
        if line["system"] not in best or line["all_per_second"] > best[line["system"]]["all_per_second"]:
            best[line["system"]] = line
    return best


def recall_1(line: Line) -> float | None:
    """Return recall@1 of the queries that latencies were measured with."""
    return line.get(f"{line['timed_with']}_recall_1")


def _search(lines: list[Line]) -> Iterator[str]:
    found = _of(lines, "search")
    if not found:
        return
    first = found[0]
    kind = first["timed_with"]
    yield (
        f"{first['region']}, {first['cells']:,} cells of resolution {first['resolution']}, {first['queries']:,} "
        f"{'simulated ' if first['simulated'] else ''}{kind} queries. The fastest setting of each with recall@1 of "
        f"{ENOUGH} or more:\n"
    )
    yield from SEARCH_HEAD
    best = best_settings(lines)
    for line in sorted(best.values(), key=lambda line: -line["all_per_second"]):
        yield _search_row(line, kind)
    missing = sorted({line["system"] for line in found} - set(best))
    if missing:
        yield f"\nNo setting reached it: {', '.join(missing)}."
    yield "\nAll settings:\n"
    yield from SEARCH_HEAD
    for line in found:
        yield _search_row(line, kind)


def _search_row(line: Line, kind: str) -> str:
    setting = line["setting"]
    words = ", ".join(f"{k} {v}" for k, v in setting.items()) if isinstance(setting, dict) else setting
    quality = ""
    if recall_1(line) is not None:
        quality = f"{recall_1(line):.3f} / {line[f'{kind}_recall_10']:.3f} | {line[f'{kind}_regret_mean_km']:.2f}"
    built = f"{line['build_s']:.0f} s" if "build_s" in line else ""
    opened = ""
    if "cold_open_s" in line:
        cold, warm = (1000 * (line[f"{state}_open_s"] + line[f"{state}_first_s"]) for state in ("cold", "warm"))
        opened = f"{cold:,.0f}, {warm:,.0f} ms"
    return (
        f"| {line['system']} | {words} | {quality or '|'} | {line['one_p50_ms']:.1f}, {line['one_p99_ms']:.1f} | "
        f"{line['64_per_second']:,.0f} | {line['all_per_second']:,.0f} | {line['bytes_a_cell']:,.1f} | {built} | "
        f"{opened} |"
    )


def _scale(lines: list[Line]) -> Iterator[str]:
    found = [line for line in _of(lines, "scale") if not line["computed"]]
    if not found:
        return
    yield (
        "| index | resolution | addressable | effort | on disk | bytes a cell | opened cold, warm | memory added "
        "| p50, p99 |"
    )
    yield "|---|--:|--:|---|--:|--:|--:|--:|--:|"
    for line in found:
        yield (
            f"| {line['region']} | {line['resolution']} | {line['cells']:,} | {line['effort']} | "
            f"{line['index_bytes'] / 1e9:.3f} GB | {line['index_bytes'] / line['cells']:.3g} | "
            f"{1000 * line['cold_open_s']:,.0f}, {1000 * line['warm_open_s']:,.0f} ms | "
            f"{line['rss_added_gb']:.2f} GB | {line['p50_ms']:.0f}, {line['p99_ms']:.0f} ms |"
        )
    computed = [line for line in _of(lines, "scale") if line["computed"]]
    sizes = ", ".join(f"{line['cells']:.0e}: {line['index_bytes'] / 1e9:,.1f} GB" for line in computed)
    yield f"\nComputed, not measured: an explicit grid with 8-bit codes and ids takes {sizes}."


def _end_to_end(lines: list[Line]) -> Iterator[str]:
    found = _of(lines, "end to end")
    if not found:
        return
    released = next((line["seconds_a_photo"] for line in found if line["side"] == "released"), None)
    yield "| side | task | seconds a photo | least to most | released `predict` over it |"
    yield "|---|---|--:|--:|--:|"
    for line in found:
        low, high = (line[key] / line["photos"] for key in ("least_s", "most_s"))
        part = line["task"] in ("decode", "tower", "lookup, index")  # of a photo's way, not the whole of it
        ratio = "" if released is None or part else f"{released / line['seconds_a_photo']:.1f}x"
        yield f"| {line['side']} | {line['task']} | {line['seconds_a_photo']:.3f} | {low:.3f} to {high:.3f} | {ratio} |"


def _gpu(lines: list[Line]) -> Iterator[str]:
    for line in _of(lines, "gpu"):
        facts = ", ".join(f"{key} {value}" for key, value in line.items() if key in _GPU_FACTS)
        yield f"- {facts}"


_GPU_FACTS = ("task", "why", "side", "device", "precision", "batch", "engine", "effort", "points_a_second",
              "per_second", "p50_ms", "p99_ms", "seconds")  # fmt: skip
