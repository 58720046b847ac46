"""Results as JSON Lines, one format for all benchmarks: what was measured, on which machine, by which command, when.

A line holds `benchmark`, `parameters`, `values`, `machine`, `versions`, `commit`, `date`, `command` and `seed`. A
value's name ends in its unit (_s, _ms, _km, _m, _mb, _gb, _bytes, _per_second); counts, shares and cosines have none.
"""

import importlib.metadata
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Line = dict[str, Any]
ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("geoclip-planet", "torch", "open-clip-torch", "faiss-gpu", "faiss-cpu", "numpy", "pillow")
VECTOR_UNITS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
ENOUGH = 0.99
"""Recall@1 at which systems are compared in one line each."""


class Results:
    """Prints measurements as they come and appends them to a file, where one is named."""

    def __init__(self, path: Path | None = None, seed: int = 0) -> None:
        self.path, self.seed, self.count = path, seed, 0
        self._about = {
            "machine": machine(),
            "versions": versions(),
            "commit": commit(),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": command(),
            "seed": seed,
        }

    def add(self, benchmark: str, parameters: Mapping[str, Any], values: Mapping[str, Any]) -> Line:
        """Record a measurement and return it as `read` does: parameters and values beside each other."""
        self.count += 1
        line = {"benchmark": benchmark, "parameters": dict(parameters), "values": dict(values)}
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line | self._about) + "\n")
        facts = {**parameters, **values}.items()
        words = [f"{name} {short(value)}" for name, value in facts if not isinstance(value, dict | list)]
        print(f"{benchmark}:", ", ".join(words), flush=True)
        return _flat(line)


def read(*files: Path) -> list[Line]:
    """Return the measurements of files, parameters and values beside each other; a line as it stands is in `about`."""
    texts = [path.read_text(encoding="utf-8") for path in files]
    return [_flat(json.loads(line)) for text in texts for line in text.splitlines() if line.strip()]


def _flat(line: Line) -> Line:
    return {"benchmark": line["benchmark"], **line["parameters"], **line["values"], "about": line}


def of(lines: Iterable[Line], benchmark: str) -> list[Line]:
    """Return the lines of one benchmark."""
    return [line for line in lines if line["benchmark"] == benchmark]


def recall_1(line: Line) -> float | None:
    """Return recall@1 of the queries that a search's latencies were measured with."""
    return line.get(f"{line['timed_with']}_recall_1")


def best_settings(lines: Iterable[Line]) -> dict[str, Line]:
    """Return each system's fastest setting (in one call with all queries) that reaches the recall, if one does."""
    best: dict[str, Line] = {}
    for line in of(lines, "search"):
        recall = recall_1(line)
        if recall is None or recall < ENOUGH:
            continue
        if line["system"] not in best or line["all_per_second"] > best[line["system"]]["all_per_second"]:
            best[line["system"]] = line
    return best


def short(value: object) -> str:
    """Return a value in few characters."""
    return f"{value:,.4g}" if isinstance(value, float) else str(value)


def machine() -> Line:
    """Return processor and memory; a fact that the system does not tell is absent."""
    facts: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        facts.setdefault(name.strip(), value.strip())
    named = {"cpu": "model name", "cpu_family": "cpu family", "cpu_model": "model", "cache": "cache size"}
    return {
        **{key: facts[name] for key, name in named.items() if name in facts},
        "flags": [flag for flag in VECTOR_UNITS if flag in facts.get("flags", "").split()],
        "cores": len(os.sched_getaffinity(0)),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
    }


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Return the versions of Python and of packages, of those that are there."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """Return the commit of the checkout, with `-dirty` where files differ from it."""
    describe = ["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    untracked = ["ls-files", "--others", "--exclude-standard", "geoclip", "index"]
    asked = [subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)
             for words in (describe, untracked)]  # fmt: skip
    name, new = (done.stdout.strip() for done in asked)
    return f"{name}-dirty" if new and not name.endswith("-dirty") else name or "none"


def command() -> str:
    """Return this program's words; of files and folders the last part: where they lie is the machine's own."""
    words = [Path(word).name if "/" in word else word for word in sys.argv[1:]]
    spec = sys.modules["__main__"].__spec__
    program = ["python", "-m", spec.name.removesuffix(".__main__")] if spec else [Path(sys.argv[0]).name]
    return shlex.join([*program, *words])
