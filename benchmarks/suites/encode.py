"""The location encoder against the products it consists of (a roofline), and against the released encoder.

Rate by batch size and precision. The peak is `torch.nn.functional.linear` in the shapes of the encoder's layers on the
same number of points, with weights and inputs in place: no encoder can be faster without other products.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch.nn import functional as F

from benchmarks.side_by_side import Worker
from benchmarks.suites.records import Records, Size, in_turns, spread
from geoclip.encoders.cores import on_all_cores
from geoclip.encoders.location import CPU_CHUNK, LocationEncoder
from geoclip.encoders.precision import has_bf16_units
from geoclip.release.fetch import released

SHAPES = ((512, 1024), (1024, 1024), (1024, 1024), (1024, 512))
"""(inputs, outputs) of the linear layers of one of the three capsules."""
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
BATCHES = (1, 8, 64, 512, 4096)


def run(records: Records, size: Size, *, released_python: str | None = None) -> None:
    """Measure on the CPU; the released encoder in its own environment where one is named."""
    other = None if released_python is None else _released(released_python)
    precisions = ["fp32", *(["bf16"] if has_bf16_units(torch.device("cpu")) else [])]
    for batch in BATCHES:
        points = np.random.default_rng(records.seed).uniform((-60, -180), (70, 180), (batch, 2))
        times = repeats(batch)
        tasks: dict[str, Callable[[], object]] = {}
        for precision in precisions:
            encoder = encoder_of(precision)
            tasks[f"project {precision}"] = partial(_often, partial(encoder.embed, points), times)
            tasks[f"products {precision}"] = partial(_often, products(precision, batch), times)
        seconds = in_turns(tasks, size.rounds)
        if other is not None:
            seconds["released fp32"] = [other.time(f"{batch} {times}")["seconds"] for _ in range(size.rounds + 1)][1:]
        for name, spent in seconds.items():
            side, precision = name.split()
            rate = batch * times / float(np.median(spent))
            peak = batch * times / float(np.median(seconds[f"products {precision}"]))
            records.add(
                "encode", side=side, precision=precision, batch=batch, points_a_second=rate, share_of_peak=rate / peak,
                **spread(spent),
            )  # fmt: skip
    if other is not None:
        other.close()


def repeats(batch: int) -> int:
    """Return how many calls make one timing: some tenths of a second, but one call at least."""
    return max(1, 1024 // batch if batch > 1 else 200)


def encoder_of(precision: str, device: str = "cpu") -> LocationEncoder:
    """Return the released encoder."""
    return LocationEncoder.of(released(), precision=precision).to(device)


def products(precision: str, points: int, device: str = "cpu", chunk: int = CPU_CHUNK) -> Callable[[], object]:
    """Return a task: the linear layers' products for so many points, in the encoder's chunks, and nothing else."""
    dtype = DTYPES[precision]
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


def _often(task: Callable[[], object], times: int) -> None:
    for _ in range(times):
        task()


def _released(python: str) -> Worker:
    return Worker.of("released", python, "peers.released_encoder")
