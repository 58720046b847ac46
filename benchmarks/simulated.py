"""Simulated queries: vectors that stand in for photos of known places where CLIP's weights cannot be had.

Every query is a mixture, brought to length 1, of the true place's vector, the mean vectors of its surroundings at
several scales, a confuser (the vector of another place) and Gaussian noise. Places are where people photograph: the
released gallery's, moved by a few hundred metres to some kilometres. Four kinds:

- place: the place's own vector and nothing else, as a coordinate that is looked up;
- easy and hard: the place, its 50 km surroundings, three confusers and noise; noise is set so that the median cosine
  to the true place is 0.72 and 0.48;
- photo-like: surroundings of 25, 300 and 1500 km and a difficulty of its own per query; the weights were tuned until
  exact search over the released gallery came close to published accuracy (see `PHOTO_LIKE`).

They say how well a search finds what exhaustive search would find. They say nothing about real photos.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from index.grid.sphere import moved

Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]
Encoder = Callable[[Floats], Vectors]
SCALES_KM = (25.0, 300.0, 1500.0)


class Kind(StrEnum):
    """How much of the true place is left in a query."""

    EASY = "easy"
    HARD = "hard"
    PHOTO_LIKE = "photo-like"
    PLACE = "place"


@dataclass(frozen=True)
class Mixture:
    """Weights of a photo-like query's parts; the difficulty d, uniform in [0, 1], moves weight from near to far."""

    own: float
    km25: float
    km300: float
    km1500: float
    confuser: float
    noise: float
    steepness: float


# Exact search over the released gallery places these queries within 1/25/200/750/2500 km about as often as a third
# party measured real photos of Im2GPS3k (13.1/32.2/48.1/66.6/82.3 %, one crop);
# `python -m benchmarks.answers INDEX --candidates gallery` measures it.
PHOTO_LIKE = Mixture(own=1.156, km25=0.641, km300=0.175, km1500=1.066, confuser=0.778, noise=2.8, steepness=2.361)


def places(gallery: Floats, count: int, seed: int) -> Floats:
    """Return `count` places near photographs: gallery points moved by a log-normal distance, median 1 km.

    A gallery with fewer than `count` points gives some of them several times, each time moved to another place.
    """
    rng = np.random.default_rng(seed)
    points = gallery[rng.choice(len(gallery), count, replace=count > len(gallery))].astype(np.float64)
    return _shifted(points, rng.lognormal(0.0, 1.0, count), rng)


def queries(kind: Kind, lat_lng: Floats, encode: Encoder, seed: int) -> Vectors:
    """Return the vectors (N, dim) of one query of a kind for each place (N, 2)."""
    rng = np.random.default_rng([seed, list(Kind).index(kind)])
    own = encode(lat_lng)
    if kind is Kind.PLACE:
        return own
    noise = unit(rng.standard_normal(own.shape))
    if kind is Kind.PHOTO_LIKE:
        scales = [surroundings(lat_lng, km, encode, rng) for km in SCALES_KM]
        difficulty = rng.uniform(0, 1, (len(own), 1))
        return combine(own, scales, own[rng.permutation(len(own))], noise, difficulty)
    near = surroundings(lat_lng, 50.0, encode, rng)
    others = sum(own[rng.permutation(len(own))] for _ in range(3)) / np.sqrt(3)
    scale = 1.2 if kind is Kind.EASY else 2.44
    return unit(own + 0.5 * near + scale * (0.4 * others + noise))


def combine(own: Vectors, scales: list[Vectors], confuser: Vectors, noise: Vectors, difficulty: Floats) -> Vectors:
    """Return the photo-like mixtures (N, dim) of parts (N, dim), by difficulty (N, 1)."""
    mix, ease = PHOTO_LIKE, (1 - difficulty) ** PHOTO_LIKE.steepness
    return unit(
        mix.own * ease * own
        + mix.km25 * np.sqrt(ease) * scales[0]
        + mix.km300 * scales[1]
        + mix.km1500 * scales[2]
        + mix.confuser * (0.5 + difficulty) * confuser
        + mix.noise * noise
    )


def surroundings(
    lat_lng: Floats, radius_km: float, encode: Encoder, rng: np.random.Generator, samples: int = 24
) -> Vectors:
    """Return the unit mean vector of points spread evenly over the disk around each place."""
    around = np.repeat(lat_lng, samples, axis=0)
    vectors = encode(_shifted(around, radius_km * np.sqrt(rng.uniform(0, 1, len(around))), rng))
    return unit(vectors.reshape(len(lat_lng), samples, -1).mean(axis=1))


def _shifted(lat_lng: Floats, km: Floats, rng: np.random.Generator) -> Floats:
    """Move points by distances in random directions."""
    bearing = rng.uniform(0, 2 * np.pi, len(km))
    return moved(lat_lng, km * np.cos(bearing), km * np.sin(bearing))


def unit(vectors: NDArray[np.floating]) -> Vectors:
    """Return vectors (N, dim) brought to length 1."""
    unit: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit
