"""What a billion photos, and a planet of finer stored cells, take: computed from measured rates and named assumptions.

python -m benchmarks.scale [--out benchmarks/scale.md]

Nothing of this size has been run. Every rate comes from a line of `benchmarks/results`; what was not measured is an
assumption, with its reason, in one table.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.results import ROOT, Line, read
from benchmarks.scale_figures import ASSUMED, MEASURED, Figure, Wanted
from benchmarks.scale_words import BENDS, LEFT_OUT
from index.building.request import Cost, Request, cost_of
from index.storage.gallery import Gallery

RESULTS = ROOT / "benchmarks" / "results"
PHOTOS = 1_000_000_000
CORES = 2
"""Of the machines that were measured."""
HOUR = 3600.0
RESOLUTIONS = (6, 7, 8)
KM2_A_CELL = {6: 36.13, 7: 5.161, 8: 0.7373}
MACHINES = (1, 16, 256)


def main() -> None:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, metavar="FILE.md")
    arguments = parser.parse_args()
    if arguments.out is None:
        print(page(), end="")
    else:
        arguments.out.write_text(page(), encoding="utf-8")


def page(results: Path = RESULTS) -> str:
    """Return the page, computed from the results in a folder."""
    known = {key: measured(wanted, results) for key, wanted in MEASURED.items()}
    return "\n".join([*_page(Scale({key: figure.value for key, figure in (known | ASSUMED).items()}), known), ""])


def measured(wanted: Wanted, results: Path) -> Figure:
    """Return a value of the one line that it is of.

    Raises:
        ValueError: no line is like that, or several are.
    """
    lines = [line for line in read(results / wanted.file) if _is(line, wanted)]
    if len(lines) != 1:
        raise ValueError(f"{len(lines)} lines of {wanted.file} are {wanted.benchmark} {wanted.of}; 1 should be.")
    value: object = lines[0]
    for name in wanted.field.split("/"):
        assert isinstance(value, dict)
        value = value[name]
    assert isinstance(value, int | float)
    which = ", ".join(f"{name} {value}" for name, value in wanted.of.items())
    return Figure(wanted.name, value, wanted.unit, f"`{wanted.file}`: {wanted.benchmark}, {which}: {wanted.field}")


def _is(line: Line, wanted: Wanted) -> bool:
    return line["benchmark"] == wanted.benchmark and all(line.get(name) == value for name, value in wanted.of.items())


class Scale(NamedTuple):
    """The figures' values by key, and what follows from them."""

    of: dict[str, float]

    def planet(self, res: int) -> Cost:
        """Return what a planet of stored cells of a resolution takes: seven times as many cells each level down."""
        cells = int(self.of["cells"]) * 7 ** (res - RESOLUTIONS[0])
        return cost_of(Request(res, Gallery.empty(), "none"), cells, KM2_A_CELL[res], 7 * cells)

    def encode_h(self, res: int, precision: str = "bf16") -> float:
        """Hours of one measured machine."""
        return self.planet(res).encodings / self.of[f"places {precision}"] / HOUR

    def finish_h(self, res: int) -> float:
        """Hours of one machine: blocks copied, levels written, everything read once for its digest."""
        cost = self.planet(res)
        write = cost.cells * self.of["written s"] / self.of["written cells"]
        return (self.copy_s(res) + write + self.open_s(res)) / HOUR

    def copy_s(self, res: int) -> float:
        """Seconds of copying the blocks from a bucket."""
        return self.planet(res).blocks_bytes / self.of["copy rate"]

    def open_s(self, res: int) -> float:
        """Seconds of opening an index, which reads and checks all of it."""
        return self.of["open s"] * self.planet(res).index_bytes / self.planet(RESOLUTIONS[0]).index_bytes

    def core_h(self, per_second: float, cores: int) -> float:
        """Hours of cores for all photos."""
        return PHOTOS / per_second / HOUR * cores

    def core_price(self, hours: float) -> float:
        """Dollars of so many hours of a core."""
        return hours * self.of["core price"]


