"""What a measurement was made on, as one JSON object: processor, memory, versions, commit."""

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "open-clip-torch", "faiss-gpu", "faiss-cpu", "numpy", "pillow")
BF16_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
ROOT = Path(__file__).resolve().parent.parent


def machine() -> dict[str, Any]:
    """Return the facts; a fact the system does not tell is absent."""
    import geoclip

    return {
        **_cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "python": platform.python_version(),
        "versions": {"geoclip-planet": geoclip.__version__, **_versions()},
        "commit": _commit(),
    }


def command() -> list[str]:
    """Return this program's words, files and folders cut to their last part: where they lie is the machine's own."""
    return [Path(word).name if "/" in word else word for word in sys.argv]


def _cpu() -> dict[str, Any]:
    facts: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        facts.setdefault(name.strip(), value.strip())
    flags = facts.get("flags", "").split()
    named = {"cpu": "model name", "cpu_family": "cpu family", "cpu_model": "model", "cache": "cache size"}
    known = {key: facts[name] for key, name in named.items() if name in facts}
    return known | {"flags": [flag for flag in BF16_FLAGS if flag in flags]}


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _commit() -> str:
    """Return the commit of the checkout, with `-dirty` where files differ from it."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return "none"
    untracked = ["git", "-C", str(ROOT), "ls-files", "--others", "--exclude-standard", "geoclip", "index"]
    new = subprocess.run(untracked, capture_output=True, text=True, check=False).stdout.strip()
    commit = done.stdout.strip()
    return f"{commit}-dirty" if new and not commit.endswith("-dirty") else commit


if __name__ == "__main__":
    print(json.dumps(machine()))
