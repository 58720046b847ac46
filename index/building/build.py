"""A build: grid, gallery and prior, blocks of representatives, stored levels, a sealed directory.

Everything is made in a folder beside the target, `<target>.building`, and stays there when a build is stopped: the same
build goes on from it. What is there is trusted only if it was begun with the same request.
"""

import hashlib
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import replace as replace_fields
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from index.building.accuracy import chosen_spacing, smooth_from
from index.building.blocks import encode_blocks, read_blocks
from index.building.levels import BITS, UPPER_BITS, write_levels
from index.building.plan import COARSEST, FINEST_COARSE, BuildPlan, block_cells_for
from index.building.smooth import KM2_A_NODE, write_nodes
from index.building.working_folder import BLOCKS, INDEX, SCRATCH, OtherBuildError, claim, locked, read_grid, save_grid
from index.encoder import Encoder
from index.files import written_whole
from index.grid.cells import Cells, areas_km2, centres, children, parents, resolution, spacing_km
from index.grid.land import land_cells
from index.grid.region import Region
from index.storage.artifact import check_replaceable, seal
from index.storage.directory import CELLS, GALLERY, PRIOR
from index.storage.gallery import Gallery
from index.storage.lists import Bits
from index.storage.manifest import Manifest
from index.storage.nodes import node_bytes
from index.storage.prior import Prior
from index.storage.rows import SUM_BYTES
from index.storage.slopes import slope_bytes

OnStage = Callable[[str, int, int], object]
"""Called with the name of the stage, what is done of it, and all of it; 0 of 0 where nothing is counted."""

_TRIAL_CELLS = 1024
_VERSIONS = ("numpy", "torch", "h3ronpy", "global-land-mask", "reverse-geocode", "pyarrow", "safetensors")


@dataclass(frozen=True)
class Request:
    """What is to be built.

    Raises:
        ValueError: a resolution is out of range.
    """

    coarse_res: int
    gallery: Gallery
    gallery_source: str
    region: Region | None = None
    region_name: str = ""
    start_res: int = 3
    memory_bytes: int = 4 << 30
    dim: int = 512
    model: str = ""
    """Digest of the model."""
    tau: float = 1.0
    rests: bool = False
    """Store what the slopes leave of children's vectors: much for a coarse index, which encodes few."""
    nodes: bool = True
    """Store the encoder's smooth part at nodes."""
    encoder: str = "fp32 on cpu"
    """Arithmetic and device of the encoder: they are part of what an index is."""

    def __post_init__(self) -> None:
        if not COARSEST <= self.coarse_res <= FINEST_COARSE:
            raise ValueError(f"The coarse resolution is {self.coarse_res}; choose {COARSEST} to {FINEST_COARSE}.")
        if not 0 <= self.start_res < self.coarse_res:
            raise ValueError(f"The start level is {self.start_res}; choose 0 to {self.coarse_res - 1}.")
        if self.dim < 32 or self.dim % 32:
            raise ValueError(f"The vectors have {self.dim} dimensions; the lists store multiples of 32.")

    @property
    def upper_bits(self) -> Bits:
        """Bits of a stored number above the coarse level: few where the index is to be small."""
        return BITS if self.rests else UPPER_BITS

    def described(self) -> dict[str, Any]:
        """Return what makes two requests the same, ready for JSON."""
        return {
            "coarse_res": self.coarse_res,
            "start_res": self.start_res,
            "gallery": self.gallery.digest(),
            "region": self.region.digest() if self.region is not None else None,
            "block_cells": block_cells_for(self.memory_bytes, self.dim),
            "dim": self.dim,
            "model": self.model,
            "tau": self.tau,
            "rests": self.rests,
            "nodes": self.nodes,
            "encoder": self.encoder,
            "versions": _versions(),
        }


@dataclass(frozen=True)
class Cost:
    """What a build will take, known before it begins."""

    cells: int
    encodings: int
    blocks: int
    index_bytes: int
    scratch_bytes: int
    memory_bytes: int


def grid(request: Request) -> Cells:
    """Return the coarse cells of a request: land, coast, inhabited places and the gallery, inside its region."""
    within = None if request.region is None else request.region.cells(request.coarse_res)
    return land_cells(request.coarse_res, also=request.gallery.cells_at(request.coarse_res), within=within)