def _page(scale: Scale, known: dict[str, Figure]) -> Iterator[str]:
    yield "# A billion photos, and a finer planet\n"
    yield (
        "Computed by `python -m benchmarks.scale --out benchmarks/scale.md` from measured rates. **Nothing of this\n"
        "size has been run.** A measured machine has two cores; two cores of a rented one are taken to be as fast.\n"
    )
    yield "## Measured\n"
    yield from _table(
        ("figure", "value", "line"),
        [(each.name, _value(each), each.source) for each in known.values()],
    )
    yield "\n## Assumed\n"
    yield from _table(
        ("figure", "value", "why"),
        [(each.name, _value(each), each.source) for each in ASSUMED.values()],
    )
    yield "\n## A billion photos\n"
    yield from _photos(scale)
    yield "\n## A planet of finer stored cells\n"
    yield from _planets(scale)
    yield "\n## Where it bends first, and what to do then\n"
    yield BENDS.format(**_facts(scale)).rstrip()


def _photos(scale: Scale) -> Iterator[str]:
    of = scale.of
    gpu_h = PHOTOS / of["gpu rate"] / HOUR
    rows = [
        ("read from a bucket", "", _dollars(PHOTOS / 1000 * of["get price"])),
        _cores(scale, "decoded", of["decode"], 1),
        _cores(scale, "CLIP on cores, AVX2", of["tower avx2"], CORES),
        _cores(scale, "CLIP on cores, AVX-512", of["tower xeon"], CORES),
        ("CLIP on small GPUs (assumed rate)", f"{gpu_h:,.0f} GPU hours", _dollars(gpu_h * of["gpu price"])),
        _cores(scale, "looked up, effort default", of["lookups default"], CORES),
        _cores(scale, "looked up, effort fast", of["lookups fast"], CORES),
        (
            f"answers written, {PHOTOS / of['rows a part']:,.0f} files",
            "",
            _dollars(PHOTOS / of["rows a part"] / 1000 * of["put price"]),
        ),
    ]
    yield from _table(("step", "takes", "costs"), rows)
    sizes = (
        ("photos", of["photo bytes"]), ("vectors of 512 numbers, float32", 2048.0), ("answers", of["row bytes"]),
    )  # fmt: skip
    yield "\nBytes: " + "; ".join(
        f"{name} {_bytes(PHOTOS * each)} ({_dollars(PHOTOS * each / 1e9 * of['store price'])} a month in a bucket)"
        for name, each in sizes
    ) + ".\n"  # fmt: skip
    gpus = [(count, gpu_h / count) for count in MACHINES]
    lookup = scale.core_h(of["lookups default"], CORES)
    yield (
        "With N GPUs the photos take "
        + ", ".join(f"{hours:,.0f} hours ({count})" for count, hours in gpus)
        + (
            f"; beside each GPU, lookups need {lookup / gpu_h:,.0f} cores and decoding "
            f"{of['gpu rate'] / of['decode']:,.1f}."
        )
    )


def _cores(scale: Scale, step: str, per_second: float, cores: int) -> tuple[str, str, str]:
    hours = scale.core_h(per_second, cores)
    return step, f"{hours:,.0f} core hours", _dollars(scale.core_price(hours))


