"""Coordinates at the door: check them, and bring longitudes into [-180, 180)."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geoclip.errors import InputError


def checked_lat_lng(lat_lng_deg: Tensor) -> Tensor:
    """Return the coordinates with longitude wrapped to [-180, 180), or refuse them.

    Longitudes already inside the interval keep every bit, so results equal those of code that does not wrap.

    Args:
        lat_lng_deg: (N, 2) floating point, (lat, lng) in degrees. N may be 0.

    Raises:
        InputError: another shape or dtype, a value that is not finite, or a latitude outside [-90, 90].
    """
    if lat_lng_deg.ndim != 2 or lat_lng_deg.shape[1] != 2:
        raise InputError(
            f"Coordinates have the shape {tuple(lat_lng_deg.shape)}; give (N, 2): latitude, longitude in degrees."
        )
    if not lat_lng_deg.is_floating_point():
        raise InputError(f"Coordinates have the dtype {lat_lng_deg.dtype}; give float32 or float64 degrees.")
    valid = torch.isfinite(lat_lng_deg).all(dim=1) & (lat_lng_deg[:, 0].abs() <= 90.0)
    if not bool(valid.all()):
        row = int((~valid).nonzero()[0, 0])
        lat, lng = lat_lng_deg[row].tolist()
        raise InputError(
            f"Coordinate {row} is ({lat:g}, {lng:g}); latitude must be in [-90, 90] and both must be finite "
            "(the order is latitude, longitude)."
        )
    lng = lat_lng_deg[:, 1]
    wrapped = torch.remainder(lng + 180.0, 360.0) - 180.0
    # remainder of a tiny negative number rounds up to 360 itself
    wrapped = torch.where(wrapped >= 180.0, -180.0, wrapped)
    inside = (lng >= -180.0) & (lng < 180.0)
    return torch.stack((lat_lng_deg[:, 0], torch.where(inside, lng, wrapped)), dim=1)


def is_plain(lat_lng_deg: NDArray[np.float64]) -> bool:
    """Return whether there is nothing to refuse or to wrap in coordinates."""
    return lat_lng_deg.ndim == 2 and bool((abs(lat_lng_deg) <= (90.0, 179.999)).all())
