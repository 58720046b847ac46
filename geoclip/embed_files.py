"""`geoclip.embed_photos` and `embed_coordinates`: photos or places in, a Parquet file of vectors out; it can go on."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geoclip.embedder import PhotoEmbedder
from geoclip.encoders.image import ImageEncoder
from geoclip.encoders.location import LocationEncoder
from geoclip.encoders.precision import Precision, pick_device, precision_name
from geoclip.errors import InputError
from geoclip.options import FeatureOptions, MachineOptions, ModelOptions, PhotoOptions
from geoclip.photos.decode import Photo
from geoclip.photos.pool import Decoded
from geoclip.release.directory import Release
from geoclip.tables.columns import USUAL, Columns
from geoclip.tables.coordinates import read_lat_lng
from geoclip.tables.vectors import FEATURES, ResumableVectors, VectorSource

COORDINATE_ROWS = 8192
"""Coordinates encoded at once."""

Rows = Iterator[tuple[Decoded, NDArray[np.float32] | None]]
OnPhoto = Callable[[Decoded], object]


def embed_coordinates(
    table: Path,
    output: Path,
    release: Release,
    *,
    columns: Columns = USUAL,
    device: str = "auto",
    precision: Precision | str = Precision.AUTO,
    resume: bool = False,
    on_progress: Callable[[int, int], object] = lambda done, total: None,
) -> int:
    """Write the unit vectors of a table's coordinates as Parquet, with columns lat and lng; return how many.

    Args:
        table: what `geoclip.tables.coordinates` reads.
        output: the file to make.
        release: the model.
        columns: where latitude and longitude stand.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        precision: `auto`, `fp32` or `bf16`.
        resume: go on with a stopped run.
        on_progress: called with the number of coordinates done and of all.

    Raises:
        InputError: the table cannot be read or is empty, a coordinate is out of range, or the file cannot be written.
    """
    lat_lng = read_lat_lng(table, columns)
    where = pick_device(device)
    encoder = LocationEncoder.of(release, precision=precision).to(where)
    kinds = {"lat": pa.float64(), "lng": pa.float64()}
    source = VectorSource("coordinates", release.model_digest, precision_name(precision, where))
    with ResumableVectors(output, kinds, source, resume=resume) as vectors:
        begin = sum(1 for _ in vectors.written("lat"))
        for start in range(begin, len(lat_lng), COORDINATE_ROWS):
            rows = lat_lng[start : start + COORDINATE_ROWS]
            for (lat, lng), vector in zip(rows.tolist(), encoder.embed(rows), strict=True):
                vectors.add((lat, lng), vector)
            on_progress(start + len(rows), len(lat_lng))
        return vectors.finish()


def embed_photos(
    photos: Iterable[Photo],
    output: Path,
    embedder: PhotoEmbedder,
    *,
    workers: int = 0,
    resume: bool = False,
    on_photo: OnPhoto = lambda photo: None,
) -> int:
    """Write photos' vectors as Parquet, with a column photo; return how many.

    Args:
        photos: as for `PhotoEmbedder.embed`; a photo that cannot be read is left out.
        output: the file to make.
        embedder: embeds them.
        workers: processes to decode in; 0 decodes in this one.
        resume: go on with a stopped run; photos named by a path that were embedded already are left out.
        on_photo: told of each photo that was read or could not be.

    Raises:
        InputError: no photo could be embedded, or the file cannot be written.
    """
    release, precision = embedder.release, precision_name(embedder.precision, embedder.device)
    source = VectorSource("photos", release.model_digest, precision)
    columns = {"photo": pa.string()}
    with ResumableVectors(output, columns, source, resume=resume) as vectors:
        stream = embedder.embed(_fresh(photos, vectors), workers=workers)
        return _written(vectors, stream, lambda name, vector: [((name,), vector)], on_photo)


def embed_features(
    photos: Iterable[Photo],
    output: Path,
    features: FeatureOptions,
    *,
    photo: PhotoOptions = PhotoOptions(),
    model: ModelOptions = ModelOptions(),
    machine: MachineOptions = MachineOptions(),
    resume: bool = False,
    on_photo: OnPhoto = lambda photo: None,
) -> int:
    """Write the features CLIP's tower gives for views of photos, for training; arguments as for `embed_photos`."""
    from geoclip.train.data.extract import features_of, tower_digest

    device = pick_device(machine.device)
    release = None if model.weights is None else Release.open(model.weights)
    encoder = ImageEncoder(
        False, clip_path=model.clip_path, precision=machine.precision, device=device, release=release
    ).eval()
    precision = precision_name(machine.precision, device)
    count, seed = features.views, features.seed
    source = VectorSource(FEATURES, tower_digest(encoder.backbone), precision, views=count, seed=seed)
    columns = {"photo": pa.string(), "view": pa.uint8()}
    with ResumableVectors(output, columns, source, resume=resume) as vectors:
        fresh = _fresh(photos, vectors)
        stream = features_of(fresh, encoder, photo.limits(), count=count, seed=seed, workers=machine.processes)
        return _written(
            vectors, stream, lambda name, views: [((name, n), each) for n, each in enumerate(views)], on_photo
        )


def _fresh(photos: Iterable[Photo], vectors: ResumableVectors) -> Iterator[Photo]:
    done = set(vectors.written("photo"))
    return (photo for photo in photos if not isinstance(photo, str) or _printable(photo) not in done)


def _written(
    vectors: ResumableVectors,
    stream: Rows,
    rows: Callable[[str, NDArray[np.float32]], Sequence[tuple[tuple[Any, ...], NDArray[np.float32]]]],
    on_photo: OnPhoto,
) -> int:
    for decoded, found in stream:
        if found is not None:
            vectors.add_together(rows(_printable(decoded.name), found))
        on_photo(decoded)
    if (count := vectors.finish()) == 0:
        raise InputError("No photo could be embedded; nothing was written.")
    return count


def _printable(name: str) -> str:
    """Return a file name as UTF-8, bytes that are none escaped: Parquet strings hold nothing else."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
