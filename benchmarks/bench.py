"""Measure this project beside others, and report on it.

    bench.py quick | full [--suites ...] [--index PLANET] [--out FILE.jsonl]
    bench.py report FILE.jsonl ...
    bench.py agreement A.jsonl B.jsonl

`benchmarks/bench.sh` calls it with the environments it needs. `quick` takes about ten minutes on two cores and
`full` half an hour; both append one JSON line a measurement to --out. `report` prints tables in Markdown and draws the
figures; `agreement` says how far two runs differ.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SUITES = ("encode", "build", "search", "scale", "end_to_end", "gpu")


def main() -> int:
    """Do what the first argument says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("quick", "full", "report", "agreement"))
    parser.add_argument("files", nargs="*", type=Path, help="results to report on, or two to compare")
    parser.add_argument("--suites", nargs="+", choices=SUITES, default=SUITES)
    parser.add_argument("--out", type=Path, help="default: benchmarks/results/bench-<action>.jsonl")
    parser.add_argument("--figures", type=Path, default=ROOT / "benchmarks" / "figures", help="where `report` draws")
    parser.add_argument("--index", type=Path, help="an index of the planet: `scale`, `end_to_end` and `gpu` ask it too")
    parser.add_argument("--released-python", help="interpreter of an environment with geoclip==1.3.0")
    parser.add_argument("--fastgeoclip", type=Path, help="a copy of github.com/fbarbe00/FastGeoCLIP")
    parser.add_argument("--vectors", type=Path, help="photos' vectors (`geoclip embed`), in place of simulated ones")
    parser.add_argument("--region", help="of the search suite; default: Slovenia (quick), Switzerland (full)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.action == "report":
        from benchmarks.suites.report import report

        print(report(arguments.files, arguments.figures))
        return 0
    if arguments.action == "agreement":
        from benchmarks.suites.agreement import agreement

        print(agreement(*arguments.files))
        return 0
    return measure(arguments)


def measure(arguments: argparse.Namespace) -> int:
    """Run the suites, each to the end before the next."""
    from dataclasses import replace

    from benchmarks.suites import build, encode, end_to_end, gpu, scale, search
    from benchmarks.suites.records import FULL, QUICK, Records, Size

    size: Size = QUICK if arguments.action == "quick" else FULL
    if arguments.region:
        size = replace(size, region=arguments.region)
    out: Path = arguments.out or ROOT / "benchmarks" / "results" / f"bench-{arguments.action}.jsonl"
    if out.exists():
        print(f"{out} exists; move it away or name another with --out.", file=sys.stderr)
        return 2
    records = Records(out, arguments.seed)
    runs: dict[str, Callable[[Records, Size], None]] = {
        "encode": partial(encode.run, released_python=arguments.released_python),
        "build": build.run,
        "search": partial(search.run, vectors=arguments.vectors),
        "scale": partial(scale.run, index=arguments.index),
        "gpu": partial(gpu.run, index=arguments.index),
    }
    if arguments.released_python is None:
        print("end_to_end is left out: it needs --released-python.", file=sys.stderr)
    else:
        runs["end_to_end"] = partial(
            end_to_end.run,
            released_python=arguments.released_python,
            fastgeoclip=arguments.fastgeoclip,
            index=arguments.index,
        )
    for name in SUITES:
        if name in runs and name in arguments.suites:
            runs[name](records, size)
    print(f"{len(records.lines)} lines in {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
