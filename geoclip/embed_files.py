"""`geoclip.embed_photos` and `embed_coordinates`: photos or places in, a Parquet file of vectors out; it can go on."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geoclip.embedder import PhotoEmbedder, each_photo
from geoclip.encoders.image import ImageEncoder
from geoclip.encoders.location import LocationEncoder
from geoclip.encoders.precision import Precision, pick_device, precision_name
from geoclip.errors import InputError
from geoclip.options import FeatureOptions, MachineOptions, ModelOptions, PhotoOptions
from geoclip.photos.decode import Photo
from geoclip.photos.key import photo_key
from geoclip.photos.pool import Decoded, Decoders
from geoclip.release.directory import Release
from geoclip.tables.columns import USUAL, Columns
from geoclip.tables.coordinates import read_lat_lng
from geoclip.tables.vector_parts import EmbeddedPhoto, printable
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
        rows = vectors.remaining(lat_lng, lambda row: (row.tobytes(), b""), COORDINATE_ROWS)
        done = vectors.done
        while batch := list(islice(rows, COORDINATE_ROWS)):
            places = np.stack(batch)
            for (lat, lng), vector in zip(places.tolist(), encoder.embed(places), strict=True):
                vectors.add((lat, lng), vector)
            done += len(batch)
            on_progress(done, len(lat_lng))
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
        resume: go on with a stopped run, or add to a complete file what was added at the end of the photos.
        on_photo: told of each photo that was read or could not be.

    Raises:
        InputError: no photo could be embedded, or the file cannot be written.
    """
    source = photo_source(embedder)
    columns = {"photo": pa.string()}
    with ResumableVectors(output, columns, source, asdict(embedder.limits), resume=resume) as vectors:
        stream = embedder.embed(vectors.remaining(each_photo(photos), photo_key, embedder.batch), workers=workers)
        return _written(vectors, stream, lambda name, vector: [((name,), vector)], on_photo)


def photo_source(embedder: PhotoEmbedder) -> VectorSource:
    """Return what makes the vectors of photos, as files of them say."""
    precision = precision_name(embedder.precision, embedder.device)
    return VectorSource("photos", embedder.release.model_digest, precision)


def embedded_rows(
    photos: Iterable[Photo], embedder: PhotoEmbedder, *, workers: int | Decoders = 0
) -> Iterator[EmbeddedPhoto]:
    """Yield a row for each photo, in order: its vector, or the reason why there is none."""
    for decoded, vector in embedder.embed(photos, workers=workers):
        yield EmbeddedPhoto(decoded.name, vector, decoded.error)


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
    from geoclip.train.data.extract import features_of, photos_at_once, tower_digest

    device = pick_device(machine.device)
    release = None if model.weights is None else Release.open(model.weights)
    encoder = ImageEncoder(
        False, clip_path=model.clip_path, precision=machine.precision, device=device, release=release
    ).eval()
    precision = precision_name(machine.precision, device)
    count, seed = features.views, features.seed
    source = VectorSource(FEATURES, tower_digest(encoder.backbone), precision, views=count, seed=seed)
    columns = {"photo": pa.string(), "view": pa.uint8()}
    limits = photo.limits()
    with ResumableVectors(output, columns, source, asdict(limits), resume=resume) as vectors:
        left = vectors.remaining(photos, photo_key, photos_at_once(encoder, count))
        stream = features_of(left, encoder, limits, count=count, seed=seed, workers=machine.processes)
        return _written(
            vectors, stream, lambda name, views: [((name, n), each) for n, each in enumerate(views)], on_photo
        )


def _written(
    vectors: ResumableVectors,
    stream: Rows,
    rows: Callable[[str, NDArray[np.float32]], Sequence[tuple[tuple[Any, ...], NDArray[np.float32]]]],
    on_photo: OnPhoto,
) -> int:
    for decoded, found in stream:
        vectors.add_together([] if found is None else rows(printable(decoded.name), found))
        on_photo(decoded)
    if (count := vectors.finish()) == 0:
        raise InputError("No photo could be embedded; nothing was written.")
    return count
