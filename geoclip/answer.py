"""What an answer is."""

from dataclasses import dataclass
from typing import NamedTuple


class Prediction(NamedTuple):
    """One place that may be where a photo was taken."""

    lat: float
    """Degrees, -90 to 90."""
    lng: float
    """Degrees, -180 to 180."""
    probability: float
    """Of the place among all candidates, or of its cell among all land; not calibrated."""
    score: float
    """Cosine between the query's and the place's vectors."""
    cell: str = ""
    """H3 cell around the place, in hexadecimal."""


@dataclass(frozen=True)
class Answer:
    """Where one query may have been taken: predictions best first, or the reason why there are none."""

    query: str
    predictions: tuple[Prediction, ...] = ()
    error: str | None = None
