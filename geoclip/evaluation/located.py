"""Answers for vectors whose true places are known, and sees how the posteriors hold them."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from geoclip.answers.answerer import Answerer
from geoclip.answers.source import Asked
from geoclip.evaluation.answer_table import AnswerTable
from geoclip.evaluation.measures import MASSES, CellSet
from index.grid.cells import Cells, areas_km2, cells_at, parents, resolutions
from index.grid.sphere import Floats
from index.search.discs import Discs
from index.search.posterior import Posterior

TOGETHER = 64
"""Vectors searched at once: so many posteriors are in memory."""

RowVector = tuple[int, NDArray[np.float32]]
"""The row of a photo in the labels, and its vector (dim,)."""


def located(
    answerer: Answerer,
    asked: Asked,
    vectors: Iterable[RowVector],
    lat_lng: Floats,
    *,
    on_progress: Callable[[int, int | None], object] = lambda done, total: None,
) -> tuple[AnswerTable, tuple[CellSet, ...]]:
    """Answer for vectors of labelled photos.

    Args:
        answerer: to be evaluated.
        asked: what is asked of it.
        vectors: of photos; read `TOGETHER` at a time.
        lat_lng: (N, 2) degrees, the true places of all photos.
        on_progress: called with the number answered so far, and None.

    Returns:
        The answers in the order of the labels, blank for photos without a vector; and how posteriors fared.
    """
    answers = AnswerTable.blank(len(lat_lng), asked.question.k)
    inside = np.zeros((len(lat_lng), len(MASSES)), dtype=bool)
    areas: list[Floats] = []
    for rows, batch in _batches(vectors):
        places = answerer.found(batch, asked)
        found = answerer.read([str(row) for row in rows], batch, places, asked)
        for row, answer, posterior in zip(rows, found, places.posteriors, strict=True):
            answers.put(row, answer)
            inside[row], area = smallest_sets(posterior, lat_lng[row])
            areas.append(area)
        on_progress(len(areas), None)
    middle = np.median(areas, axis=0) if areas else np.full(len(MASSES), np.nan)
    sets = zip(MASSES, inside.mean(axis=0).tolist(), middle.tolist(), strict=True)
    return answers, tuple(CellSet(*each) for each in sets)


def smallest_sets(posterior: Posterior, lat_lng: Floats) -> tuple[NDArray[np.bool_], Floats]:
    """Return whether a point (2,) is in the smallest set of cells of each of `MASSES`, and the sets' areas in km2.

    The cells are those of `Discs`: 99.9 % of the probability, the lightest joined into their parents.
    """
    discs = Discs.of(posterior)
    areas = areas_km2(discs.cells)
    order = np.argsort(-discs.mass / areas, kind="stable")
    held = np.cumsum(discs.mass[order])
    counts = np.minimum(np.searchsorted(held, np.array(MASSES) - 1e-12) + 1, len(order))
    own = np.flatnonzero(np.isin(discs.cells[order], _ancestors(lat_lng, posterior.finest, discs.cells)))
    at = int(own[0]) if len(own) else len(order)
    return at < counts, np.cumsum(areas[order])[counts - 1]


def _ancestors(lat_lng: Floats, finest: int, cells: Cells) -> Cells:
    """Return the cells that hold a point, one of each resolution of `cells`."""
    own = cells_at(lat_lng[None], finest)
    return np.concatenate([parents(own, res) for res in np.unique(resolutions(cells)).tolist()])


def _batches(vectors: Iterable[RowVector]) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
    waiting = iter(vectors)
    while pairs := list(islice(waiting, TOGETHER)):
        yield [row for row, _ in pairs], np.stack([vector for _, vector in pairs])
