"""The gallery embedded once: unit vectors of its distinct coordinates, kept on disk and memory-mapped."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geoclip.encoders.location import LocationEncoder
from geoclip.encoders.precision import Precision
from geoclip.errors import WeightsError
from geoclip.files import cache_dir, check_output, written_whole
from geoclip.release.directory import save_tensors

_LAYOUT = b"1"  # part of the key: change it when the file's content would change


@dataclass(frozen=True)
class EmbeddedGallery:
    """A gallery's distinct coordinates with their vectors, and how its rows map onto them."""

    lat_lng: NDArray[np.float32]
    """(D, 2) distinct coordinates, degrees, in order of first appearance."""
    vectors: Tensor
    """(D, dim) float32, unit length, memory-mapped where they came from the cache."""
    row_of: NDArray[np.int64]
    """(N,) for each row of the gallery as given, its row here."""


def embedded_gallery(
    encoder: LocationEncoder,
    lat_lng_deg: NDArray[np.float32],
    *,
    on_progress: Callable[[int, int], object] | None = None,
) -> EmbeddedGallery:
    """Return the gallery with its vectors, from the cache where the same weights embedded the same places before.

    Vectors are computed in float32 whatever the encoder's precision: it happens once.

    Args:
        encoder: the location encoder; the key covers its weights as they are now.
        lat_lng_deg: (N, 2) float32, (lat, lng) in degrees; duplicates are embedded once.
        on_progress: called with the number of places finished and of all; not called on a cache hit.

    Raises:
        InputError: a coordinate is out of range; or the cache cannot be written, which is looked at before the work.
    """
    distinct, row_of = distinct_rows(lat_lng_deg)
    path = cache_dir() / "gallery" / f"{_key(encoder, distinct)}.safetensors"
    if (vectors := _stored(path, (len(distinct), encoder.dim))) is None:
        check_output(path, overwrite=True)
        computed = torch.from_numpy(encoder.embed(distinct, precision=Precision.FP32, on_progress=on_progress))
        with written_whole(path) as temporary:
            save_tensors({"vectors": computed}, temporary)
        vectors = _stored(path, (len(distinct), encoder.dim))
        if vectors is None:
            raise WeightsError(f"{path} could not be read back after writing; check the disk.")
    return EmbeddedGallery(distinct, vectors, row_of)


def distinct_rows(lat_lng_deg: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the distinct rows in order of first appearance, and for each row its position among them."""
    pairs = np.ascontiguousarray(lat_lng_deg, dtype=np.float32) + 0.0  # -0.0 and 0.0 are one place
    keys = pairs.view(np.uint64).ravel()
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return pairs[first[order]], rank[inverse].astype(np.int64)


def _stored(path: Path, shape: tuple[int, int]) -> Tensor | None:
    """Return the vectors of a cache file; None where it is absent, of another shape, or damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        vectors = load_file(path)["vectors"]
    except (SafetensorError, OSError, KeyError):
        return None
    if vectors.shape != shape:
        return None
    # Each row has length 1: a torn, zeroed or flipped page shows here for the price of reading the file once.
    lengths = torch.linalg.vector_norm(vectors, dim=1)
    return vectors if bool(((lengths - 1).abs() < 1e-5).all()) else None


def _key(encoder: LocationEncoder, lat_lng_deg: NDArray[np.float32]) -> str:
    digest = hashlib.sha256(_LAYOUT)
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().data)
    digest.update(np.ascontiguousarray(lat_lng_deg).data)
    return digest.hexdigest()[:32]
