"""Sound files of every kind that is read, as bytes: what readers are tried with, and changed."""

import io
import json
import random
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from geoclip.release.directory import CONFIG, WEIGHTS
from tests.helpers.calibrations import a_calibration
from tests.helpers.hostile_files import valid_files
from tests.helpers.tables import FORMATS


@cache
def release_files() -> dict[str, bytes]:
    """Return the files of a release by name."""
    from safetensors.torch import save

    from geoclip.release.config import ModelConfig

    tensors = {"location_encoder.LocEnc0.head.0.bias": torch.ones(4), "image_encoder.mlp.0.weight": torch.ones(2, 3)}
    described = {"model_type": "geoclip-geolocation", "format_version": 1, **ModelConfig().model_dump(mode="json")}
    return {CONFIG: json.dumps(described).encode(), WEIGHTS: save(tensors | {"logit_scale": torch.tensor(3.0)})}


def clip_files(rng: random.Random) -> list[bytes]:
    """Return checkpoints of CLIP in every layout."""
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


def training_files(rng: random.Random) -> list[bytes]:
    """Return checkpoints of training."""
    from geoclip.release.config import ModelConfig

    found = []
    for about in ({"format": 1, "sigma": [1.0]}, {"format": 1, "config": ModelConfig().model_dump_json()}):
        file = io.BytesIO()
        torch.save({"geoclip": about, "state_dict": {"logit_scale": torch.tensor(1.0)}, "epoch": 3}, file)
        found.append(file.getvalue())
    return found


def tables(suffix: str) -> Callable[[random.Random], list[bytes]]:
    """Return a maker of tables of places in that format."""

    def made(rng: random.Random) -> list[bytes]:
        with tempfile.TemporaryDirectory() as folder:
            written = [(path, path.read_bytes()) for path in (write(Path(folder)) for write in FORMATS.values())]
        found = [content for path, content in written if path.suffix == suffix]
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


def geojsons(rng: random.Random) -> list[bytes]:
    """Return polygons, collections and multi-polygons."""
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


def npys(rng: random.Random) -> list[bytes]:
    """Return arrays of vectors of several kinds."""
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


def vector_tables(rng: random.Random) -> list[bytes]:
    """Return Parquet files of vectors, with names, with places, with neither."""
    found = []
    for names in ({"photo": ["a", "b"]}, {"lat": [1.0, 2.0], "lng": [3.0, 4.0]}, {}):
        file = io.BytesIO()
        pq.write_table(pa.table({**names, "vector": [[1.0] * 8, [0.5] * 8]}), file)
        found.append(file.getvalue())
    return found


def photos(rng: random.Random) -> list[bytes]:
    """Return photos in every format, with and without positions."""
    sound = [sample.content for sample in valid_files() if len(sample.content) < 20_000]
    exif = Image.Exif()
    exif[0x8825] = {1: "N", 2: (10.0, 0.0, 0.0), 3: "E", 4: (20.0, 0.0, 0.0), 0x1B: b"ASCII\0\0\0GPS"}
    for form in ("JPEG", "PNG", "WEBP", "TIFF"):
        file = io.BytesIO()
        Image.new("RGB", (8, 8), "red").save(file, form, exif=exif.tobytes())
        sound.append(file.getvalue())
    return sound


def sidecars(rng: random.Random) -> list[bytes]:
    """Return XMP sidecars in several encodings."""
    about = '<r:Description xmlns:exif="http://ns.adobe.com/exif/1.0/" '
    about += 'exif:GPSLatitude="1,30.0S" exif:GPSLongitude="2,15,0W"/>'
    head = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    xmp = f"{head}{about}</r:RDF></x:xmpmeta>"
    return [xmp.encode(), xmp.encode("utf-16"), b"\xef\xbb\xbf" + xmp.encode()]


def takeouts(rng: random.Random) -> list[bytes]:
    """Return what Google Takeout says of a photo."""
    place = {"latitude": 1.5, "longitude": -2.5, "altitude": 0.0}
    return [json.dumps({"title": "a.jpg", "geoData": place, "geoDataExif": place, "url": "x"}).encode()]


def lists(rng: random.Random) -> list[bytes]:
    """Return lists of photos with several line ends and encodings."""
    names = [f"{rng.choice(['a', 'ü', 'x y'])}{n}.jpg" for n in range(20)]
    return [end.join(names).encode(code) for end in ("\n", "\r\n", "\0") for code in ("utf-8", "utf-8-sig", "utf-16")]


def journals(rng: random.Random) -> list[bytes]:
    """Return journals of runs that were stopped."""
    return [
        json.dumps({"options": {}, "done": n, "failed": [0] * n, "digest": "0", "size": n}).encode() for n in range(3)
    ]


def answers(rng: random.Random) -> list[bytes]:
    """Return answers of this program."""
    nested = [{"query": f"{n}.jpg", "predictions": [{"lat": 1.0, "lng": 2.0, "probability": 0.5}]} for n in range(4)]
    flat = [{"photo": f"{n // 2}.jpg", "lat": 1.0, "lng": 2.0, "rank": n % 2 + 1, "score": 0.5} for n in range(4)]
    return ["\n".join(map(json.dumps, records)).encode() for records in (nested, flat)]


def calibrations(rng: random.Random) -> list[bytes]:
    """Return a calibration."""
    return [a_calibration("m").model_dump_json().encode()]
