"""The location encoder on every GPU there is: points are shared out evenly, the vectors come back in order."""

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from geoclip.encoders.location import LocationEncoder
from geoclip.encoders.neighbourhood import NodeValues, StoredNodes


class MultiGpuEncoder:
    """Encodes on several devices at once; on one, it is that encoder.

    Args:
        encoder: on any device; it is copied to each.
        devices: where to compute; from one.
    """

    def __init__(self, encoder: LocationEncoder, devices: list[torch.device]) -> None:
        self.encoders = [encoder.to(devices[0]), *(copy.deepcopy(encoder).to(device) for device in devices[1:])]
        self._threads = ThreadPoolExecutor(len(devices))

    def embed(self, lat_lng_deg: NDArray[np.float64]) -> NDArray[np.float32]:
        """Embed coordinates (N, 2) as unit vectors (N, dim) float32; see `LocationEncoder.embed`."""
        return self._shared_out(LocationEncoder.embed, lat_lng_deg)

    def exactly(self, lat_lng_deg: NDArray[np.float64]) -> NDArray[np.float32]:
        """See `LocationEncoder.exactly`."""
        return self._shared_out(LocationEncoder.exactly, lat_lng_deg)

    def quickly(self, lat_lng_deg: NDArray[np.float64], nodes: StoredNodes | None = None) -> NDArray[np.float32]:
        """See `LocationEncoder.quickly`; a few points are computed on the first device."""
        return self.encoders[0].quickly(lat_lng_deg, nodes)

    def quickly_on_device(self, lat_lng_deg: torch.Tensor, nodes: NodeValues | None = None) -> torch.Tensor:
        """See `LocationEncoder.quickly_on_device`; on the first device."""
        return self.encoders[0].quickly_on_device(lat_lng_deg, nodes)

    def nearby(self, lat_lng_deg: NDArray[np.float64], spacing_km: float) -> NDArray[np.float32]:
        """See `LocationEncoder.nearby`."""
        return self._shared_out(partial(LocationEncoder.nearby, spacing_km=spacing_km), lat_lng_deg)

    def nodes_around(self, lat_lng_deg: NDArray[np.float64]) -> NDArray[np.int64]:
        """See `LocationEncoder.nodes_around`."""
        return self.encoders[0].nodes_around(lat_lng_deg)

    def values_at(self, keys: NDArray[np.int64]) -> NDArray[np.float32]:
        """See `LocationEncoder.values_at`."""
        return self.encoders[0].values_at(keys)

    def _shared_out(
        self, method: Callable[[LocationEncoder, NDArray[np.float64]], NDArray[np.float32]], points: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        if len(self.encoders) == 1:
            return method(self.encoders[0], points)
        shares = np.array_split(points, len(self.encoders))
        return np.concatenate(list(self._threads.map(method, self.encoders, shares)))


def all_devices(device: str) -> list[torch.device]:
    """Return every GPU for `auto` where there are several; else the device asked for."""
    from geoclip.encoders.precision import pick_device

    if device == "auto" and torch.cuda.device_count() > 1:
        return [torch.device("cuda", number) for number in range(torch.cuda.device_count())]
    return [pick_device(device)]
