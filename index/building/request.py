"""What is to be built, and what that takes."""

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from index.building.levels import BITS, UPPER_BITS
from index.building.plan import COARSEST, FINEST_COARSE, BuildPlan, block_cells_for
from index.building.smooth import KM2_A_NODE
from index.grid.cells import Cells, areas_km2
from index.grid.land import land_cells
from index.grid.region import Region
from index.storage.gallery import Gallery
from index.storage.lists import Bits
from index.storage.nodes import node_bytes
from index.storage.rows import SUM_BYTES
from index.storage.slopes import slope_bytes

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
    blocks_bytes: int
    """Of the scratch space, what the blocks take, wherever they are kept."""
    scratch_bytes: int
    memory_bytes: int


def grid(request: Request) -> Cells:
    """Return the coarse cells of a request: land, coast, inhabited places and the gallery, inside its region."""
    within = None if request.region is None else request.region.cells(request.coarse_res)
    return land_cells(request.coarse_res, also=request.gallery.cells_at(request.coarse_res), within=within)


def cost(request: Request, cells: Cells) -> Cost:
    """Estimate a build of these cells; no file is touched."""
    plan = BuildPlan(cells, block_cells_for(request.memory_bytes, request.dim))
    return cost_of(request, len(cells), float(areas_km2(cells[:1])[0]), plan.encodings)


def cost_of(request: Request, cells: int, cell_km2: float, encodings: int) -> Cost:
    """Estimate a build of so many cells.

    Args:
        request: of which the cells themselves do not matter.
        cells: how many.
        cell_km2: the area of one.
        encodings: of all their children.
    """
    block_cells = block_cells_for(request.memory_bytes, request.dim)
    upper = cells / 6.5  # each level up has about a seventh, and ragged edges
    slopes = slope_bytes(request.dim, rests=request.rests) + SUM_BYTES
    lists = cells * (request.dim * BITS // 8 + 8) + upper * 1.2 * (request.dim * request.upper_bits // 8 + 8)
    index_bytes = int(lists + cells * (8 + 4 + 2 + slopes) + upper * 4)
    if request.nodes:
        index_bytes += int(cell_km2 * cells / KM2_A_NODE * (node_bytes(request.dim) + SUM_BYTES + 8))
    index_bytes += len(request.gallery) * 20 + (17 << 20)
    blocks_bytes = int(cells * (2 * request.dim + 12 + slopes))
    scratch = blocks_bytes + int(upper * 2.4 * (2 * request.dim + 12))
    memory = max(block_cells * 7 * 64 * 4, cells * 60) + (1600 << 20)  # the land raster, and the libraries
    return Cost(cells, encodings, -(-cells // block_cells), index_bytes, blocks_bytes, scratch, memory)


def _versions() -> dict[str, str]:
    return {"geoclip-planet": version("geoclip-planet")} | {name: version(name) for name in _VERSIONS}
