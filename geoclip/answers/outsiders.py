"""Which of several photos that are to show one place do not: each is compared with what all the others say."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from geoclip.answers.answer import Outsider
from geoclip.answers.answerer import Answerer
from geoclip.answers.answering import entropy_bits
from geoclip.answers.source import Asked

BELONGS = 0.05
"""A photo belongs if so much of its own probability lies in the circle that holds 90 % of what the others say."""
MOST = 200
"""Photos that are compared: each costs two searches."""


def outsiders(
    answerer: Answerer, names: Sequence[str], vectors: NDArray[np.float32], asked: Asked
) -> tuple[Outsider, ...]:
    """Return the photos that do not belong, the least fitting first; none where there are fewer than three.

    A photo that says little about where it was taken contradicts nobody.

    Args:
        answerer: what is searched.
        names: (N,) of the photos.
        vectors: (N, dim) of the photos.
        asked: what is asked.
    """
    if not 3 <= len(vectors) <= MOST:
        return ()
    total = vectors.astype(np.float64).sum(axis=0)
    others = ((total - vectors) / (len(vectors) - 1)).astype(np.float32)
    asked = Asked(replace(asked.question, k=1), asked.how)
    maker, found = answerer.maker(asked), []
    alone, rest = answerer.found(vectors, asked), answerer.found(others, asked)
    for row, name in enumerate(names):
        if entropy_bits(alone.posteriors[row]) > asked.how.threshold_bits:
            continue
        discs, best = maker.best(rest, row)
        middle = np.array([best.lat, best.lng])
        own, points_to = maker.best(alone, row)
        share = float(own.within(middle[None], max(discs.radius(middle, 0.9), 1.0))[0])
        if share < BELONGS:
            found.append(Outsider(name, share, maker.title(points_to)))
    return tuple(sorted(found, key=lambda each: each.share))
