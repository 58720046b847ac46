"""A map of where photos were taken and where they were put, for TensorBoard."""

from typing import Any

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
_CLASSES = ((200.0, "#1a7f37", "within 200 km"), (2500.0, "#bf8700", "within 2,500 km"), (np.inf, "#cf222e", "farther"))


def prediction_map(
    truth_deg: NDArray[np.float64], predicted_deg: NDArray[np.float64], km: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """Draw a line from each true place to the predicted one, a dot at the true place, coloured by the distance.

    Args:
        truth_deg: (N, 2), (lat, lng) in degrees; of more than `MOST` every n-th is drawn. N may be 0.
        predicted_deg: (N, 2).
        km: (N,) between the two.

    Returns:
        (600, 1200, 3) RGB.
    """
    shown = slice(None, None, max(1, -(-len(km) // MOST)))
    truth, predicted, km = truth_deg[shown], predicted_deg[shown], km[shown]
    with style.context("default"):
        figure = Figure(figsize=(12, 6), dpi=100)
        axes = figure.add_axes((0, 0, 1, 1), facecolor=SEA, xticks=[], yticks=[], xlim=(-180, 180), ylim=(-90, 90))
        land = [ring[:, ::-1] for ring in outlines()]
        axes.add_collection(PolyCollection(land, facecolor=LAND, edgecolor=BORDER, linewidth=0.3))
        nearest = 0.0
        for farthest, colour, name in _CLASSES:
            rows = np.flatnonzero((km <= farthest) & ((km > nearest) | (nearest == 0.0)))
            nearest = farthest
            lines = np.stack((truth[rows], predicted[rows]), axis=1)[:, :, ::-1]
            lines[:, 1, 0] = lines[:, 0, 0] + (lines[:, 1, 0] - lines[:, 0, 0] + 180.0) % 360.0 - 180.0  # shorter way
            axes.add_collection(LineCollection(list(lines), colors=colour, linewidths=0.8, alpha=0.7))
            axes.plot(truth[rows, 1], truth[rows, 0], "o", ms=3.5, color=colour, label=f"{name}: {len(rows)}")
        axes.legend(loc="lower left", fontsize=9)
        canvas: Any = FigureCanvasAgg(figure)  # its methods have no types
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()