def cost(request: Request, cells: Cells) -> Cost:
    """Estimate a build of these cells; no file is touched."""
    plan = BuildPlan(cells, block_cells_for(request.memory_bytes, request.dim))
    upper = len(cells) / 6.5  # each level up has about a seventh, and ragged edges
    slopes = slope_bytes(request.dim, rests=request.rests) + SUM_BYTES
    lists = len(cells) * (request.dim * BITS // 8 + 8) + upper * 1.2 * (request.dim * request.upper_bits // 8 + 8)
    index_bytes = int(lists + len(cells) * (8 + 4 + 2 + slopes) + upper * 4)
    if request.nodes:
        index_bytes += int(
            areas_km2(cells[:1])[0] * len(cells) / KM2_A_NODE * (node_bytes(request.dim) + SUM_BYTES + 8)
        )
    index_bytes += len(request.gallery) * 20 + (17 << 20)
    scratch = int((len(cells) + upper * 2.4) * (2 * request.dim + 12) + len(cells) * slopes)
    memory = max(plan.block_cells * 7 * 64 * 4, len(cells) * 60) + (1600 << 20)  # the land raster, and the libraries
    return Cost(len(cells), plan.encodings, len(plan), index_bytes, scratch, memory)


def points_per_second(cells: Cells, encoder: Encoder) -> float:
    """Encode the children of some cells in the middle of a grid, and say how fast that was."""
    middle = max(len(cells) // 2 - _TRIAL_CELLS // 2, 0)
    trial = centres(children(cells[middle : middle + _TRIAL_CELLS], resolution(cells[:1]) + 1))
    spacing = spacing_km(resolution(cells[:1]) + 1)
    encoder.nearby(trial[:16], spacing)  # the first call sets things up
    start = time.perf_counter()
    encoder.nearby(trial, spacing)
    return len(trial) / (time.perf_counter() - start)


def build(request: Request, encoder: Encoder, target: Path, *, report: OnStage, replace: bool = False) -> None:
    """Build an index, or go on with a build that was stopped.

    Args:
        request: what to build.
        encoder: of the model.
        target: the directory to be made.
        report: is told how it goes.
        replace: put the new index in the place of one that is there.

    Raises:
        OtherBuildError: `target` exists and is not to be replaced, or is not an index; or its beginnings belong to
            another request or a running process.
        ValueError: the region holds no land, or a block on disk was damaged.
        OSError: the disk is full or cannot be written; what was done is kept.
    """
    target = target.resolve()
    try:
        check_replaceable(target, replace=replace)
    except FileExistsError as error:
        raise OtherBuildError(str(error)) from error
    with locked(target) as work:
        claim(work, request.described())
        scratch, final = work / SCRATCH, work / INDEX
        shutil.rmtree(final, ignore_errors=True)  # of a build that was stopped while writing, or the index it replaced
        final.mkdir()
        cells = _grid(work, request, report)
        plan = BuildPlan(cells, block_cells_for(request.memory_bytes, request.dim))
        spacing, least = chosen_spacing(cells, 1, encoder)
        encode = partial(encoder.nearby, spacing_km=spacing)
        encode_blocks(
            plan, work / BLOCKS, encode, lambda done, total: report("Encoding", done, total), rests=request.rests
        )
        nodes = write_nodes(cells if request.nodes else cells[:0], encoder, final)
        report("Fitting the prior", 0, 0)
        gallery, prior = _gallery_and_prior(request, cells)
        gallery.save(final / GALLERY)
        _save(final / CELLS, cells)
        _save(final / PRIOR, prior.coarse_log_mass.astype(np.float32))
        report("Writing the index", 0, 0)
        write_levels(
            lambda: read_blocks(plan, work / BLOCKS), cells, request.start_res, final, scratch, request.upper_bits
        )
        report("Sealing", 0, 0)
        manifest = _manifest(request, plan, gallery, prior)
        measured = replace_fields(
            manifest, nodes=nodes, least_cosine=min(round(least, 6), 1.0), smooth_res=smooth_from(cells, encoder)
        )
        seal(final, measured, target, replace=replace)
        shutil.rmtree(work)


def _grid(work: Path, request: Request, report: OnStage) -> Cells:
    cells = read_grid(work)
    if cells is None:
        report("Finding land", 0, 0)
        cells = grid(request)
        save_grid(work, cells)
    return cells


def _gallery_and_prior(request: Request, cells: Cells) -> tuple[Gallery, Prior]:
    """Return the part of the gallery that lies in the grid, and the prior it gives."""
    gallery = request.gallery
    inside = np.isin(parents(gallery.cells, request.coarse_res), cells)
    gallery = replace_fields(
        gallery, lat_lng=gallery.lat_lng[inside], counts=gallery.counts[inside], cells=gallery.cells[inside]
    )
    return gallery, Prior.fit(cells, areas_km2(cells), gallery)


def _save(path: Path, array: np.ndarray[Any, Any]) -> None:
    with written_whole(path) as temporary, temporary.open("wb") as file:
        np.save(file, array)


def _manifest(request: Request, plan: BuildPlan, gallery: Gallery, prior: Prior) -> Manifest:
    """Return the manifest but for what is measured while building."""
    described = request.described()
    return Manifest(
        model=request.model,
        tau=request.tau,
        dim=request.dim,
        encoder={"arithmetic": request.encoder},
        smooth_res=1,
        least_cosine=1.0,
        rests=request.rests,
        nodes=0,
        coarse_res=request.coarse_res,
        start_res=request.start_res,
        cells=len(plan.cells),
        encodings=plan.encodings,
        grid=_digest(plan.cells),
        region=None if request.region is None else {"name": request.region_name, "digest": request.region.digest()},
        gallery={
            "source": request.gallery_source,
            "digest": gallery.digest(),
            "places": len(gallery),
            "photos": gallery.total,
        },
        prior={**prior.parameters(), "digest": _digest(prior.coarse_log_mass.astype(np.float32))},
        parameters={"block_cells": plan.block_cells},
        versions=described["versions"],
    )


def _digest(array: np.ndarray[Any, Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


def _versions() -> dict[str, str]:
    return {"geoclip-planet": version("geoclip-planet")} | {name: version(name) for name in _VERSIONS}
