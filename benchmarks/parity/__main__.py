"""Same numbers as the released package? Lets it answer in its own environment, computes the same, and compares.

    scripts/check_parity.sh [--full] [--seed N] [--out FILE.jsonl]

which makes the environments. Relative error of a vector: its largest absolute difference over the largest absolute
value of the released vector. Prints a table, writes one line a row, and exits 1 where a bound is exceeded.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.harness import parser
from benchmarks.processes import environment, program
from benchmarks.results import ROOT, Results
from geoclip import GeoCLIP, ImageEncoder, LocationEncoder
from geoclip.release.config import Preprocess

Answers = dict[str, NDArray[Any]]
PLACES = ("gallery", "poles", "antimeridian", "anywhere")
BF16_PLACES, BF16_PHOTOS = 5000, 4
"""How much runs through bf16 without --full; a CPU without units for it is several times slower in it."""


@dataclass(frozen=True)
class Finding:
    """One compared quantity; without a bound it is information."""

    quantity: str
    measure: str
    value: float
    at_most: float | None = None
    at_least: float | None = None

    @property
    def ok(self) -> bool:
        """Whether the value is within its bound; not a number never is."""
        above = self.at_least is None or self.value >= self.at_least
        return above and (self.at_most is None or self.value <= self.at_most)

    @property
    def allowed(self) -> str:
        """The bound, as printed."""
        if self.at_most is not None:
            return f"<= {self.at_most:g}"
        return f">= {self.at_least:g}" if self.at_least is not None else ""


def main() -> int:
    """Compare, print and write; return the exit code."""
    options = parser(__doc__, index=False)
    options.add_argument("--released-python", required=True, help="interpreter of an environment with geoclip==1.3.0")
    options.add_argument("--full", action="store_true", help="bf16 over all places and photos, not a sample")
    options.add_argument("--seed", type=int, default=0)
    arguments = options.parse_args()
    out = arguments.out or ROOT / "benchmarks" / "results" / f"parity-{datetime.now(UTC):%Y-%m-%d}.jsonl"
    results, findings = Results(out, arguments.seed), []
    with tempfile.TemporaryDirectory() as work:
        python = arguments.released_python
        command = [*program(python, "benchmarks.parity.released_answers"), work, "--seed", str(arguments.seed)]
        subprocess.run(command, env=environment(python), check=True)
        torch.set_grad_enabled(False)
        about = json.loads((Path(work) / "about.json").read_text(encoding="utf-8"))
        with np.load(Path(work) / "answers.npz") as file:
            answers: Answers = dict(file)
        for finding in _findings(Path(work), answers, about, full=arguments.full):
            findings.append(finding)
            parameters = {"quantity": finding.quantity, "measure": finding.measure, "full": arguments.full}
            values = {"value": finding.value, "at_most": finding.at_most, "at_least": finding.at_least}
            results.add("parity", parameters | {"released": about["versions"]}, values | {"ok": finding.ok})
    _print(findings)
    failed = [finding for finding in findings if not finding.ok]
    print(f"{len(failed)} of {len(findings)} out of bounds; written to {out}")
    return 1 if failed else 0


def _findings(folder: Path, answers: Answers, about: dict[str, Any], *, full: bool) -> Iterator[Finding]:
    yield from _places_fp32(answers)
    yield from _places_bf16(answers, None if full else BF16_PLACES, about["seed"])
    photos = [folder / "photos" / name for name in about["photos"]]
    model = GeoCLIP(clip_path=folder / "tower", precision="fp32", as_released_photos=True).eval()
    yield from _pixels(answers, model, photos)
    yield from _answers(answers, model, photos)
    del model  # 1.2 GB, before the next tower is loaded
    yield _features_bf16(answers, folder / "tower", None if full else BF16_PHOTOS)


def _places_fp32(answers: Answers) -> Iterator[Finding]:
    encoder = LocationEncoder(precision="fp32").eval()
    for name in PLACES:
        ours = encoder(torch.from_numpy(answers[f"{name}_lat_lng"])).numpy()
        theirs = answers[f"{name}_vectors"]
        label = f"location embedding, fp32, {name} ({len(ours):,})"
        yield Finding(label, "max relative error", _relative_error(ours, theirs), at_most=1e-5)


def _places_bf16(answers: Answers, sample: int | None, seed: int) -> Iterator[Finding]:
    encoder = LocationEncoder(precision="bf16").eval()
    random = np.random.default_rng(seed)
    for name in PLACES:
        points, theirs = answers[f"{name}_lat_lng"], answers[f"{name}_vectors"]
        label = f"location embedding, bf16, {name}"
        if name == "gallery" and sample is not None:
            rows = random.choice(len(points), min(sample, len(points)), replace=False)
            points, theirs, label = points[rows], theirs[rows], f"{label} (random {len(rows):,})"
        else:
            label += f" ({len(points):,})"
        cosine = _cosines(encoder(torch.from_numpy(points)).numpy(), theirs)
        yield Finding(label, "min cosine to released", float(cosine.min()), at_least=0.9999)


def _pixels(answers: Answers, model: GeoCLIP, photos: list[Path]) -> Iterator[Finding]:
    read = model.image_encoder.preprocess_image
    ours = torch.cat([read(photo, model.limits) for photo in photos]).numpy()
    by_default = torch.cat([read(photo) for photo in photos]).numpy()
    label = f"pixels of {len(photos)} photos"
    differing = int((ours != answers["pixels"]).sum())
    yield Finding(f"{label}, transformers' Pillow processor", "values that differ", differing, at_most=0)
    otherwise = int((by_default != ours).any(axis=(1, 2, 3)).sum())
    yield Finding(f"{label}, read as they look (with colour profiles)", "photos that differ", otherwise)
    levels = (
        np.abs(ours - answers["default_pixels"]) * np.array(Preprocess().std, dtype=np.float32)[:, None, None] * 255
    )
    off = levels > 0.5
    yield Finding(f"{label}, its default processor", "share that differs", float(off.mean()))
    yield Finding(f"{label}, its default processor", "largest difference, grey levels", float(levels.max()))
    cosine = _cosines(answers["default_features"], answers["features"])
    yield Finding("released features, default for Pillow processor", "min cosine", float(cosine.min()))


def _answers(answers: Answers, model: GeoCLIP, photos: list[Path]) -> Iterator[Finding]:
    theirs = answers["features"]
    ours = np.concatenate([model.image_encoder(p[None]).numpy() for p in torch.from_numpy(answers["pixels"])])
    unlike = _cosines(theirs[1:], theirs[:-1])
    yield Finding("features of successive photos", "largest cosine", float(unlike.max()), at_most=0.95)
    yield Finding(
        "image features, same random tower", "max relative error", _relative_error(ours, theirs), at_most=1e-4
    )
    predictions = [model.predict(photo, 5) for photo in photos]
    places = np.stack([lat_lng.numpy() for lat_lng, _ in predictions])
    probabilities = np.stack([p.numpy() for _, p in predictions])
    wrong = int((places != answers["top_lat_lng"]).any(axis=(1, 2)).sum())
    yield Finding("predict: top-5 coordinates in order", "photos that differ", wrong, at_most=0)
    off = float((np.abs(probabilities / answers["top_probabilities"] - 1)).max())
    yield Finding("predict: top-5 probabilities", "max relative error", off, at_most=1e-4)


def _features_bf16(answers: Answers, tower: Path, sample: int | None) -> Finding:
    encoder = ImageEncoder(clip_path=tower, precision="bf16").eval()
    pixels = torch.from_numpy(answers["pixels"][:sample])
    features = np.concatenate([encoder(photo[None]).numpy() for photo in pixels])
    cosine = _cosines(features, answers["features"][:sample])
    label = f"features of {len(pixels)} photos, bf16 tower of random weights"
    return Finding(label, "min cosine to fp32", float(cosine.min()))


def _relative_error(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    return float((np.abs(ours - theirs).max(axis=1) / np.abs(theirs).max(axis=1)).max())


def _cosines(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    a, b = a.astype(np.float64), b.astype(np.float64)
    cosines: NDArray[np.float64] = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return cosines


def _print(findings: list[Finding]) -> None:
    table = Table(title="Against the released package")
    for column in ("quantity", "measure", "measured", "allowed", "ok"):
        table.add_column(column, justify="right" if column in ("measured", "allowed") else "left")
    for finding in findings:
        ok = "" if not finding.allowed else "yes" if finding.ok else "NO"
        value = f"{finding.value:.7f}" if "cosine" in finding.measure else f"{finding.value:.3g}"
        table.add_row(finding.quantity, finding.measure, value, finding.allowed, ok)
    Console(width=None if sys.stdout.isatty() else 140).print(table)


if __name__ == "__main__":
    sys.exit(main())
