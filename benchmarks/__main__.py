"""Measure this project beside others: every suite, one after the other.

    python -m benchmarks quick | full [--suites ...] [--index PLANET] [--device cuda] [--out FILE.jsonl]

`benchmarks/bench.sh` calls it with the environments it needs. `quick` takes about ten minutes on two cores, `full` half
an hour; `python -m benchmarks.report FILE.jsonl ...` makes tables and figures of the results.
"""

import sys
from functools import partial
from pathlib import Path

from benchmarks.harness import parser
from benchmarks.results import ROOT, Results

SUITES = ("encode", "build", "search", "scale", "side_by_side")


def main() -> int:
    """Run the suites; return the exit code."""
    options = parser(__doc__, index=False)
    options.add_argument("size", choices=("quick", "full"))
    options.add_argument("--suites", nargs="+", choices=SUITES, default=SUITES)
    options.add_argument("--device", default="cpu", help="cuda measures encode, build and scale there")
    options.add_argument("--index", type=Path, help="an index of the planet: `scale` and `side_by_side` ask it too")
    options.add_argument("--released-python", help="interpreter of an environment with geoclip==1.3.0")
    options.add_argument("--fastgeoclip", type=Path, help="a copy of github.com/fbarbe00/FastGeoCLIP")
    options.add_argument("--vectors", type=Path, help="photos' vectors (`geoclip embed`), in place of simulated ones")
    options.add_argument("--region", help="of the search suite; default: Slovenia (quick), Switzerland (full)")
    options.add_argument("--seed", type=int, default=0)
    arguments = options.parse_args()
    from benchmarks.suites import build, encode, scale, search, side_by_side
    from benchmarks.suites.size import FULL, QUICK

    size = QUICK if arguments.size == "quick" else FULL
    size = size._replace(region=arguments.region or size.region)
    out: Path = arguments.out or ROOT / "benchmarks" / "results" / f"bench-{arguments.size}.jsonl"
    if out.exists():
        print(f"{out} exists; move it away or name another with --out.", file=sys.stderr)
        return 2
    results, python, device = Results(out, arguments.seed), arguments.released_python, arguments.device
    runs = {
        "encode": partial(encode.run, device=device, released_python=python),
        "build": partial(build.run, device=device),
        "search": partial(search.run, vectors=arguments.vectors),
        "scale": partial(scale.run, index=arguments.index, device=device),
        "side_by_side": partial(
            side_by_side.run, released_python=python, fastgeoclip=arguments.fastgeoclip, index=arguments.index
        ),
    }
    for name in arguments.suites:
        if name == "side_by_side" and python is None:
            print("side_by_side is left out: it needs --released-python.", file=sys.stderr)
            continue
        runs[name](results, size)
    print(f"{results.count} lines in {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
