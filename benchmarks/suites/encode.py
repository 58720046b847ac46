"""The location encoder against the products it consists of (a roofline), and against the released encoder.

Rate by batch size and precision. The peak is `torch.nn.functional.linear` in the shapes of the encoder's layers on the
same number of points, with weights and inputs in place: no encoder can be faster without other products.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch.nn import functional as F

from benchmarks.harness import calls_a_timing, in_turns, some_points, spread, timed
from benchmarks.processes import Worker
from benchmarks.results import Results
from benchmarks.suites.size import Size
from geoclip.encoders.cores import on_all_cores
from geoclip.encoders.location import CPU_CHUNK, GPU_CHUNK, LocationEncoder
from geoclip.encoders.precision import has_bf16_units
from geoclip.release.fetch import released

SHAPES = ((512, 1024), (1024, 1024), (1024, 1024), (1024, 512))
"""(inputs, outputs) of the linear layers of one of the three capsules."""
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
BATCHES = (1, 8, 64, 512, 4096)
GPU_BATCHES = (1, 64, 1024, 16_384, 262_144)


def run(results: Results, size: Size, *, device: str = "cpu", released_python: str | None = None) -> None:
    """Measure; on the CPU also the released encoder, in its own environment, where one is named."""
    other = None
    if released_python is not None and device == "cpu":
        other = Worker(released_python, "benchmarks.peers.released", "encoder", *BATCHES)
    precisions = ["fp32", *(["bf16"] if has_bf16_units(torch.device(device)) else [])]
    for batch in BATCHES if device == "cpu" else GPU_BATCHES:
        points, times = some_points(batch), calls_a_timing(batch)
        timers: dict[str, Callable[[], float]] = {}
        for precision in precisions:
            for side, task in (
                ("project", partial(encoder_of(precision, device).embed, points)),
                ("products", products(precision, batch, device)),
            ):
                timers[f"{side} {precision}"] = partial(timed, task, times)
        if other is not None:
            timers["released fp32"] = partial(other.seconds, f"encode {batch}")
        seconds = in_turns(timers, size.rounds)
        for name, spent in seconds.items():
            side, precision = name.split()
            rate, peak = (batch * times / float(np.median(each)) for each in (spent, seconds[f"products {precision}"]))
            parameters = {"side": side, "precision": precision, "batch": batch, "device": device}
            values = {"points_per_second": rate, "share_of_peak": rate / peak}
            results.add("encode", parameters, values | spread(spent))
    if other is not None:
        other.close()


def encoder_of(precision: str, device: str = "cpu") -> LocationEncoder:
    """Return the released encoder."""
    return LocationEncoder.of(released(), precision=precision).to(device)


def products(precision: str, points: int, device: str = "cpu") -> Callable[[], object]:
    """Return a task: the linear layers' products for so many points, in the encoder's chunks, and nothing else."""
    dtype, chunk = DTYPES[precision], CPU_CHUNK if device == "cpu" else GPU_CHUNK
    weights = {
        (i, o): (torch.randn(o, i, device=device, dtype=dtype), torch.randn(o, device=device, dtype=dtype))
        for i, o in SHAPES
    }
    sizes = [min(chunk, points - start) for start in range(0, points, chunk)]
    inputs = {(n, i): torch.randn(n, i, device=device, dtype=dtype) for n in set(sizes) for i, _ in SHAPES}

    def multiply_chunk(n: int) -> None:
        with torch.inference_mode():
            for _ in range(3):
                for i, o in SHAPES:
                    F.linear(inputs[n, i], *weights[i, o])

    def multiply() -> None:
        on_all_cores(multiply_chunk, sizes, cores=1 if device != "cpu" else None)
        if device != "cpu":
            torch.cuda.synchronize()

    return multiply
