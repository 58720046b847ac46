"""The land raster of `global-land-mask` (1 km, from GLOBE): only the rows that are needed, one bit a square."""

import importlib.util
import zipfile
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

_FILE = "globe_combined_mask_compressed.npz"
_STEP = 256
"""Rows that are unpacked at once, 11 MB."""
_BLOCK = 16
"""Squares a side of the blocks that are looked at first."""
_KM_PER_DEGREE = 111.0
"""Of latitude, at least 110.6."""


class Raster:
    """Which places of a band of latitudes are land; most lakes are.

    Args:
        first_row: of the band, from the north.
        lat: (R,) degrees of all rows of the raster, southwards.
        lng: (C,) degrees of its columns, eastwards.
        ocean: (rows of the band, C / 8) bits, most significant first.
    """

    def __init__(
        self, first_row: int, lat: NDArray[np.float64], lng: NDArray[np.float64], ocean: NDArray[np.uint8]
    ) -> None:
        self._first_row, self._lat, self._lng, self._ocean = first_row, lat, lng, ocean

    @classmethod
    def over(cls, south: float, north: float) -> Self:
        """Read a band of latitudes.

        The file is one packed stream, 0.9 GB unpacked, that begins in the north and is read as far as the band goes.
        """
        package = importlib.util.find_spec("global_land_mask")
        if package is None or package.origin is None:
            raise ModuleNotFoundError("The package global-land-mask is missing; `pip install global-land-mask`.")
        with zipfile.ZipFile(Path(package.origin).with_name(_FILE)) as archive:
            lat, lng = (np.load(archive.open(f"{axis}.npy")) for axis in ("lat", "lon"))
            first, last = _nearest(np.array([north, south]), lat).tolist()
            bands = []
            with archive.open("mask.npy") as stream:
                np.lib.format.read_magic(stream)
                (rows, width), _, _ = np.lib.format.read_array_header_1_0(stream)
                for start in range(0, last + 1, _STEP):
                    band = np.frombuffer(stream.read(min(_STEP, rows - start) * width), bool).reshape(-1, width)
                    bands.append(np.packbits(band[max(first - start, 0) : last + 1 - start], axis=1))
        return cls(first, lat, lng, np.concatenate(bands))

    def is_land(self, lat_lng: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which points (N, 2) of the band, in degrees, are land."""
        row, column = _nearest(lat_lng[:, 0], self._lat) - self._first_row, _nearest(lat_lng[:, 1], self._lng)
        result: NDArray[np.bool_] = (self._ocean[row, column >> 3] >> (7 - (column & 7)).astype(np.uint8)) & 1 == 0
        return result

    def around(self, lat_lng: NDArray[np.float64], radius_km: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return whether there may be land (N,), and whether there may be sea (N,), near points (N, 2) in degrees.

        Where there is none within the radius and inside the band, the answer may still be that there may be some.
        """
        reach = radius_km / (_KM_PER_DEGREE - 1)
        north, south = lat_lng[:, 0] + reach, lat_lng[:, 0] - reach
        top, bottom = ((_nearest(lat, self._lat) - self._first_row) // _BLOCK for lat in (north, south))
        rows = len(self._ocean) // _BLOCK + 1
        top, bottom = np.clip(top - 1, 0, rows), np.clip(bottom + 2, 0, rows)
        width = len(self._lng) // _BLOCK
        stretch = np.cos(np.radians(np.minimum(np.maximum(north, -south), 89.0)))
        across = np.minimum(np.ceil(reach / stretch * width / 360) + 1, width // 2).astype(np.int64)
        column = _nearest(lat_lng[:, 1], self._lng) // _BLOCK + width
        across[np.maximum(north, -south) > 89.0] = width // 2
        left, right = column - across, column + across + 1
        land, sea = (
            sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left] > 0
            for sums in self._block_sums
        )
        return land, sea

    @cached_property
    def _block_sums(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Blocks with land, and with sea, counted from the band's north-west corner, three times around the globe."""
        sums = []
        for bits in (~self._ocean, self._ocean):
            whole = np.pad(bits, ((0, -len(bits) % _BLOCK + _BLOCK), (0, 0)))
            whole = whole[: (len(bits) // _BLOCK + 1) * _BLOCK]
            some = whole.reshape(-1, _BLOCK, bits.shape[1]).any(axis=1).reshape(-1, bits.shape[1] * 8 // _BLOCK, 2)
            sums.append(np.pad(np.tile(some.any(axis=2), 3), ((1, 0), (1, 0))).cumsum(0, np.int32).cumsum(1, np.int32))
        return sums[0], sums[1]


def _nearest(degrees: NDArray[np.float64], axis: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return positions on an axis of equal steps, rounded as the package does."""
    inside = np.clip(degrees, axis.min(), axis.max())
    result: NDArray[np.int64] = ((inside - axis[0]) / (axis[1] - axis[0])).astype(np.int64)
    return result
