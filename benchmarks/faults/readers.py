"""Every reader of files from outside, a corpus of sound files for each, and what it may say of others.

A reader is given bytes, which it may refuse with the project's own errors and nothing else.
"""

import io
import json
import os
import random
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from benchmarks.faults.damaged import SMALL
from geoclip.answers.calibration import Calibration, EntropyClass
from geoclip.encoders.clip_checkpoint import Tower, read_tower
from geoclip.errors import GeoclipError
from geoclip.evaluation.predictions import read_answers
from geoclip.journal import Journal
from geoclip.options import Candidates
from geoclip.photos.decode import DecodeLimits, read_gps, read_photo
from geoclip.photos.find import listed_photos
from geoclip.photos.sidecars import position_beside
from geoclip.release.directory import CONFIG, WEIGHTS, Release
from geoclip.tables.bad_rows import OnBadRows
from geoclip.tables.coordinates import read_lat_lng
from geoclip.tables.labels import Labels
from geoclip.tables.vector_file import VectorFile
from geoclip.train.checkpoints import config_in, read_checkpoint
from index.grid.geojson_polygons import geojson_polygons
from index.storage.contents import IndexContents
from index.storage.gallery import Gallery
from index.storage.manifest import MANIFEST, SUMS, BadIndexError, Manifest, parse_sums
from tests.helpers.hostile_files import valid_files
from tests.helpers.sealing import resealed
from tests.helpers.synthetic import small_index
from tests.helpers.tables import FORMATS

LIMITS = DecodeLimits(max_pixels=1_000_000, size=32)


class Reader(NamedTuple):
    """Reads bytes as one kind of file."""

    read: Callable[[bytes], object]
    corpus: Callable[[random.Random], list[bytes]]
    refusals: tuple[type[Exception], ...] = (GeoclipError,)


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="fuzzed-", dir=os.environ.get("GEOCLIP_TESTS_FOLDER")))


