"""The directory of an index: what is in it, how it is sealed, opened and verified.

    manifest.json        what the index is made of: model, grid, gallery, prior, parameters, versions, sizes of files
    cells.npy            coarse H3 cells, uint64, sorted
    lengths.npy          float16 a coarse cell: length of the mean of its children's vectors before normalisation
    prior.npy            float32 a coarse cell: log prior probability
    gallery.parquet      coordinates with counts, sorted by cell
    start.safetensors    float16 vectors of the start level
    level-R.lists        FAISS inverted lists of the scalar-quantised representatives of the cells of resolution R
    level-R.safetensors  their sizes and the ranges of the quantiser
    SHA256SUMS           of every other file; `sha256sum -c` reads it

A directory is made elsewhere and takes its name by one rename, so what has the name is whole.
"""

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from index.files import sha256_of, sync

FORMAT = 1
MANIFEST, SUMS = "manifest.json", "SHA256SUMS"
_KIND = "geoclip-planet index"


class BadIndexError(ValueError):
    """A directory is not an index, or a damaged one, or one of another format or model."""


@dataclass(frozen=True)
class Manifest:
    """What an index is made of; saved beside it."""

    model: str
    """Digest of the model whose location encoder made the vectors."""
    tau: float
    """Inverse temperature of the model's scores."""
    dim: int
    encoder: dict[str, Any]
    """Arithmetic and device that the vectors were made with."""
    coarse_res: int
    start_res: int
    cells: int
    """Coarse cells."""
    encodings: int
    grid: str
    """Digest of the coarse cells."""
    region: dict[str, str] | None
    """Name and digest of the region the grid is restricted to."""
    gallery: dict[str, Any]
    """Source, digest and counts of the gallery."""
    prior: dict[str, Any]
    """Parameters of the prior, and its digest."""
    parameters: dict[str, Any]
    """How the build was cut into blocks."""
    versions: dict[str, str]
    """Of the software that made it."""
    files: dict[str, int] = field(default_factory=dict)
    """Bytes of every other file."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read and check the manifest of an index: its own digest, its format, and the sizes of all files.

        Raises:
            BadIndexError: the directory is not an index, is damaged or truncated, or has a newer format.
        """
        path = folder / MANIFEST
        if not path.is_file():
            raise BadIndexError(
                f"{folder} is not an index: it has no {MANIFEST}; make one with `geoclip build {folder}`."
            )
        if _sums(folder).get(MANIFEST) != sha256_of(path):
            raise BadIndexError(f"{path} is damaged: it differs from its digest in {SUMS}; build the index again.")
        content = json.loads(path.read_text(encoding="utf-8"))
        kind, version = content.pop("kind", None), content.pop("format", None)
        if kind != _KIND:
            raise BadIndexError(f"{path} describes {kind!r}, not a {_KIND}; give the folder of an index.")
        if version != FORMAT:
            raise BadIndexError(
                f"{folder} has format {version}, this version reads {FORMAT}; build it again or update."
            )
        manifest = cls(**content)
        for name, size in manifest.files.items():
            file = folder / name
            if not file.is_file():
                raise BadIndexError(f"{file} is missing; copy the index again or build it again.")
            if file.stat().st_size != size:
                raise BadIndexError(
                    f"{file} has {file.stat().st_size} bytes, not {size}; copy the index again or build it again."
                )
        return manifest


def level_path(folder: Path, res: int) -> Path:
    """Return the file of a level's lists."""
    return folder / f"level-{res}.lists"


def start_path(folder: Path) -> Path:
    """Return the file of the level a walk starts from."""
    return folder / "start.safetensors"


def seal(folder: Path, manifest: Manifest, target: Path, *, replace: bool = False) -> None:
    """Write manifest and digests into a finished folder and give it its name.

    Raises:
        FileExistsError: `target` exists and is not to be replaced.
    """
    files = sorted(path for path in folder.iterdir() if path.name not in (MANIFEST, SUMS))
    described = asdict(manifest) | {"files": {path.name: path.stat().st_size for path in files}}
    text = json.dumps({"kind": _KIND, "format": FORMAT} | described, indent=2) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    lines = [f"{sha256_of(path)}  {path.name}\n" for path in (folder / MANIFEST, *files)]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")
    for path in (*files, folder / MANIFEST, folder / SUMS, folder):
        sync(path)
    replaced = folder.with_name(f"{folder.name}.replaced")
    if target.exists():
        if not replace:
            raise FileExistsError(target)
        shutil.rmtree(replaced, ignore_errors=True)
        target.rename(replaced)  # not removed bit by bit: what has the name is whole
    folder.rename(target)
    sync(target.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def verify(folder: Path) -> list[str]:
    """Read every byte of an index; return what is wrong with it, one sentence each. An empty list is a sound index."""
    try:
        manifest = Manifest.load(folder)
        sums = _sums(folder)
    except BadIndexError as error:
        return [str(error)]
    problems = [f"{folder / name} is not listed in {SUMS}." for name in manifest.files if name not in sums]
    known = {*sums, SUMS}
    problems += [f"{path} does not belong to the index." for path in folder.iterdir() if path.name not in known]
    for name, digest in sums.items():
        path = folder / name
        if not path.is_file():
            problems.append(f"{path} is missing.")
        elif sha256_of(path) != digest:
            problems.append(f"{path} is damaged: its sha256 is not the one in {SUMS}.")
    return problems


def _sums(folder: Path) -> dict[str, str]:
    path = folder / SUMS
    try:
        text = path.read_bytes().decode("ascii")
        lines = text.removesuffix("\n").split("\n")  # splitlines would take other control characters for ends, too
        pairs = [line.split("  ", 1) for line in lines]
        return {name: digest for digest, name in pairs}
    except FileNotFoundError as error:
        raise BadIndexError(
            f"{folder} is not an index: it has no {SUMS}; make one with `geoclip build {folder}`."
        ) from error
    except ValueError as error:
        raise BadIndexError(f"{path} is damaged: it is not a list of digests; build the index again.") from error
