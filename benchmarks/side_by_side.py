"""Time this project and the released package in turns, and write one JSON line a measurement.

Each side is a process of its own environment that stays for the whole run and computes only when asked, so both
meet the same machine: every round asks each side once. The first round warms up and is not counted. Imports
nothing heavy, because `peak_memory` must be called from a small process.
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from benchmarks.machine import machine
from benchmarks.peak_memory import peak_mb

ROOT = Path(__file__).resolve().parent.parent
WORKERS = {"released": "released_worker", "project": "project_worker"}
BOOT = f"import runpy, sys; sys.path.append({str(ROOT)!r}); sys.argv.pop(0); " + (
    "runpy.run_module(f'benchmarks.{sys.argv[0]}', run_name='__main__', alter_sys=True)"
)
"""Runs a module of this folder; the checkout comes last on the path, so that an installed `geoclip` comes first."""

# Tasks taken in turns, and how often. Those that take the released package 20 s and more are repeated less.
GROUPS: tuple[tuple[int, tuple[tuple[str, str], ...]], ...] = (
    (3, (("released", "predict"), ("project", "predict"))),
    (3, (("released", "lookup"), ("project", "lookup 1"))),
    (3, (("released", "encode gallery"), ("project", "encode gallery fp32"), ("project", "encode gallery bf16"))),
    (7, (("released", "tower"), ("project", "tower"), ("project", "decode"))),
    *(
        (
            7,
            (
                ("released", "encode"),
                ("project", f"encode {p}"),
                ("project", f"gemm layers {p}"),
                ("project", f"gemm 1024 {p}"),
            ),
        )
        for p in ("fp32", "bf16")
    ),
    *((15, (("project", f"lookup {n}"), ("project", f"exact {n}"), ("project", f"flat {n}"))) for n in (1, 8, 64, 512)),
)

# Processes whose largest memory is taken; {tower}, {photo}, {vectors} are filled in.
IMPORTS = "import torch, torchvision, open_clip"
RELEASED_IMPORTS = "import torch, torchvision, transformers.models.clip.modeling_clip"
ENCODER = "from geoclip import ImageEncoder; ImageEncoder(clip_path={tower!r}, precision='fp32')"
RELEASED_MODEL = "import geoclip, torch; m = geoclip.GeoCLIP(clip_pretrained=False).eval()"
MEMORY: tuple[tuple[str, str, list[str]], ...] = (
    ("project", "import torch, torchvision, open_clip", ["-c", IMPORTS]),
    ("project", "geoclip search, 1,000 vectors", ["-m", "geoclip", "search", "{vectors}", "-f", "csv"]),
    ("project", "load the image encoder, fp32", ["-c", ENCODER]),
    ("project", "geoclip locate, one photo, fp32",
     ["-m", "geoclip", "locate", "{photo}", "--clip-checkpoint", "{tower}", "--precision", "fp32", "--workers", "1"]),
    ("released", "import torch, transformers", ["-c", RELEASED_IMPORTS]),
    ("released", "build the model, random weights", ["-c", RELEASED_MODEL]),
    ("released", "predict, one photo", ["-c", RELEASED_MODEL + "; m.predict({photo!r}, 5)"]),
)  # fmt: skip


class Worker:
    """One side's process."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.about = self._reply()

    @classmethod
    def of(cls, side: str, python: str, module: str, *arguments: str) -> Self:
        """Start a module of this folder in a side's environment."""
        return cls([python, "-W", "ignore", "-c", BOOT, module, *arguments], environment(side))

    def time(self, task: str) -> dict[str, Any]:
        """Run a task once; return seconds, amount and unit."""
        assert self._process.stdin is not None
        print(task, file=self._process.stdin, flush=True)
        return self._reply()

    def close(self) -> None:
        """Let the process end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _reply(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"The worker {self._process.args!r} ended with {self._process.wait()}.")
        reply: dict[str, Any] = json.loads(line)
        return reply


def main() -> None:
    """Measure everything and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--released-python", required=True, help="interpreter of the released package's environment")
    parser.add_argument("--out", type=Path, help="default: benchmarks/results/released-<cpu>-<date>.jsonl")
    parser.add_argument("--points", type=int, default=10_000, help="coordinates encoded in one run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, help="the same number for all, in place of 3 to 15")
    parser.add_argument("--only", choices=("speed", "memory"), help="measure one of the two")
    arguments = parser.parse_args()
    facts = machine()
    out: Path = arguments.out or _default_out(facts)
    pythons = {"released": arguments.released_python, "project": sys.executable}
    start = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as folder:
        lines = list(_measured(Path(folder), pythons, arguments))
    common = {
        "date": start.isoformat(timespec="seconds"),
        "command": shlex.join(["benchmarks/released.sh", *_given(sys.argv[1:])]),
        "seed": arguments.seed,
        "machine": facts,
    }
    released = next(line.pop("released") for line in lines if "released" in line)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(
        "".join(json.dumps(line | common | {"released": released}) + "\n" for line in lines), encoding="utf-8"
    )
    print(f"Written to {out}", file=sys.stderr)


def _measured(work: Path, pythons: dict[str, str], arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the lines; the first also holds the released side's versions."""
    photo = _photo(work, pythons["project"], arguments.seed)
    names = (work, photo, arguments.points, arguments.seed)
    workers = {
        side: Worker.of(side, pythons[side], module, *map(str, names))
        for side, module in WORKERS.items()  # the released side first: it writes the tower that the other reads
    }
    first: dict[str, Any] = {"released": workers["released"].about["versions"]}
    if arguments.only != "memory":
        for line in _times(workers, arguments.repeats):
            yield line | first
            first = {}
    for worker in workers.values():
        worker.close()
    if arguments.only != "speed":
        for line in _memory(work, photo, pythons, arguments.repeats or 3):
            yield line | first
            first = {}


def _times(workers: dict[str, Worker], repeats_asked: int | None) -> Iterator[dict[str, Any]]:
    offered = workers["project"].about["tasks"]
    for usual_repeats, group in GROUPS:
        repeats = repeats_asked or usual_repeats
        tasks = [(side, task) for side, task in group if side == "released" or task in offered]
        if not any(side == "project" for side, _ in tasks):
            continue  # no bf16 units here
        runs: dict[tuple[str, str], list[dict[str, Any]]] = {key: [] for key in tasks}
        for _ in range(repeats + 1):
            for side, task in tasks:
                time.sleep(0.2)  # the other side's threads stop spinning
                runs[side, task].append(workers[side].time(task))
        for (side, task), (warm_up, *counted) in runs.items():
            seconds = [run["seconds"] for run in counted]
            median = statistics.median(seconds)
            print(f"{side:9} {task:18} {median:10.4f} s", file=sys.stderr, flush=True)
            yield {
                "kind": "time",
                "side": side,
                "task": task,
                "against": [f"{s} {t}" for s, t in tasks if (s, t) != (side, task)],
                "repeats": repeats,
                "warm_up_s": warm_up["seconds"],
                "timings_s": seconds,
                "median_s": median,
                "amount": warm_up["amount"],
                "unit": warm_up["unit"],
            }


def _memory(work: Path, photo: Path, pythons: dict[str, str], repeats: int) -> Iterator[dict[str, Any]]:
    vectors = work / "vectors.npy"
    make = (
        "import numpy as np, sys; np.save(sys.argv[1], np.random.default_rng(0).normal(size=(1000, 512)).astype('f4'))"
    )
    subprocess.run([pythons["project"], "-c", make, str(vectors)], check=True)
    filled = {"vectors": str(vectors), "photo": str(photo), "tower": str(work / "tower")}
    for side, task, template in MEMORY:
        command = [pythons[side], "-W", "ignore", *(part.format(**filled) for part in template)]
        peaks = [peak_mb(command, environment(side)) for _ in range(repeats)]
        print(f"{side:9} {task:42} {statistics.median(peaks):8.0f} MB", file=sys.stderr, flush=True)
        yield {"kind": "memory", "side": side, "task": task, "peaks_mb": peaks, "median_mb": statistics.median(peaks)}


def _photo(work: Path, python: str, seed: int) -> Path:
    """Draw the photo to locate, a JPEG of 1023 x 767."""
    make = (
        "import sys; from pathlib import Path; from sample_photos import draw_samples; "
        "draw_samples(Path(sys.argv[1]), int(sys.argv[2]))"
    )
    folder = work / "photos"
    folder.mkdir()
    subprocess.run([python, "-c", make, str(folder), str(seed)], check=True, env=environment("project"))
    return next(folder.glob("*-1023x767-RGB.jpg"))


def environment(side: str) -> dict[str, str]:
    """Return the process environment of a side; only the project's knows the checkout, whose `geoclip` it is."""
    path = [ROOT / "scripts" / "parity", *([ROOT] if side == "project" else [])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONSAFEPATH": "1"}


def _default_out(facts: dict[str, Any]) -> Path:
    cpu = "-".join("".join(c if c.isalnum() else " " for c in facts.get("cpu", "cpu").lower()).split())
    return ROOT / "benchmarks" / "results" / f"released-{cpu}-{datetime.now(UTC):%Y-%m-%d}.jsonl"


def _given(arguments: list[str]) -> list[str]:
    """Return the arguments without interpreters and paths, which are this machine's own."""
    kept = []
    for name, value in zip(arguments[::2], arguments[1::2], strict=True):
        if name not in ("--released-python", "--out"):
            kept += [name, value]
    return kept


if __name__ == "__main__":
    main()
