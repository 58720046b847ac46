"""The project, the released package and FastGeoCLIP, in turns, with the same CLIP tower: speed and memory.

The tower is ViT-L/14 in fp32 with random weights on every side: it takes as long as the trained one, which need not be
there. The released package has no batches; FastGeoCLIP answers among the gallery as the released package
does; the project also answers on an index, where one is given.
"""

import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.harness import in_turns, spread
from benchmarks.parity.sample_photos import draw_samples
from benchmarks.processes import Worker, peak_mb
from benchmarks.results import Results
from benchmarks.simulated import unit
from benchmarks.suites.size import Size

BATCH = 8
GROUPS: tuple[tuple[int, tuple[str, ...]], ...] = (
    (3, ("released predict", "fastgeoclip predict", f"fastgeoclip batch {BATCH}", "project predict",
         "project locate, gallery", "project locate, index", f"project batch {BATCH}, gallery",
         f"project batch {BATCH}, index", "project decode", "project lookup, index")),
    (7, ("released tower", "project tower")),
    (3, ("released lookup", "project lookup 1")),
    (3, ("released encode gallery", "project encode gallery fp32", "project encode gallery bf16")),
    *((15, tuple(f"project {task} {n}" for task in ("lookup", "exact", "flat"))) for n in (1, 8, 64, 512)),
)  # fmt: skip
"""Tasks that are taken in turns, and how often: those that take the released package 20 s less."""

_RELEASED = "import geoclip; model = geoclip.GeoCLIP(clip_pretrained=False).eval()"
PROCESSES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("project", "import torch, torchvision, open_clip", ("-c", "import torch, torchvision, open_clip")),
    ("project", "geoclip search, 1,000 vectors",
     ("-m", "geoclip", "search", "{vectors}", "--index", "none", "-f", "csv")),
    ("project", "load the image encoder, fp32",
     ("-c", "from geoclip import ImageEncoder; ImageEncoder(clip_path={tower!r}, precision='fp32')")),
    ("project", "geoclip locate, one photo, fp32",
     ("-m", "geoclip", "locate", "{photo}", "--index", "none", "--clip-checkpoint", "{tower}", "--precision", "fp32",
      "--workers", "1")),
    ("released", "import torch, transformers",
     ("-c", "import torch, torchvision, transformers.models.clip.modeling_clip")),
    ("released", "build the model, random weights", ("-c", _RELEASED)),
    ("released", "predict, one photo", ("-c", f"{_RELEASED}; model.predict({{photo!r}}, 5)")),
)  # fmt: skip
"""Whose largest memory is taken: side, name, arguments of the interpreter."""


def run(
    results: Results, size: Size, *, released_python: str, fastgeoclip: Path | None = None, index: Path | None = None
) -> None:
    """Measure every task that the sides offer, then the memory of processes."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "photos").mkdir()
        photo = next(path for path in draw_samples(work / "photos", results.seed) if "1023x767-RGB" in path.name)
        take_turns(results, size, _workers(work, photo, released_python, fastgeoclip, index))
        vectors = work / "vectors.npy"
        np.save(vectors, unit(np.random.default_rng(0).normal(size=(1000, 512))))
        filled = {"vectors": str(vectors), "photo": str(photo), "tower": str(work / "tower")}
        for side, process, template in PROCESSES:
            python = sys.executable if side == "project" else released_python
            command = [python, "-W", "ignore", *(part.format(**filled) for part in template)]
            peaks = [peak_mb(command) for _ in range(1 if size.name == "quick" else 3)]
            values = {"median_mb": statistics.median(peaks), "peaks_mb": peaks}
            results.add("memory", {"side": side, "process": process}, values)


def _workers(
    work: Path, photo: Path, released_python: str, fastgeoclip: Path | None, index: Path | None
) -> dict[str, Worker]:
    """Start the sides; the released one first, it writes the tower that the others read."""
    workers = {"released": Worker(released_python, "benchmarks.peers.released", work, photo)}
    if fastgeoclip is not None:
        workers["fastgeoclip"] = Worker(
            released_python, "benchmarks.peers.fastgeoclip", work, photo, fastgeoclip, BATCH
        )
    indexes = [] if index is None else [index.resolve()]
    workers["project"] = Worker(sys.executable, "benchmarks.peers.project", work, photo, BATCH, *indexes)
    return workers


def take_turns(results: Results, size: Size, workers: dict[str, Worker]) -> None:
    """Time the tasks of `GROUPS` that workers offer, and let the workers end."""
    offered = {f"{side} {task}": (worker, task) for side, worker in workers.items() for task in worker.tasks}
    for rounds, names in GROUPS:
        chosen = {name: offered[name] for name in names if name in offered}
        timers = {name: partial(worker.seconds, task) for name, (worker, task) in chosen.items()}
        for name, spent in in_turns(timers, 1 if size.name == "quick" else rounds, pause_s=0.2).items():
            worker, task = chosen[name]
            seconds, amount = spread(spent), worker.tasks[task]
            parameters = {"side": name.split()[0], "task": task, **amount, "beside": [n for n in chosen if n != name]}
            parameters |= {key: value for key, value in worker.about.items() if key == "versions"}
            rate = amount["amount"] / seconds["median_s"]
            results.add("side by side", parameters, {"per_second": rate, **seconds})
    for worker in workers.values():
        worker.close()
