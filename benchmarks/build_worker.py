"""One build in a process of its own:  build_worker.py TARGET FACTS.json RESOLUTION REGION"""  # noqa: D400, D415

import json
import sys
import threading
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.released_model import released_model
from index.building.build import Request, build
from index.grid.region import Region
from index.storage.gallery import Gallery


class TimedEncoder:
    """The encoder, with the time it took."""

    def __init__(self) -> None:
        self._encoder, self.tau, self.gallery = released_model()
        self.exactly = self._encoder.exactly
        self.seconds, self.points, self._turn = 0.0, 0, threading.Lock()

    def nearby(self, lat_lng: NDArray[np.float64], spacing_km: float, *, steady: bool = True) -> NDArray[np.float32]:
        """Encode (N, 2) degrees; a build asks from two threads, which take turns here."""
        with self._turn:
            begun = time.perf_counter()
            vectors = self._encoder.nearby(lat_lng, spacing_km, steady=steady)
            self.seconds += time.perf_counter() - begun
            self.points += len(lat_lng)
        return vectors


def peak_so_far_mb() -> float:
    """Return the largest resident memory since the last call, and forget it (Linux: VmHWM, clear_refs)."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) * 1024 / 1e6


def main() -> None:
    """Build, and write down what each stage took."""
    target, facts, res, where = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    encode = TimedEncoder()
    region = None if where == "world" else Region.parse(where)
    request = Request(res, Gallery.of(encode.gallery), "released", region=region, tau=encode.tau, start_res=2)
    stages: dict[str, float] = {}
    peaks: dict[str, float] = {}
    current, since = "Starting", time.perf_counter()

    def report(stage: str, done: int, total: int) -> None:
        nonlocal current, since
        now = time.perf_counter()
        stages[current] = stages.get(current, 0.0) + now - since
        peaks[current] = max(peaks.get(current, 0.0), peak_so_far_mb())
        current, since = stage, now

    begun = time.perf_counter()
    build(request, encode, target, report=report)
    report("", 0, 0)
    seconds = time.perf_counter() - begun
    made: dict[str, object] = {"cells": len(np.load(target / "cells.npy")), "encodings": encode.points}
    made |= {"seconds": seconds, "encoder_s": encode.seconds, "encoder_share": encode.seconds / seconds}
    made |= {"stages_s": stages, "stages_peak_mb": peaks, "peak_mb": max(peaks.values())}
    made |= {"points_a_second": encode.points / encode.seconds}
    made |= {"index_bytes": sum(path.stat().st_size for path in target.iterdir())}
    facts.write_text(json.dumps(made), encoding="utf-8")


if __name__ == "__main__":
    main()
