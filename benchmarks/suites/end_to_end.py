"""From a photo to an answer: this project, the released package and FastGeoCLIP, in turns, with the same CLIP tower.

The tower is ViT-L/14 in fp32 with random weights on every side: it takes as long as the trained one, and the trained
one need not be there. Each side is a process that stays for the run. The released package has no batches; FastGeoCLIP
answers among the gallery as the released package does; the project also answers on an index of the planet.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.side_by_side import Worker, environment
from benchmarks.suites.records import Records, Size, spread

SUITE = "end to end"
BATCH = 8
TASKS = (
    ("released", "predict"),
    ("fastgeoclip", "predict"),
    ("fastgeoclip", f"batch {BATCH}"),
    ("project", "predict"),
    ("project", "locate, gallery"),
    ("project", "locate, index"),
    ("project", f"batch {BATCH}, gallery"),
    ("project", f"batch {BATCH}, index"),
    ("project", "decode"),
    ("project", "tower"),
    ("project", "lookup, index"),
)


def run(
    records: Records, size: Size, *, released_python: str, fastgeoclip: Path | None = None, index: Path | None = None
) -> None:
    """Measure every task that the sides offer."""
    rounds = 1 if size.name == "quick" else 3
    with tempfile.TemporaryDirectory() as work:
        photo = _photo(Path(work), records.seed)
        workers = _workers(work, photo, records.seed, released_python, fastgeoclip, index)
        tasks = [(side, task) for side, task in TASKS if side in workers and task in workers[side].about["tasks"]]
        seconds: dict[tuple[str, str], list[float]] = {key: [] for key in tasks}
        for turn in range(rounds + 1):
            for side, task in tasks:
                spent = workers[side].time(task)["seconds"]
                if turn:
                    seconds[side, task].append(spent)
        for (side, task), spent_s in seconds.items():
            photos = BATCH if task.startswith("batch") else 1
            per_photo = spread(spent_s)["median_s"] / photos
            records.add(SUITE, side=side, task=task, seconds_a_photo=per_photo, photos=photos, **spread(spent_s))
        for worker in workers.values():
            worker.close()


def _workers(
    work: str, photo: Path, seed: int, released_python: str, fastgeoclip: Path | None, index: Path | None
) -> dict[str, Worker]:
    """Start the sides; the released one first, it writes the tower that the others read."""
    common = [work, str(photo), "1000", str(seed)]
    workers = {"released": Worker.of("released", released_python, "released_worker", *common)}
    workers["released"].about["tasks"] = ["predict"]
    if fastgeoclip is not None:
        more = [work, str(photo), str(fastgeoclip), str(BATCH)]
        workers["fastgeoclip"] = Worker.of("fastgeoclip", released_python, "peers.fastgeoclip_worker", *more)
    more = [work, str(photo), str(BATCH), *([str(index)] if index is not None else [])]
    workers["project"] = Worker.of("project", sys.executable, "peers.project_photos_worker", *more)
    return workers


def _photo(work: Path, seed: int) -> Path:
    """Draw the photo to locate, a JPEG of 1023 x 767."""
    make = (
        "import sys; from pathlib import Path; from sample_photos import draw_samples; "
        "draw_samples(Path(sys.argv[1]), int(sys.argv[2]))"
    )
    folder = work / "photos"
    folder.mkdir()
    subprocess.run([sys.executable, "-c", make, str(folder), str(seed)], check=True, env=environment("project"))
    return next(folder.glob("*-1023x767-RGB.jpg"))
