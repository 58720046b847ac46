"""The released model as the benchmarks need it: its encoder, indexes built and opened with it, queries made with it."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.simulated import Kind, places, queries, unit
from geoclip.encoders.location import LocationEncoder
from geoclip.release.fetch import released
from index.encoder import Encode
from index.search.planet import Planet


class ReleasedModel(NamedTuple):
    """The location encoder and what belongs to it."""

    encoder: LocationEncoder
    tau: float
    gallery: NDArray[np.float64]
    """(N, 2) degrees: the distinct places of the released gallery."""

    @property
    def encode(self) -> Encode:
        """As fast as the device goes: bf16 where it has units for it."""
        return self.encoder.embed

    @property
    def exact(self) -> Encode:
        """In float32: what queries and truth are made with, so that they are the same on every machine."""
        return self.encoder.exactly

    def open(self, index: Path, *, engine: str = "auto", device: str = "cpu") -> Planet:
        """Open an index as a locator does."""
        return Planet.open(index, self.encoder, engine=engine, device=device)

    def photo_like(self, count: int, seed: int) -> NDArray[np.float32]:
        """Return vectors (count, dim) of photo-like queries near places of the gallery."""
        return queries(Kind.PHOTO_LIKE, places(self.gallery, count, seed), self.exact, seed)


def released_model(device: str = "cpu") -> ReleasedModel:
    """Return the released model on a device."""
    from geoclip.encoders.embedded_gallery import distinct_rows

    release = released()
    encoder = LocationEncoder.of(release).to(device)
    gallery, _ = distinct_rows(release.gallery())
    return ReleasedModel(encoder, float(release.logit_scale().exp()), gallery.astype(np.float64))


def photo_vectors(path: Path) -> NDArray[np.float32]:
    """Return the unit vectors (N, 512) of real photos, of a file of `geoclip embed` or an npy file.

    They take the place of simulated queries where the user has CLIP's weights.
    """
    from geoclip.tables.vector_file import VectorFile

    batches = VectorFile(path, dim=512, model_digest=released().model_digest)
    return unit(np.concatenate([batch.vectors for batch in batches]))
