"""What maps show of an answer, whatever draws it: shaded cells, captions, thumbnails."""

import io
import math
from collections.abc import Sequence
from pathlib import PurePath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from geoclip.answers.answer import Answer, CellProbability
from geoclip.answers.figures import distance, percent
from geoclip.errors import InputError
from geoclip.writers.rings import Line, cell_lines
from geoclip.writers.wording import notes, shares
from index.grid.cells import FINEST, Cells, parents, resolutions

LEAST, MOST = 1e-5, 1.0
"""Probabilities at the two ends of the colour scale, which is logarithmic."""

LEAST_REST = 1e-3
"""A cell that holds so much outside its listed finer cells is drawn beneath them. `Answer.cells` lists none below."""

SEA, LAND, BORDER, POINT = "#dde5ea", "#f7f6f2", "#a9b0b5", "#c4320a"

LEAST_PIXELS = 20.0
"""Cells are at least so wide on screen; the next resolution takes over at 2.6 times that."""

THUMBNAIL_PIXELS = 320
MOST_COUNTRIES = 5


class Tree(NamedTuple):
    """The cells of an answer, coarse to fine, with what each holds outside the listed cells one resolution finer."""

    cells: Cells
    """(C,)"""
    resolutions: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    rests: NDArray[np.float64]
    """(C,) probability less that of the listed children."""
    free: NDArray[np.float64]
    """(C,) share of the children that are not listed, at least one in seven: about the share of the area."""
    rings: list[Line]

    def shown_at(self, res: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the rows of the cells to draw at a resolution, coarse to fine, and the probability to shade each by.

        Drawn are the cells of that resolution and, beneath them, the coarser ones that hold at least `LEAST_REST`
        outside their listed children: nothing vanishes where the tree ends early. Those are shaded by what a cell of
        the resolution holds in them on average, so that a shade means the same everywhere.
        """
        exact = self.resolutions == res
        rows = np.flatnonzero(exact | ((self.resolutions < res) & (self.rests >= LEAST_REST)))
        means = self.rests / (self.free * 7.0 ** (res - self.resolutions))
        return rows, np.where(exact, self.probabilities, means)[rows]


def tree_of(listed: Sequence[CellProbability]) -> Tree:
    """Return the cells of an answer with their outlines."""
    cells = np.array([int(cell, 16) for cell, _ in listed], dtype=np.uint64)
    probabilities = np.array([probability for _, probability in listed])
    levels = resolutions(cells)
    order = np.lexsort((cells, levels))
    cells, probabilities, levels = cells[order], probabilities[order], levels[order]
    rests, listed_children = probabilities.copy(), np.zeros(len(cells))
    rows = {cell: row for row, cell in enumerate(cells.tolist())}
    for res in range(1, FINEST + 1):
        finer = levels == res
        for parent, probability in zip(parents(cells[finer], res - 1).tolist(), probabilities[finer], strict=True):
            if parent in rows:
                rests[rows[parent]] -= probability
                listed_children[rows[parent]] += 1
    free = np.maximum(7 - listed_children, 1) / 7
    return Tree(cells, levels, probabilities, rests, free, cell_lines(cells))


def cell_width_m(res: int) -> float:
    """Return how wide H3 cells are: twice their mean edge length."""
    return 2 * 1281256.0 / 7 ** (res / 2)


def resolution_for(metres_per_pixel: float) -> int:
    """Return the finest H3 resolution whose cells are `LEAST_PIXELS` wide."""
    levels = math.log(cell_width_m(0) / (LEAST_PIXELS * metres_per_pixel)) / math.log(math.sqrt(7))
    return min(max(math.floor(levels), 0), FINEST)


def sentences(answer: Answer) -> list[str]:
    """Return what a reader must know beside the places: radii, countries, doubts, calibration, what was searched."""
    result = [answer.verdict] if answer.verdict else []
    half, most = answer.radius_50_km, answer.radius_90_km
    if math.isfinite(half) and math.isfinite(most):
        within = f"{distance(half)} of the best point, nine tenths within {distance(most)}"
        result.append(f"Half of the probability lies within {within}.")
    if answer.predictions and not math.isnan(answer.predictions[0].share):
        result.append(shares(answer))
    if answer.countries:
        named = [f"{area.name} {percent(area.probability)}" for area in answer.countries[:MOST_COUNTRIES]]
        result.append(f"By country: {', '.join(named)}.")
    result += notes(answer)
    if answer.predictions and answer.searched.calibrated:
        result.append("Probabilities are calibrated.")
    return [*result, searched_line(answer)] if answer.predictions else result


def searched_line(answer: Answer) -> str:
    """Return what was searched and how; of the index only its folder's own name, which tells nothing of the machine."""
    it = answer.searched
    index = f" index {PurePath(it.index).name} ({it.index_digest[:12]})" if it.index else ""
    parts = [
        f"Searched: {it.candidates}{index}",
        it.constraint or "everywhere",
        f"resolution {it.resolution}",
        f"effort {it.effort}" if it.effort else "",
        f"prior weight {it.prior_weight:g}",
        f"temperature {it.temperature:g}",
        f"point by {it.point}",
    ]
    return ", ".join(part for part in parts if part) + "."


def thumbnail(photo: bytes, query: str) -> bytes:
    """Return a photo as JPEG of at most 320 x 320 pixels, upright and without metadata.

    Raises:
        InputError: Pillow cannot read it; the message names the query.
    """
    try:
        with Image.open(io.BytesIO(photo)) as image:
            image.draft("RGB", (2 * THUMBNAIL_PIXELS, 2 * THUMBNAIL_PIXELS))
            small = ImageOps.exif_transpose(image).convert("RGB")
    except Exception as error:  # Pillow raises far more than OSError on damaged files
        raise InputError(f"The thumbnail of {query} is not an image that can be read; give JPEG bytes.") from error
    small.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
