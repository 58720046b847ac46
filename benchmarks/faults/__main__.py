"""Try to break the project at length, and count how it ends. The tests try the same in a small form.

    python -m benchmarks.faults killed --count 200      commands killed at random and gone on with: the same outputs?
    python -m benchmarks.faults flipped --count 1000    single bits of an index and a release: named, or no change?
    python -m benchmarks.faults hostile --count 300     indexes, releases, checkpoints of a stranger: refused, answered?
    python -m benchmarks.faults exchanged --count 1000  an index opened while others take its name: one of the two?
    python -m benchmarks.faults full --count 100        disks that are too small: said, nothing lost?
    python -m benchmarks.faults fuzzed --count 60       every reader of files so many seconds, by atheris if installed
    python -m benchmarks.faults all

Prints how many tries ended in which way. Exit code 1 where one ended as none should; each is named. Three quarters of
an hour for all, on two cores.
"""

import random
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.faults.outcome import Outcome
from benchmarks.harness import parser
from benchmarks.results import Results

USUAL = {"killed": 200, "flipped": 1000, "hostile": 300, "exchanged": 1000, "full": 100, "fuzzed": 60}


def main() -> int:
    """Run campaigns; return the exit code."""
    options = parser(__doc__, index=False)
    options.add_argument("campaign", nargs="+", choices=(*USUAL, "all"))
    options.add_argument(
        "--count", type=int, help=f"tries of a campaign, of fuzzing seconds a reader; default: {USUAL}"
    )
    options.add_argument("--only", help="kinds of a campaign whose name has this")
    options.add_argument("--seed", type=int, default=0)
    arguments = options.parse_args()
    wanted = tuple(USUAL) if "all" in arguments.campaign else arguments.campaign
    results, wrong = Results(arguments.out, arguments.seed), 0
    from tests.helpers.shared import session_folder

    with session_folder() as session, tempfile.TemporaryDirectory(dir=session) as work:
        for campaign in wanted:
            count = arguments.count or USUAL.get(campaign, 0)
            runs = CAMPAIGNS[campaign](count, Path(work), arguments.seed)
            for name, run in runs.items():
                if arguments.only and arguments.only not in name:
                    continue
                outcome = run()
                results.add(f"faults {campaign}", {"what": name}, outcome.values())
                for sentence in outcome.wrong:
                    print(f"WRONG: {sentence}", flush=True)
                wrong += len(outcome.wrong)
    print(f"{wrong} tries ended as none should.")
    return 1 if wrong else 0


Runs = dict[str, Callable[[], Outcome]]


def _killed(count: int, work: Path, seed: int) -> Runs:
    from benchmarks.faults.killed import KINDS, killed, killed_training, make_inputs, train_arguments

    inputs = make_inputs(_new(work, "inputs"))
    towers, rng = _towers(inputs), random.Random(seed)
    each = -(-count // (len(KINDS) + 2))
    runs: Runs = {
        kind.name: partial(
            killed, kind, each, inputs=inputs, towers=towers, folder=_new(work, f"killed {number}"), rng=rng
        )
        for number, kind in enumerate(KINDS)
    }
    for name, given in {"features": {}, "photos": {"photos": inputs / "photos", "towers": towers}}.items():
        folder = _new(work, f"train {name}")
        runs[f"train fit on {name}"] = partial(
            killed_training, train_arguments(folder, **given), each, folder=folder, rng=rng
        )
    return runs


def _flipped(count: int, work: Path, *_: Any) -> Runs:
    from benchmarks.faults.damaged import flipped_index, flipped_release

    return {
        "index": partial(flipped_index, count - count // 3, work / "flipped index"),
        "release": partial(flipped_release, count // 3, work / "flipped release"),
    }


def _hostile(count: int, work: Path, seed: int) -> Runs:
    from benchmarks.faults.hostile import KINDS, hostile

    each = -(-count // len(KINDS))
    return {kind: partial(hostile, kind, each, work / f"hostile {kind}", seed=seed) for kind in KINDS}


def _exchanged(count: int, work: Path, *_: Any) -> Runs:
    from benchmarks.faults.damaged import exchanged

    return {"readers": partial(exchanged, count, _new(work, "exchanged"))}


def _full(count: int, work: Path, seed: int) -> Runs:
    from benchmarks.faults.full import COMMANDS, full
    from benchmarks.faults.killed import make_inputs

    inputs = make_inputs(_new(work, "inputs of full disks"))
    towers, rng = _towers(inputs), random.Random(seed)
    each = -(-count // len(COMMANDS))
    return {
        f"{' '.join(kind.arguments[:2])} to {kind.output}": partial(
            full, kind, each, inputs=inputs, towers=towers, folder=_new(work, f"full {number}"), rng=rng
        )
        for number, kind in enumerate(COMMANDS)
    }


def _fuzzed(count: int, work: Path, seed: int) -> Runs:
    from benchmarks.faults.fuzzed import fuzzed
    from benchmarks.faults.readers import READERS

    return {
        name: partial(fuzzed, name, seconds=float(count), folder=_new(work, f"fuzzed {name}"), seed=seed)
        for name in READERS
    }


CAMPAIGNS: dict[str, Callable[[int, Path, int], Runs]] = {
    "killed": _killed,
    "flipped": _flipped,
    "hostile": _hostile,
    "exchanged": _exchanged,
    "full": _full,
    "fuzzed": _fuzzed,
}


def _new(work: Path, name: str) -> Path:
    (folder := work / name).mkdir()
    return folder


def _towers(work: Path) -> Any:
    from tests.helpers.small_release import small_release

    return small_release(work / "model")


if __name__ == "__main__":
    sys.exit(main())
