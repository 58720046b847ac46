"""Memory, opening and latency by the number of addressable cells, 10^5 to 10^10 and beyond.

Measured: our index of growing regions and of the planet, asked at each resolution it answers. The explicit
grid beside it is FAISS IVF-SQ8, measured in the search suite; its bytes at other sizes are computed, and marked.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.side_by_side import environment
from benchmarks.suites.records import Records, Size
from index.search.efforts import EffortName

SUITE = "scale"
REGIONS = ("country:LU", "country:CH", "country:IT")
FINEST = 10
SQ8_BYTES = 512 + 8
"""Of an explicit vector: 8-bit codes and an id; lists and centres come on top."""


def run(records: Records, size: Size, *, index: Path | None = None) -> None:
    """Measure indexes of regions, and of the planet where one is given, each in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        for where in REGIONS[: 2 if size.name == "quick" else 3]:
            target = Path(folder) / where.partition(":")[2]
            _child("build", str(target), where)
            _measure(records, size, target, where)
    if index is not None:
        _measure(records, size, index, "planet")
    for cells in (10**n for n in range(5, 12)):
        records.add(SUITE, system="explicit, SQ8", cells=cells, computed=True, index_bytes=cells * SQ8_BYTES)


def _measure(records: Records, size: Size, index: Path, where: str) -> None:
    for resolution in range(6, FINEST + 1):
        facts = _child("ask", str(index), str(resolution), str(EffortName.DEFAULT), str(size.singles // 2))
        records.add(SUITE, system="geoclip-planet", region=where, **facts, computed=False, simulated=True)


def _child(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.scale_worker", *arguments]
    done = subprocess.run(command, env=environment("project"), stdout=subprocess.PIPE, text=True, check=True)
    facts: dict[str, Any] = json.loads(done.stdout or "{}")
    return facts
