"""Gaussian noise on coordinates, in metres along the sphere."""

import torch
from torch import Tensor

from geoclip.distance import EARTH_RADIUS_KM

_RADIUS_M = 1000 * EARTH_RADIUS_KM


def displaced(lat_lng_deg: Tensor, sigma_m: Tensor, generator: torch.Generator) -> Tensor:
    """Move places by Gaussian steps north and east, each along a great circle: near the poles too.

    Args:
        lat_lng_deg: (N, 2) float64, (lat, lng) in degrees.
        sigma_m: (N,) standard deviation of each of the two steps, in metres, on the same device.
        generator: on the CPU, so that every device and every rank draws the same noise; advanced by N draws of two.

    Returns:
        (N, 2) float64, latitude in [-90, 90], longitude in [-180, 180].
    """
    steps = torch.randn(len(lat_lng_deg), 2, dtype=torch.float64, generator=generator).to(lat_lng_deg.device)
    north, east = (steps * (sigma_m.double() / _RADIUS_M)[:, None]).unbind(dim=1)
    lat, lng = torch.deg2rad(lat_lng_deg.double()).unbind(dim=1)
    zero = torch.zeros_like(lat)
    up = torch.stack((lat.cos() * lng.cos(), lat.cos() * lng.sin(), lat.sin()), dim=1)
    to_north = torch.stack((-lat.sin() * lng.cos(), -lat.sin() * lng.sin(), lat.cos()), dim=1)
    to_east = torch.stack((-lng.sin(), lng.cos(), zero), dim=1)
    angle = torch.hypot(north, east)[:, None]
    along = to_north * north[:, None] + to_east * east[:, None]
    x, y, z = (up * angle.cos() + along * torch.sinc(angle / torch.pi)).unbind(dim=1)
    moved = torch.stack((torch.atan2(z, torch.hypot(x, y)), torch.atan2(y, x)), dim=1)
    return torch.rad2deg(moved)