def _file(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """Return a reader of bytes that writes them into a file of a name first."""

    def of_bytes(content: bytes) -> object:
        path = _folder() / name
        path.write_bytes(content)
        return read(path)

    return of_bytes


# -- an index ---------------------------------------------------------------------------------------------------------


def _index_file(name: str) -> bytes:
    return (small_index(SMALL) / name).read_bytes()


def _in_an_index(name: str) -> Callable[[bytes], object]:
    """Return a reader that opens an index with that file, digests made right, and reads its lists and slopes."""

    def read(content: bytes) -> object:
        folder = _folder() / "index"
        if not folder.exists():
            folder.mkdir()
        for path in small_index(SMALL).iterdir():
            if not (folder / path.name).exists() or path.name in (MANIFEST, SUMS, name):
                (folder / path.name).write_bytes(path.read_bytes())
        resealed(folder, files={name: content})
        try:
            contents = IndexContents.open(folder)
            for lists in contents.lists:
                lists.vectors(np.arange(1))
            return contents.slopes.of(np.arange(3))
        finally:
            (folder / name).write_bytes(_index_file(name))

    return read


# -- models -----------------------------------------------------------------------------------------------------------


def _release(name: str) -> Callable[[bytes], object]:
    def read(content: bytes) -> object:
        folder = _folder() / "release"
        folder.mkdir(exist_ok=True)
        for each, whole in _release_files().items():
            (folder / each).write_bytes(content if each == name else whole)
        opened = Release.open(folder)
        return opened.location_encoder(), opened.image_mlp(), opened.logit_scale()

    return read


@cache
def _release_files() -> dict[str, bytes]:
    from safetensors.torch import save

    from geoclip.release.config import ModelConfig

    tensors = {"location_encoder.LocEnc0.head.0.bias": torch.ones(4), "image_encoder.mlp.0.weight": torch.ones(2, 3)}
    described = {"model_type": "geoclip-geolocation", "format_version": 1, **ModelConfig().model_dump(mode="json")}
    return {CONFIG: json.dumps(described).encode(), WEIGHTS: save(tensors | {"logit_scale": torch.tensor(3.0)})}


def _clip_files(rng: random.Random) -> list[bytes]:
    from safetensors.torch import save

    tensors = {
        "visual.conv1.weight": torch.ones(4, 3, 2, 2),
        "visual.proj": torch.ones(4, 2),
        "ln_final.bias": torch.ones(3),
    }
    found = [save(tensors)]
    for kind in (tensors, {"state_dict": tensors}, {f"module.{name}": each for name, each in tensors.items()}):
        for zipped in (True, False):
            file = io.BytesIO()
            torch.save(kind, file, _use_new_zipfile_serialization=zipped)
            found.append(file.getvalue())
    return found


def _clip(content: bytes) -> object:
    name = "clip.safetensors" if content[8:9] == b"{" else "clip.pt"
    return _file(name, partial(read_tower, tower=Tower.IMAGE))(content)


def _training_files(rng: random.Random) -> list[bytes]:
    from geoclip.release.config import ModelConfig

    found = []
    for about in ({"format": 1, "sigma": [1.0]}, {"format": 1, "config": ModelConfig().model_dump_json()}):
        file = io.BytesIO()
        torch.save({"geoclip": about, "state_dict": {"logit_scale": torch.tensor(1.0)}, "epoch": 3}, file)
        found.append(file.getvalue())
    return found


# -- tables, places, photos -------------------------------------------------------------------------------------------


def _tables(suffix: str) -> Callable[[random.Random], list[bytes]]:
    def made(rng: random.Random) -> list[bytes]:
        made = [write(_folder()) for write in FORMATS.values()]
        found = [path.read_bytes() for path in made if path.suffix == suffix]
        for _ in range(20):
            rows = [
                (f"{rng.choice('abü')}{n}.jpg", rng.uniform(-90, 90), rng.uniform(-180, 180))
                for n in range(rng.randint(1, 30))
            ]
            found.append(_table(suffix, rows, rng))
        return found

    return made


def _table(suffix: str, rows: list[tuple[str, float, float]], rng: random.Random) -> bytes:
    if suffix == ".parquet":
        file = io.BytesIO()
        names, lat, lng = zip(*rows, strict=True)
        pq.write_table(pa.table({"photo": names, "lat": lat, "lng": lng}), file)
        return file.getvalue()
    if suffix == ".jsonl":
        lines = [json.dumps(dict(zip(("photo", "lat", "lng"), row, strict=True))) for row in rows]
        return "\n".join(lines).encode()
    delimiter, quote = rng.choice(",;\t|"), rng.choice(['"', ""])
    head = delimiter.join(("photo", "lat", "lng"))
    lines = [delimiter.join((f"{quote}{name}{quote}", str(lat), str(lng))) for name, lat, lng in rows]
    return "\r\n".join([head, *lines]).encode(rng.choice(["utf-8", "utf-16", "cp1252"]))


def _read_table(suffix: str) -> Callable[[bytes], object]:
    def read(path: Path) -> object:
        try:
            return Labels.read(path, policy=OnBadRows.SKIP)
        except GeoclipError:
            return read_lat_lng(path, policy=OnBadRows.SKIP)

    return _file(f"table{suffix}", read)


def _geojsons(rng: random.Random) -> list[bytes]:
    found = []
    for number in range(40):
        west, south = rng.uniform(-180, 170), rng.uniform(-90, 80)
        ring = [[west, south], [west + 9, south], [west + 9, south + 9], [west, south + 9], [west, south]]
        shape: Any = {"type": "Polygon", "coordinates": [ring]}
        if number % 3 == 1:
            shape = {
                "type": "FeatureCollection",
                "features": [{"type": "Feature", "geometry": shape, "properties": {}}],
            }
        if number % 3 == 2:
            shape = {
                "type": "MultiPolygon",
                "coordinates": [[ring]],
                "crs": {"type": "name", "properties": {"name": "EPSG:4326"}},
            }
        found.append(json.dumps(shape, indent=rng.choice([None, 1])).encode())
    return found


def _npys(rng: random.Random) -> list[bytes]:
    found = []
    for kind, shape in (
        (np.float32, (4, 8)),
        (np.float16, (1, 8)),
        (np.float64, (3, 8)),
        (np.int64, (3, 8)),
        (np.float32, (0, 8)),
    ):
        file = io.BytesIO()
        np.save(file, np.ones(shape, kind))
        found.append(file.getvalue())
    return found


def _vectors(suffix: str) -> Callable[[bytes], object]:
    def read(path: Path) -> object:
        return list(VectorFile(path, dim=8, model_digest="m", on_problem=lambda _: None))

    return _file(f"vectors{suffix}", read)


def _vector_tables(rng: random.Random) -> list[bytes]:
    found = []
    for names in ({"photo": ["a", "b"]}, {"lat": [1.0, 2.0], "lng": [3.0, 4.0]}, {}):
        file = io.BytesIO()
        pq.write_table(pa.table({**names, "vector": [[1.0] * 8, [0.5] * 8]}), file)
        found.append(file.getvalue())
    return found


def _photos(rng: random.Random) -> list[bytes]:
    sound = [sample.content for sample in valid_files() if len(sample.content) < 20_000]
    exif = Image.Exif()
    exif[0x8825] = {1: "N", 2: (10.0, 0.0, 0.0), 3: "E", 4: (20.0, 0.0, 0.0), 0x1B: b"ASCII\0\0\0GPS"}
    for form in ("JPEG", "PNG", "WEBP", "TIFF"):
        file = io.BytesIO()
        Image.new("RGB", (8, 8), "red").save(file, form, exif=exif.tobytes())
        sound.append(file.getvalue())
    return sound


def _photo(content: bytes) -> object:
    try:
        return read_photo(content, LIMITS)
    except GeoclipError:
        return read_gps(content, LIMITS)


def _sidecars(rng: random.Random) -> list[bytes]:
    about = '<r:Description xmlns:exif="http://ns.adobe.com/exif/1.0/" '
    about += 'exif:GPSLatitude="1,30.0S" exif:GPSLongitude="2,15,0W"/>'
    head = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    xmp = f"{head}{about}</r:RDF></x:xmpmeta>"
    return [xmp.encode(), xmp.encode("utf-16"), b"\xef\xbb\xbf" + xmp.encode()]


def _takeouts(rng: random.Random) -> list[bytes]:
    place = {"latitude": 1.5, "longitude": -2.5, "altitude": 0.0}
    return [json.dumps({"title": "a.jpg", "geoData": place, "geoDataExif": place, "url": "x"}).encode()]


def _beside(name: str) -> Callable[[bytes], object]:
    return _file(name, lambda path: position_beside(str(path.parent / "a.jpg"), lambda _: None))


def _lists(rng: random.Random) -> list[bytes]:
    names = [f"{rng.choice(['a', 'ü', 'x y'])}{n}.jpg" for n in range(20)]
    return [end.join(names).encode(code) for end in ("\n", "\r\n", "\0") for code in ("utf-8", "utf-8-sig", "utf-16")]


def _calibrations(rng: random.Random) -> list[bytes]:
    fitted = Calibration(
        temperature=1.2,
        prior_weight=0.5,
        classes=(EntropyClass(up_to_bits=None, level_50=0.4, level_90=0.8, photos=5),),
        model="m",
        candidates=Candidates.PLANET,
        index="",
        resolution=9,
        effort="default",
        point="all",
        crops=1,
        photos=9,
    )
    return [fitted.model_dump_json().encode()]


def _journals(rng: random.Random) -> list[bytes]:
    return [
        json.dumps({"options": {}, "done": n, "failed": [0] * n, "digest": "0", "size": n}).encode() for n in range(3)
    ]


def _answers(rng: random.Random) -> list[bytes]:
    records = [{"query": f"{n}.jpg", "predictions": [{"lat": 1.0, "lng": 2.0, "probability": 0.5}]} for n in range(4)]
    return ["\n".join(map(json.dumps, records)).encode()]


def _one(name: str) -> Callable[[random.Random], list[bytes]]:
    return lambda rng: [_index_file(name)]


INDEX = (BadIndexError,)
OF_AN_INDEX = (ValueError,)
"""Parsers inside an index: a ValueError becomes a BadIndexError with the file's name."""

READERS: dict[str, Reader] = {
    "manifest": Reader(Manifest.parse, _one(MANIFEST), OF_AN_INDEX),
    "digests": Reader(parse_sums, _one(SUMS), OF_AN_INDEX),
    "cells": Reader(_in_an_index("cells.npy"), _one("cells.npy"), INDEX),
    "start level": Reader(_in_an_index("start.safetensors"), _one("start.safetensors"), INDEX),
    "lengths": Reader(_in_an_index("lengths.npy"), _one("lengths.npy"), INDEX),
    "slopes": Reader(_in_an_index("slopes.bin"), _one("slopes.bin"), INDEX),
    "level": Reader(_in_an_index("level-6.safetensors"), _one("level-6.safetensors"), INDEX),
    "lists": Reader(_in_an_index("level-6.lists"), _one("level-6.lists"), INDEX),
    "prior": Reader(_in_an_index("prior.npy"), _one("prior.npy"), INDEX),
    "gallery": Reader(Gallery.parse, _one("gallery.parquet"), OF_AN_INDEX),
    "release config": Reader(_release(CONFIG), lambda rng: [_release_files()[CONFIG]]),
    "release weights": Reader(_release(WEIGHTS), lambda rng: [_release_files()[WEIGHTS]]),
    "CLIP checkpoint": Reader(_clip, _clip_files),
    "training checkpoint": Reader(_file("last.ckpt", lambda path: config_in(read_checkpoint(path))), _training_files),
    "calibration": Reader(_file("calibration.json", Calibration.load), _calibrations),
    "journal": Reader(_file(".out.journal", lambda path: Journal(path.with_name("out"), {}, resume=True)), _journals),
    "GeoJSON": Reader(_file("shape.geojson", geojson_polygons), _geojsons, (ValueError,)),
    "CSV": Reader(_read_table(".csv"), _tables(".csv")),
    "JSON Lines": Reader(_read_table(".jsonl"), _tables(".jsonl")),
    "Parquet": Reader(_read_table(".parquet"), _tables(".parquet")),
    "predictions": Reader(_file("answers.jsonl", read_answers), _answers),
    "vectors .npy": Reader(_vectors(".npy"), _npys),
    "vectors .parquet": Reader(_vectors(".parquet"), _vector_tables),
    "photos": Reader(_photo, _photos),
    "XMP sidecar": Reader(_beside("a.xmp"), _sidecars),
    "Takeout": Reader(_beside("a.jpg.json"), _takeouts),
    "list of photos": Reader(_file("list.txt", lambda path: list(listed_photos(path))), _lists),
}
