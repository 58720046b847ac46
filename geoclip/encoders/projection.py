"""Equal Earth projection: degrees to the plane that the location encoder was trained on."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Šavrič, Patterson, Jenny: "The Equal Earth map projection", IJGIS 33(3), 2019, equations 1-3.
A1, A2, A3, A4 = 1.340264, -0.081106, 0.000893, 0.003796


def equal_earth(lat_lng_deg: Tensor) -> Tensor:
    """Project coordinates to the encoder's plane.

    The order of operations follows the released model, so that float32 results agree to the last bit: the
    finest Fourier features turn one unit in the last place into a phase error of 1e-4.

    Args:
        lat_lng_deg: (N, 2) float32 or float64, (lat, lng) in degrees, longitude in [-180, 180).

    Returns:
        (N, 2) of the same dtype: x in [-1, 1], y in [-0.49, 0.49].
    """
    return torch.stack(_plane(torch, lat_lng_deg), dim=1)


def equal_earth_of_few(lat_lng_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    """Project coordinates as `equal_earth` does, by numpy: for a few points torch takes most of its time to begin."""
    return np.stack(_plane(np, lat_lng_deg), axis=1)


def _plane(library: Any, lat_lng_deg: Any) -> tuple[Any, Any]:
    """Return x and y (N,), computed by numpy or torch."""
    lat, lng = library.deg2rad(lat_lng_deg[:, 0]), library.deg2rad(lat_lng_deg[:, 1])
    theta = library.arcsin((math.sqrt(3.0) / 2.0) * library.sin(lat))
    slope = 3 * (9 * A4 * theta**8 + 7 * A3 * theta**6 + 3 * A2 * theta**2 + A1)
    x = (2 * math.sqrt(3.0) * lng * library.cos(theta)) / slope
    y = A4 * theta**9 + A3 * theta**7 + A2 * theta**3 + A1 * theta
    return (x * 66.50336) / 180, (y * 66.50336) / 180
