"""Whether an index that is there is the one that a request asks for."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from index.building.request import Request
from index.grid.cells import Cells, parents
from index.storage.directory import CELLS, read_manifest
from index.storage.gallery import Gallery
from index.storage.manifest import BadIndexError


def is_built(request: Request, target: Path) -> bool:
    """Return whether a folder is an index that was made of this request; its vectors are not looked at."""
    try:
        made = read_manifest(target)
        cells = np.load(target / CELLS)
    except (BadIndexError, OSError, ValueError):
        return False
    wanted = request.described() | {"gallery": gallery_inside(request, cells).digest()}
    return wanted == {
        "coarse_res": made.coarse_res,
        "start_res": made.start_res,
        "gallery": made.gallery["digest"],
        "region": None if made.region is None else made.region["digest"],
        "block_cells": made.parameters.get("block_cells"),
        "dim": made.dim,
        "model": made.model,
        "tau": made.tau,
        "rests": made.rests,
        "nodes": made.nodes > 0,
        "encoder": made.encoder.get("arithmetic"),
        "versions": made.versions,
    }


def gallery_inside(request: Request, cells: Cells) -> Gallery:
    """Return the part of a request's gallery that lies in a grid.

    Args:
        request: of an index.
        cells: (N,) its coarse cells.
    """
    gallery = request.gallery
    inside = np.isin(parents(gallery.cells, request.coarse_res), cells)
    return replace(gallery, lat_lng=gallery.lat_lng[inside], counts=gallery.counts[inside], cells=gallery.cells[inside])
