"""What one system answered for labelled photos: arrays in the order of the labels."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from geoclip.answers.answer import Answer
from geoclip.errors import InputError
from index.grid.sphere import Floats

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class AnswerTable:
    """Answers to N photos, up to K places each. What is not known is NaN."""

    places: Floats
    """(N, K, 2) degrees, best first; K is 1 or more."""
    score: Floats
    """(N,) of the best place, in the system's own measure."""
    nearby: Floats
    """(N,) claimed probability within 25 km of the best place."""
    radius_50_km: Floats
    """(N,) of the circle around the best place that is claimed to hold half of the probability."""
    radius_90_km: Floats
    seen: NDArray[np.bool_]
    """(N,) whether the system was given the photo, or has a row for it."""

    @classmethod
    def blank(cls, photos: int, places: int) -> Self:
        """Return answers that know nothing of any photo."""
        score, nearby, radius_50_km, radius_90_km = np.full((4, photos), np.nan)
        nowhere = np.full((photos, places, 2), np.nan)
        return cls(nowhere, score, nearby, radius_50_km, radius_90_km, np.zeros(photos, dtype=bool))

    @property
    def answered(self) -> NDArray[np.bool_]:
        """(N,) whether there is a best place."""
        return np.asarray(np.isfinite(self.places[:, 0]).all(axis=1), dtype=bool)

    def put(self, row: int, answer: Answer) -> None:
        """Enter the answer to one photo; of its places, as many as there is room for."""
        self.seen[row] = True
        for rank, place in enumerate(answer.predictions[: self.places.shape[1]]):
            self.places[row, rank] = place.lat, place.lng
        if answer.predictions:
            self.score[row], self.nearby[row] = answer.best.score, answer.best.nearby
            self.radius_50_km[row], self.radius_90_km[row] = answer.radius_50_km, answer.radius_90_km

    def in_order(self, rows: Rows, photos: int) -> "AnswerTable":
        """Return the answers with number i at `rows[i]`; those with a row below 0 are left out."""
        ordered = AnswerTable.blank(photos, self.places.shape[1])
        for each in fields(self):
            getattr(ordered, each.name)[rows[rows >= 0]] = getattr(self, each.name)[rows >= 0]
        return ordered


def own_rows(rows: Rows, names: Sequence[str]) -> Rows:
    """Return the rows of N inputs in the labels if each is there once, -1 where it has none; see `Labels.rows`.

    Raises:
        InputError: two inputs have one row.
    """
    if len(twice := np.flatnonzero(np.bincount(rows[rows >= 0]) > 1)):
        first, second, *_ = (names[at] for at in np.flatnonzero(rows == twice[0]).tolist())
        raise InputError(f"The labels have one row for the inputs {first!r} and {second!r}; keep one of these.")
    return rows
