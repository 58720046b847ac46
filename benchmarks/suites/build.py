"""What a build costs by resolution: seconds a stage, share of the encoder, largest memory; each in a fresh process."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.side_by_side import environment
from benchmarks.suites.records import Records, Size

RESOLUTIONS = (3, 4, 5, 6)


def run(records: Records, size: Size) -> None:
    """Build indexes of the region of coarse resolutions 3 to 6, and fit how the cost grows."""
    where = "bbox:36,-10,60,16"  # Western Europe: 87,000 cells of resolution 6
    if size.name == "quick":
        where = "bbox:43,-5,51,8"  # France
    lines = []
    for res in RESOLUTIONS:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "facts.json"
            arguments = [str(Path(folder) / "index"), str(out), str(res), where]
            command = [sys.executable, "-m", "benchmarks.build_worker", *arguments]
            subprocess.run(command, env=environment("project"), stdout=subprocess.DEVNULL, check=True)
            facts = json.loads(out.read_text(encoding="utf-8"))
        lines.append(records.add("build", resolution=res, region=where, **facts))
    encodings, seconds = ([line[key] for line in lines] for key in ("encodings", "seconds"))
    exponent, _ = np.polyfit(np.log(encodings), np.log(seconds), 1)
    last = np.log(seconds[-1] / seconds[-2]) / np.log(encodings[-1] / encodings[-2])
    records.add("build growth", region=where, exponent=float(exponent), last_step_exponent=float(last))
