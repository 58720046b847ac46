"""How well photos are placed during training: the best of a gallery, by distance from the truth."""

from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geoclip.distance import haversine_km
from geoclip.encoders.location import LocationEncoder
from geoclip.errors import InputError
from geoclip.tables.bad_rows import OnBadRows
from geoclip.tables.coordinates import read_lat_lng
from geoclip.train.data.sources import Batch
from geoclip.train.gather import gathered

DISTANCES_KM = (1, 25, 200, 750, 2500)
"""Street, city, region, country and continent, as the field measures."""


class CandidatePlaces(NamedTuple):
    """The places of a gallery and their vectors, on the encoder's device."""

    lat_lng: Tensor
    """(D, 2) float64 degrees, distinct."""
    vectors: Tensor
    """(D, dim) float32, unit length."""


class Retrieved(NamedTuple):
    """Where photos were taken and where they were put."""

    truth: Tensor
    """(B, 2) float64 degrees."""
    predicted: Tensor
    """(B, 2) float64 degrees."""

    @classmethod
    def joined(cls, parts: list[Self]) -> Self:
        """Join those of all batches and ranks.

        Raises:
            InputError: there are none.
        """
        joined = [gathered(torch.cat(column)) for column in zip(*parts, strict=True)]
        if not joined or not len(joined[0]):
            raise InputError(
                "No photo of the validation or test data could be read; check data.val, data.test and data.images."
            )
        return cls(*joined)

    def km(self) -> NDArray[np.float64]:
        """Return the great-circle errors (B,) in km."""
        return haversine_km(self.truth.cpu().numpy(), self.predicted.cpu().numpy())

    def metrics(self) -> dict[str, float]:
        """Return the share of photos within each of `DISTANCES_KM`, and the median error in km."""
        km = self.km()
        shares = {f"accuracy_{distance}km": float((km <= distance).mean()) for distance in DISTANCES_KM}
        return shares | {"median_km": float(np.median(km))}


def gallery_places(gallery: str) -> NDArray[np.float64]:
    """Return the places (N, 2) in degrees of a gallery: `released`, or a file of coordinates.

    Raises:
        InputError: the file cannot be read or has no places.
        WeightsError: the released gallery cannot be had.
    """
    if gallery != "released":
        return read_lat_lng(Path(gallery), policy=OnBadRows.SKIP)
    from geoclip.release.fetch import released

    return released().gallery().astype(np.float64)


def candidates(encoder: LocationEncoder, places: NDArray[np.float64]) -> CandidatePlaces:
    """Embed the distinct ones of places (N, 2) in degrees, N >= 1, with the encoder as it is now."""
    distinct = np.unique(places, axis=0)
    vectors = torch.from_numpy(encoder.embed(distinct)).to(encoder.device)
    return CandidatePlaces(torch.from_numpy(distinct).to(encoder.device), vectors)


def retrieved(photos: Tensor, batch: Batch, among: CandidatePlaces) -> Retrieved:
    """Return the best of the candidates for unit vectors (B, dim)."""
    with torch.autocast(photos.device.type, enabled=False):
        best = (photos @ among.vectors.t()).argmax(dim=1)
    return Retrieved(batch.lat_lng.double(), among.lat_lng[best])