def _planets(scale: Scale) -> Iterator[str]:
    of, rows = scale.of, list[tuple[str, ...]]()
    costs = {res: scale.planet(res) for res in RESOLUTIONS}

    def row(name: str, values: Sequence[str]) -> None:
        rows.append((name, *values))

    row("stored cells", [f"{costs[res].cells / 1e6:,.1f} million" for res in RESOLUTIONS])
    row("encodings", [f"{costs[res].encodings / 1e6:,.0f} million" for res in RESOLUTIONS])
    row("blocks", [f"{costs[res].blocks:,}" for res in RESOLUTIONS])
    for precision in ("fp32", "bf16"):
        row(f"encoding, one machine, {precision}", [_hours(scale.encode_h(res, precision)) for res in RESOLUTIONS])
    for count in MACHINES[1:]:
        row(f"encoding, {count} machines, bf16", [_hours(scale.encode_h(res) / count) for res in RESOLUTIONS])
    row("blocks in the bucket", [_bytes(costs[res].blocks_bytes) for res in RESOLUTIONS])
    row("finishing, one machine", [_hours(scale.finish_h(res)) for res in RESOLUTIONS])
    row("its memory", [_bytes(costs[res].memory_bytes) for res in RESOLUTIONS])
    row("its disk", [_bytes(costs[res].scratch_bytes + costs[res].index_bytes) for res in RESOLUTIONS])
    row("the index", [_bytes(costs[res].index_bytes) for res in RESOLUTIONS])
    row("opened, with its digests checked", [_hours(scale.open_s(res) / HOUR) for res in RESOLUTIONS])
    row("price of the machines, bf16", [
        _dollars(scale.core_price(CORES * (scale.encode_h(res) + scale.finish_h(res)))) for res in RESOLUTIONS
    ])  # fmt: skip
    row("price of the bucket: writes, a day of the blocks", [
        _dollars(costs[res].blocks / 1000 * of["put price"] + costs[res].blocks_bytes / 1e9 * of["store price"] / 30)
        for res in RESOLUTIONS
    ])  # fmt: skip
    yield from _table(("", *(f"resolution {res}" for res in RESOLUTIONS)), rows)
    yield f"\n{LEFT_OUT.rstrip()}"


def _facts(scale: Scale) -> dict[str, str]:
    """Return what the words of the last section name."""
    of, finest = scale.of, scale.planet(RESOLUTIONS[-1])
    gpu_h = PHOTOS / of["gpu rate"] / HOUR
    return {
        "cpu": _dollars(scale.core_price(scale.core_h(of["tower xeon"], CORES))),
        "gpu": _dollars(gpu_h * of["gpu price"]),
        "lookups": _dollars(scale.core_price(scale.core_h(of["lookups default"], CORES))),
        "fast": _dollars(scale.core_price(scale.core_h(of["lookups fast"], CORES))),
        "gpu_lookups": f"{of['gpu rate'] / of['lookups default'] * CORES:,.0f}",
        "finish": _hours(scale.finish_h(RESOLUTIONS[-1])),
        "encode": _hours(scale.encode_h(RESOLUTIONS[-1]) / MACHINES[-1]),
        "copy": _hours(scale.copy_s(RESOLUTIONS[-1]) / HOUR),
        "disk": _bytes(finest.scratch_bytes + finest.index_bytes),
        "memory": _bytes(finest.memory_bytes),
        "index": _bytes(finest.index_bytes),
        "open": _hours(scale.open_s(RESOLUTIONS[-1]) / HOUR),
        "rss": f"{of['memory']:.1f} GB",
        "vectors": _bytes(PHOTOS * 2048.0),
    }


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield (
        "|"
        + "|".join("---" if number == 0 or heads[-1] in ("line", "why") else "--:" for number in range(len(heads)))
        + "|"
    )
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _value(figure: Figure) -> str:
    value = f"{figure.value:,.0f}" if figure.value >= 100 else f"{figure.value:,.4g}"
    return f"${value}" if figure.unit == "$" else f"{value} {figure.unit}".replace(" /s", "/s").strip()


def _dollars(amount: float) -> str:
    return f"${amount:,.0f}" if amount >= 10 else f"${amount:,.2f}"


def _hours(hours: float) -> str:
    if hours >= 1.5:
        return f"{hours:,.1f} h"
    return f"{hours * 60:,.0f} min" if hours * 60 >= 2 else f"{hours * HOUR:,.0f} s"


def _bytes(count: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9)):
        if count >= size:
            return f"{count / size:,.{0 if count >= 100 * size else 1}f} {unit}"
    return f"{count / 1e6:,.0f} MB"


if __name__ == "__main__":
    main()
