"""A map of where photos were taken and where they were put, for TensorBoard."""

from typing import Any, NamedTuple

import numpy as np
from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from geoclip.map.contents import BORDER, LAND, SEA
from geoclip.map.outline import outlines

MOST = 300
"""Photos drawn: more would cover each other."""


class _Class(NamedTuple):
    """Photos of similar error: told apart by shade and marker too, in grey prints and without colour vision."""

    farthest_km: float
    name: str
    colour: str
    marker: str


_CLASSES = (
    _Class(200.0, "within 200 km", "#7cc5e8", "o"),
    _Class(2500.0, "within 2,500 km", "#d55e00", "^"),
    _Class(np.inf, "farther", "#1b1b3a", "X"),
)


def prediction_map(
    truth_deg: NDArray[np.float64], predicted_deg: NDArray[np.float64], km: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """Draw a line from each true place to the predicted one, a marker at the true place: which, says the distance.

    Args:
        truth_deg: (N, 2), (lat, lng) in degrees; of more than `MOST` every n-th of a class is drawn. N may be 0.
        predicted_deg: (N, 2).
        km: (N,) between the two.

    Returns:
        (600, 1200, 3) RGB.
    """
    with style.context("default"):
        figure = Figure(figsize=(12, 6), dpi=100)
        axes = figure.add_axes((0, 0, 1, 1), facecolor=SEA, xticks=[], yticks=[], xlim=(-180, 180), ylim=(-90, 90))
        land = [ring[:, ::-1] for ring in outlines()]
        axes.add_collection(PolyCollection(land, facecolor=LAND, edgecolor=BORDER, linewidth=0.3))
        kind = np.searchsorted([c.farthest_km for c in _CLASSES], km)
        shares = np.bincount(kind, minlength=len(_CLASSES)) / max(len(km), 1)
        for number, (_, name, colour, marker) in enumerate(_CLASSES):
            rows = np.flatnonzero(kind == number)[:: max(1, -(-len(km) // MOST))]
            lines = np.stack((truth_deg[rows], predicted_deg[rows]), axis=1)[:, :, ::-1]
            lines[:, 1, 0] = lines[:, 0, 0] + (lines[:, 1, 0] - lines[:, 0, 0] + 180.0) % 360.0 - 180.0  # shorter way
            axes.add_collection(LineCollection(list(lines), colors=colour, linewidths=0.8, alpha=0.7))
            axes.plot(
                *truth_deg[rows, ::-1].T,
                marker,
                ms=6,
                color=colour,
                mec="black",
                mew=0.5,
                label=f"{name}: {shares[number]:.0%}",
            )
        axes.legend(
            loc="lower left", fontsize=12, title=f"{len(km):,} photos: a line to the place found", title_fontsize=12
        )
        canvas: Any = FigureCanvasAgg(figure)  # its methods have no types
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()
