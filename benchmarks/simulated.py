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

Encoder = Callable[[NDArray[np.float64]], NDArray[np.float32]]
KM_PER_DEGREE = 111.195


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
# party measured real photos of Im2GPS3k (13.1/32.2/48.1/66.6/82.3 %, one crop); `benchmarks/recall.py`
# prints the figures.
PHOTO_LIKE = Mixture(own=1.156, km25=0.641, km300=0.175, km1500=1.066, confuser=0.778, noise=2.8, steepness=2.361)


@dataclass(frozen=True)
class Queries:
    """Vectors with their true places."""

    vectors: NDArray[np.float32]
    """(N, 512), unit length."""
    lat_lng: NDArray[np.float64]
    """(N, 2) degrees."""


def places(gallery: NDArray[np.float64], count: int, seed: int) -> NDArray[np.float64]:
    """Return `count` places near photographs: gallery points moved by a log-normal distance, median 1 km.

    A gallery with fewer than `count` points gives some of them several times, each time moved to another place.
    """
    rng = np.random.default_rng(seed)
    points = gallery[rng.choice(len(gallery), count, replace=count > len(gallery))].astype(np.float64)
    return _moved(points, rng.lognormal(0.0, 1.0, count), rng)


def queries(kind: Kind, lat_lng: NDArray[np.float64], encode: Encoder, seed: int) -> Queries:
    """Return one query of a kind for each place (N, 2)."""
    rng = np.random.default_rng([seed, list(Kind).index(kind)])
    n = len(lat_lng)
    own = encode(lat_lng)
    if kind is Kind.PLACE:
        return Queries(own, lat_lng)
    noise = unit(rng.standard_normal(own.shape))
    if kind is Kind.PHOTO_LIKE:
        return Queries(_photo_like(own, lat_lng, noise, encode, rng, PHOTO_LIKE), lat_lng)
    near = surroundings(lat_lng, 50.0, encode, rng)
    others = sum(own[rng.permutation(n)] for _ in range(3)) / np.sqrt(3)
    scale = 1.2 if kind is Kind.EASY else 2.44
    return Queries(unit(own + 0.5 * near + scale * (0.4 * others + noise)), lat_lng)


def _photo_like(
    own: NDArray[np.float32],
    lat_lng: NDArray[np.float64],
    noise: NDArray[np.float32],
    encode: Encoder,
    rng: np.random.Generator,
    mix: Mixture,
) -> NDArray[np.float32]:
    scales = [surroundings(lat_lng, km, encode, rng) for km in (25.0, 300.0, 1500.0)]
    difficulty = rng.uniform(0, 1, (len(own), 1))
    confuser = own[rng.permutation(len(own))]
    return combine(own, scales, confuser, noise, difficulty, mix)


def combine(
    own: NDArray[np.float32],
    scales: list[NDArray[np.float32]],
    confuser: NDArray[np.float32],
    noise: NDArray[np.float32],
    difficulty: NDArray[np.float64],
    mix: Mixture,
) -> NDArray[np.float32]:
    """Return the photo-like mixtures (N, dim) of parts (N, dim), by difficulty (N, 1)."""
    ease = (1 - difficulty) ** mix.steepness
    return unit(
        mix.own * ease * own
        + mix.km25 * np.sqrt(ease) * scales[0]
        + mix.km300 * scales[1]
        + mix.km1500 * scales[2]
        + mix.confuser * (0.5 + difficulty) * confuser
        + mix.noise * noise
    )


def surroundings(
    lat_lng: NDArray[np.float64], radius_km: float, encode: Encoder, rng: np.random.Generator, samples: int = 24
) -> NDArray[np.float32]:
    """Return the unit mean vector of points spread evenly over the disk around each place."""
    around = np.repeat(lat_lng, samples, axis=0)
    vectors = encode(_moved(around, radius_km * np.sqrt(rng.uniform(0, 1, len(around))), rng))
    return unit(vectors.reshape(len(lat_lng), samples, -1).mean(axis=1))


def _moved(lat_lng: NDArray[np.float64], km: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Move points by distances in random directions (along great circles)."""
    lat, lng = np.radians(lat_lng).T
    bearing, arc = rng.uniform(0, 2 * np.pi, len(km)), km / 6371.0
    to_lat = np.arcsin(np.sin(lat) * np.cos(arc) + np.cos(lat) * np.sin(arc) * np.cos(bearing))
    to_lng = lng + np.arctan2(np.sin(bearing) * np.sin(arc) * np.cos(lat), np.cos(arc) - np.sin(lat) * np.sin(to_lat))
    moved: NDArray[np.float64] = np.degrees(np.stack((to_lat, np.mod(to_lng + np.pi, 2 * np.pi) - np.pi), axis=1))
    return moved


def unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit
