"""The report's figures: readable in black and white and by colour-blind people (Okabe-Ito colours, markers, dashes)."""

from pathlib import Path
from typing import Any

import matplotlib as mpl

from benchmarks.results import Line, best_settings, of

mpl.use("Agg")
import matplotlib.pyplot as plt

COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00",
           "#CC79A7", "#7f7f7f", "#a6761d", "#4d4d4d", "#b2df8a", "#6a3d9a")  # fmt: skip
MARKERS = "os^Dv<>PX*hp"
DASHES = ("-", "--", ":", "-.")


def draw(lines: list[Line], folder: Path) -> list[Path]:
    """Draw what the lines allow; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    search = [line for line in of(lines, "search") if f"{line['timed_with']}_recall_1" in line]
    curve = [line for line in of(lines, "recall") if line["table"] in ("curve", "effort")]
    drawn = []
    for name, data, figure in (
        ("pareto", search, _pareto),
        ("bytes", search, _bytes),
        ("latency", search, _latency),
        ("scaling", of(lines, "scale"), _scaling),
        ("roofline", of(lines, "encode"), _roofline),
        ("recall", curve, _recall),
    ):
        if data:
            drawn.append(folder / f"{name}.png")
            figure(data).savefig(drawn[-1], dpi=150)
            plt.close("all")
    return drawn


def _styles(lines: list[Line]) -> dict[str, dict[str, Any]]:
    names = list(dict.fromkeys(line["system"] for line in lines))
    return {
        name: {
            "color": COLOURS[n % 12],
            "marker": MARKERS[n % 12],
            "linestyle": DASHES[n % 4],
            "markersize": 4,
            "lw": 1,
        }
        | ({"lw": 2, "markersize": 7} if name == "geoclip-planet" else {})
        for n, name in enumerate(names)
    }


def _front(rates: list[float], recalls: list[float]) -> tuple[list[float], list[float]]:
    """Return the points, by rate, that no other point of the system beats in both."""
    best = [n for n in range(len(rates)) if recalls[n] > max(recalls[n + 1 :], default=-1.0)]
    return [rates[n] for n in best], [recalls[n] for n in best]


def _points(lines: list[Line], system: str, rate: str) -> tuple[list[float], list[float]]:
    points = sorted((line[rate], line[f"{line['timed_with']}_recall_1"]) for line in lines if line["system"] == system)
    return [x for x, _ in points], [y for _, y in points]


def _pareto(lines: list[Line]) -> Any:
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.4), sharey=True, layout="constrained")
    for ax, rate, title in zip(
        axes, ("one_per_second", "all_per_second"), ("one a call", "all in one call"), strict=True
    ):
        for system, style in _styles(lines).items():
            ax.plot(*_points(lines, system, rate), **(style | {"linestyle": "none", "alpha": 0.5}))
            ax.plot(*_front(*_points(lines, system, rate)), label=system, **style)
        ax.set(xscale="log", xlabel="queries a second", title=title)
        ax.grid(alpha=0.3)
    first = lines[0]
    axes[0].set_ylabel(f"recall@1, {first['timed_with']}{' (simulated)' if first['simulated'] else ''}")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=7)
    figure.suptitle(f"{first['region']}: {first['cells']:,} cells of resolution {first['resolution']}", fontsize=10)
    return figure


def _bytes(lines: list[Line]) -> Any:
    figure, ax = plt.subplots(figsize=(6.5, 4.4), layout="constrained")
    for system, style in _styles(lines).items():
        own = [line for line in lines if line["system"] == system]
        regret = [max(0.01, line[f"{line['timed_with']}_regret_mean_km"]) for line in own]
        ax.plot([line["bytes_a_cell"] for line in own], regret, label=system, **(style | {"linestyle": "none"}))
    ax.set(xscale="log", yscale="log", xlabel="bytes a cell of the finest resolution")
    ax.set_ylabel("mean regret, km (0.01 and below: 0.01)")
    ax.grid(alpha=0.3)
    ax.legend(fontsize=6)
    return figure


def _latency(lines: list[Line]) -> Any:
    best = list(best_settings(lines).values())
    figure, ax = plt.subplots(figsize=(7.5, 0.4 * len(best) + 1.2), layout="constrained")
    names = []
    for row, line in enumerate(sorted(best, key=lambda line: -line["one_p50_ms"])):
        p50, p95, p99 = (line[f"one_{p}_ms"] for p in ("p50", "p95", "p99"))
        ax.plot([p50, p99], [row, row], color="black", lw=1)
        ax.plot(p50, row, "o", color="black")
        ax.plot(p95, row, "|", color="black", markersize=12)
        ax.plot(p99, row, "x", color="black")
        names.append(f"{line['system']} {line['setting']}")
    ax.set(xscale="log", xlabel="milliseconds of a call with one query: p50 (o), p95 (|), p99 (x)")
    ax.set_yticks(range(len(names)), names, fontsize=8)
    ax.set_ylim(-0.5, len(best) - 0.5)
    ax.grid(alpha=0.3, axis="x")
    return figure


def _scaling(lines: list[Line]) -> Any:
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained")
    ours = [line for line in lines if not line["computed"] and line["effort"] == "default"]
    for n, region in enumerate(dict.fromkeys(line["region"] for line in ours)):
        own = [line for line in ours if line["region"] == region]
        style = {"color": COLOURS[n], "marker": MARKERS[n], "label": f"geoclip-planet, {region}"}
        cells = [line["cells"] for line in own]
        axes[0].plot(cells, [line["index_bytes"] / 1e9 for line in own], **style)
        axes[1].plot(cells, [line["p50_ms"] for line in own], **style)
        axes[1].plot(cells, [line["p99_ms"] for line in own], linestyle=":", color=COLOURS[n])
    computed = [line for line in lines if line["computed"]]
    sizes = [line["index_bytes"] / 1e9 for line in computed]
    axes[0].plot([line["cells"] for line in computed], sizes, "--", color="grey", label="explicit, 8-bit (computed)")
    axes[0].set(xscale="log", yscale="log", xlabel="addressable cells", ylabel="index, GB")
    axes[1].set(xscale="log", xlabel="addressable cells", ylabel="ms a lookup, effort default: p50; p99 dotted")
    axes[1].set_ylim(bottom=0)
    axes[0].legend(fontsize=7)
    for ax in axes:
        ax.grid(alpha=0.3)
    return figure


def _roofline(lines: list[Line]) -> Any:
    figure, ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
    for n, key in enumerate(sorted({(line["side"], line["precision"]) for line in lines})):
        own = sorted(
            (line["batch"], line["points_per_second"]) for line in lines if (line["side"], line["precision"]) == key
        )
        label = "matrix products alone" if key[0] == "products" else f"encoder, {key[0]}"
        ax.plot(
            *zip(*own, strict=True),
            marker=MARKERS[n],
            linestyle=DASHES[n % 4],
            color=COLOURS[n],
            label=f"{label}, {key[1]}",
        )
    ax.set(xscale="log", yscale="log", xlabel="points a call", ylabel="points a second")
    ax.grid(alpha=0.3, which="both")
    ax.legend(fontsize=7)
    return figure


def _recall(lines: list[Line]) -> Any:
    """Draw recall against encodings: efforts with a name as points, beams without margins as lines."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    for n, kind in enumerate(dict.fromkeys(line["kind"] for line in lines)):
        curve, points = (
            [r for r in lines if (r["table"], r["kind"]) == (table, kind)] for table in ("curve", "effort")
        )
        for ax, key, title in zip(axes, ("recall_1", "recall_10"), ("recall@1", "recall@10"), strict=True):
            ax.plot([r["encodings"] for r in curve], [r[key] for r in curve], "-", color=COLOURS[n], lw=1, alpha=0.6)
            at = [r["encodings"] for r in points], [r[key] for r in points]
            ax.plot(*at, linestyle="none", marker=MARKERS[n], color=COLOURS[n], label=kind)
            for r in points if kind == "photo-like" else []:
                ax.annotate(r["effort"], (r["encodings"], r[key]), (4, -10), textcoords="offset points", fontsize=7)
            ax.set(xscale="log", xlabel="encodings a query (mean)", title=title, ylim=(0.75, 1.005))
            ax.grid(alpha=0.3)
    axes[0].set_ylabel("of the exhaustive answer")
    axes[0].legend(title="simulated queries", loc="lower right", fontsize=8)
    return figure
