"""What a build costs by resolution: seconds a stage, share of the encoder, largest memory.

python -m benchmarks.suites.build TARGET [--resolution 6] [--region WHERE] [--device cuda] [--out FILE.jsonl]
"""

import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import parser
from benchmarks.processes import measured, peak_so_far_mb
from benchmarks.released_model import released_model
from benchmarks.results import Results
from benchmarks.suites.size import Size
from geoclip.index_builder import IndexBuilder
from geoclip.options import BuildOptions, MachineOptions
from index.building.build import build
from index.encoder import Encoder

RESOLUTIONS = (3, 4, 5, 6)


def run(results: Results, size: Size, *, device: str = "cpu") -> None:
    """Build indexes of a region, each in a process of its own, and fit how the cost grows."""
    lines = []
    for res in RESOLUTIONS:
        with tempfile.TemporaryDirectory() as folder:
            options = ("--resolution", str(res), "--region", size.built, "--device", device)
            (line,) = measured("benchmarks.suites.build", Path(folder) / "index", *options)
            lines.append(results.add("build", line["about"]["parameters"], line["about"]["values"]))
    encodings, seconds = ([line[key] for line in lines] for key in ("encodings", "seconds"))
    exponent, _ = np.polyfit(np.log(encodings), np.log(seconds), 1)
    last = np.log(seconds[-1] / seconds[-2]) / np.log(encodings[-1] / encodings[-2])
    values = {"exponent": float(exponent), "last_step_exponent": float(last)}
    results.add("build growth", {"region": size.built, "device": device}, values)


class TimedEncoder:
    """An encoder, with the time it took."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder, self.exactly, self.quickly = encoder, encoder.exactly, encoder.quickly
        self.nodes_around, self.values_at = encoder.nodes_around, encoder.values_at
        self.quickly_on_device = encoder.quickly_on_device
        self.seconds, self.points, self._turn = 0.0, 0, threading.Lock()

    def nearby(self, lat_lng: NDArray[np.float64], spacing_km: float) -> NDArray[np.float32]:
        """Encode (N, 2) degrees; a build asks from two threads, which take turns here."""
        with self._turn:
            begun = time.perf_counter()
            vectors = self._encoder.nearby(lat_lng, spacing_km)
            self.seconds += time.perf_counter() - begun
            self.points += len(lat_lng)
        return vectors


def main() -> None:
    """Build once, and record what each stage took."""
    options = parser(__doc__, index=False)
    options.add_argument("target", type=Path)
    options.add_argument("--resolution", type=int, default=6)
    options.add_argument("--region", default="country:LU")
    options.add_argument("--device", default="cpu")
    arguments = options.parse_args()
    options_of_build = BuildOptions(coarse_res=arguments.resolution, region=arguments.region)
    request = IndexBuilder(options_of_build, machine=MachineOptions(device=arguments.device)).request
    encode = TimedEncoder(released_model(arguments.device).encoder)
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
    build(request, encode, arguments.target, report=report)
    report("", 0, 0)
    seconds = time.perf_counter() - begun
    parameters = {"resolution": arguments.resolution, "region": arguments.region, "device": arguments.device}
    parameters |= {"cells": len(np.load(arguments.target / "cells.npy"))}
    values: dict[str, object] = {"encodings": encode.points, "seconds": seconds, "encoder_s": encode.seconds}
    values |= {"encoder_share": encode.seconds / seconds, "encoder_points_per_second": encode.points / encode.seconds}
    values |= {"stages_s": stages, "stages_peak_mb": peaks, "peak_mb": max(peaks.values())}
    values |= {"index_bytes": sum(path.stat().st_size for path in arguments.target.iterdir())}
    Results(arguments.out).add("build", parameters, values)


if __name__ == "__main__":
    main()
