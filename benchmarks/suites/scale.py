"""Memory, opening and latency by the number of addressable cells, 10^5 to 10^10 and beyond.

Measured: our index of growing regions and of the planet, asked at each resolution it answers. The explicit grid beside
it is FAISS IVF-SQ8, measured in the search suite; its bytes at other sizes are computed, and marked.
"""

import tempfile
from pathlib import Path

from benchmarks.processes import measured
from benchmarks.results import Results
from benchmarks.suites.size import Size
from geoclip.index_builder import build_index
from geoclip.options import MachineOptions

RESOLUTIONS = range(6, 11)
COARSE = 6
SQ8_BYTES = 512 + 8
"""Of an explicit vector: 8-bit codes and an id; lists and centres come on top."""


def run(results: Results, size: Size, *, index: Path | None = None, device: str = "cpu") -> None:
    """Measure indexes of regions, and of the planet where one is given, each in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        for where in size.grown:
            target = Path(folder) / where.partition(":")[2]
            build_index(target, coarse_res=COARSE, region=where, machine=MachineOptions(device=device))
            _measure(results, size, target, where, device)
    if index is not None:
        _measure(results, size, index, "planet", device)
    for cells in (10**n for n in range(5, 12)):
        parameters = {"system": "explicit, SQ8", "cells": cells, "computed": True}
        results.add("scale", parameters, {"index_bytes": cells * SQ8_BYTES})


def _measure(results: Results, size: Size, index: Path, where: str, device: str) -> None:
    about = {"system": "geoclip-planet", "region": where, "computed": False}
    options = (
        "--efforts",
        "default",
        "--singles",
        str(size.singles // 2),
        "--batch",
        "0",
        "--device",
        device,
        "--cold",
    )
    for resolution in RESOLUTIONS:
        (line,) = measured("benchmarks.latency", index, "--resolutions", str(resolution), *options)
        results.add("scale", about | line["about"]["parameters"], line["about"]["values"])
