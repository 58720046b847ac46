"""`geoclip embed`."""

import os
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import typer

from geoclip.answers.answer import Answer
from geoclip.cli.session import Encoding, RunCounts, open_locator, photo_inputs, release_of
from geoclip.cli.terminal import progress, say
from geoclip.encoders.precision import pick_device, precision_name
from geoclip.errors import InputError
from geoclip.tables.vectors import FEATURES, ResumableVectors, VectorSource

TABLES = (".csv", ".tsv", ".parquet", ".pq")
COORDINATE_ROWS = 8192


@dataclass(frozen=True)
class Features:
    """What to write in place of vectors: CLIP's features, for training."""

    views: int = 1
    seed: int = 0


def run(
    inputs: list[str],
    *,
    output: Path | None,
    from_list: Path | None,
    resume: bool,
    overwrite: bool,
    encoding: Encoding,
    features: Features | None = None,
) -> None:
    """Embed one table of coordinates, or photos; exit 1 if some photos could not be read."""
    if output is None or output.suffix != ".parquet":
        raise InputError("Give the file to write with --output NAME.parquet.")
    if output.exists() and resume:
        say(f"{output} is complete already.")
        return
    if output.exists() and not overwrite:
        raise InputError(f"{output} exists; replace it with --overwrite, or choose another name.")
    tables = [path for path in inputs if Path(path).suffix.lower() in TABLES]
    if tables and (len(inputs) > 1 or from_list is not None):
        raise InputError(f"{tables[0]} is a table of coordinates; embed it alone.")
    if tables and features is not None:
        raise InputError(f"{tables[0]} is a table of coordinates; --features are of photos, name them or their folder.")
    if features is not None:
        _features(inputs, from_list, output, resume=resume, encoding=encoding, features=features)
    elif tables:
        _coordinates(Path(tables[0]), output, resume=resume, encoding=encoding)
    else:
        _photos(inputs, from_list, output, resume=resume, encoding=encoding)


def _coordinates(table: Path, output: Path, *, resume: bool, encoding: Encoding) -> None:
    import torch

    from geoclip.encoders.degrees import checked_lat_lng
    from geoclip.encoders.location import LocationEncoder
    from geoclip.tables.coordinates import read_lat_lng

    lat_lng = read_lat_lng(table)
    checked_lat_lng(torch.from_numpy(lat_lng))  # all of them before the work begins
    if len(lat_lng) == 0:
        raise InputError(f"{table} has no rows; nothing was written.")
    device = pick_device(encoding.device)
    release = release_of(encoding.weights)
    encoder = LocationEncoder(release.sigma, from_pretrained=False, precision=encoding.precision)
    encoder.load_released(release.location_encoder())
    encoder.to(device)
    columns = {"lat": pa.float64(), "lng": pa.float64()}
    source = VectorSource("coordinates", release.model_digest, precision_name(encoding.precision, device))
    with (
        ResumableVectors(output, columns, source, resume=resume) as vectors,
        progress("Embedding", len(lat_lng)) as update,
    ):
        begin = sum(1 for _ in vectors.written("lat"))
        for start in range(begin, len(lat_lng), COORDINATE_ROWS):
            rows = lat_lng[start : start + COORDINATE_ROWS]
            for (lat, lng), vector in zip(rows.tolist(), encoder.embed(rows), strict=True):
                vectors.add((lat, lng), vector)
            update(start + len(rows), len(lat_lng))
        say(f"{vectors.finish()} coordinates embedded in {output}.")


def _photos(inputs: list[str], from_list: Path | None, output: Path, *, resume: bool, encoding: Encoding) -> None:
    photos = photo_inputs(inputs, from_list)
    locator = open_locator(encoding)
    source = VectorSource("photos", locator.release.model_digest, precision_name(encoding.precision, locator.device))
    tally = RunCounts()
    with (
        ResumableVectors(output, {"photo": pa.string()}, source, resume=resume) as vectors,
        progress("Embedding") as update,
    ):
        done = set(vectors.written("photo"))
        fresh = (photo for photo in photos if not isinstance(photo, str) or _printable(photo) not in done)
        for decoded, vector in locator.embed(fresh, workers=encoding.processes):
            if tally.count(Answer(decoded.name, error=decoded.error)) and vector is not None:
                vectors.add((_printable(decoded.name),), vector)
            update(tally.answered + tally.failed, None)
        if vectors.finish() == 0:
            raise InputError("No photo could be embedded; nothing was written.")
    raise typer.Exit(tally.exit_code("embedded"))


def _features(
    inputs: list[str], from_list: Path | None, output: Path, *, resume: bool, encoding: Encoding, features: Features
) -> None:
    from geoclip.encoders.image import ImageEncoder
    from geoclip.photos.decode import DecodeLimits
    from geoclip.train.data.clip_digest import tower_digest
    from geoclip.train.data.extract import features_of

    photos = photo_inputs(inputs, from_list)
    device = pick_device(encoding.device)
    encoder = ImageEncoder(
        from_pretrained=False, clip_path=encoding.clip_checkpoint, precision=encoding.precision, device=device
    ).eval()
    limits = DecodeLimits(max_pixels=encoding.max_megapixels * 1_000_000, as_released=encoding.as_released)
    source = VectorSource(
        FEATURES,
        tower_digest(encoder.backbone),
        precision_name(encoding.precision, device),
        views=features.views,
        seed=features.seed,
    )
    columns = {"photo": pa.string(), "view": pa.uint8()}
    tally = RunCounts()
    with ResumableVectors(output, columns, source, resume=resume) as vectors, progress("Encoding") as update:
        done = set(vectors.written("photo"))
        fresh = (photo for photo in photos if not isinstance(photo, str) or _printable(photo) not in done)
        for decoded, found in features_of(
            fresh, encoder, limits, count=features.views, seed=features.seed, workers=encoding.processes
        ):
            if tally.count(Answer(decoded.name, error=decoded.error)) and found is not None:
                name = _printable(decoded.name)
                vectors.add_together([((name, view), vector) for view, vector in enumerate(found)])
            update(tally.answered + tally.failed, None)
        if vectors.finish() == 0:
            raise InputError("No photo could be encoded; nothing was written.")
    raise typer.Exit(tally.exit_code("encoded"))


def _printable(name: str) -> str:
    """Return a file name as UTF-8, bytes that are none escaped: Parquet strings hold nothing else."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
