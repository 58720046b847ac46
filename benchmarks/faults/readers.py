"""Every reader of files from outside, its sound files, and what it may say of others.

A reader is given bytes, which it may refuse with the project's own errors and nothing else.
"""

import os
import random
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.faults import corpora
from benchmarks.faults.damaged import SMALL
from geoclip.answers.calibration import Calibration
from geoclip.encoders.clip_checkpoint import Tower, read_tower
from geoclip.errors import GeoclipError
from geoclip.evaluation.predictions import read_answers
from geoclip.journal import Journal
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
from tests.helpers.sealing import resealed
from tests.helpers.synthetic import small_index

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
    """Return a reader that opens an index with that file, digests made right, and reads of all that is mapped."""

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
            contents.slopes.of(np.arange(3))
            return contents.nodes.values(np.arange(1))
        finally:
            (folder / name).write_bytes(_index_file(name))

    return read


# -- models -----------------------------------------------------------------------------------------------------------


def _release(name: str) -> Callable[[bytes], object]:
    def read(content: bytes) -> object:
        folder = _folder() / "release"
        folder.mkdir(exist_ok=True)
        for each, whole in corpora.release_files().items():
            (folder / each).write_bytes(content if each == name else whole)
        opened = Release.open(folder)
        return opened.location_encoder(), opened.image_mlp(), opened.logit_scale()

    return read


def _clip(content: bytes) -> object:
    name = "clip.safetensors" if content[8:9] == b"{" else "clip.pt"
    return _file(name, partial(read_tower, tower=Tower.IMAGE))(content)


# -- tables, places, photos -------------------------------------------------------------------------------------------


def _read_table(suffix: str) -> Callable[[bytes], object]:
    def read(path: Path) -> object:
        try:
            return Labels.read(path, policy=OnBadRows.SKIP)
        except GeoclipError:
            return read_lat_lng(path, policy=OnBadRows.SKIP)

    return _file(f"table{suffix}", read)


def _vectors(suffix: str) -> Callable[[bytes], object]:
    def read(path: Path) -> object:
        return list(VectorFile(path, dim=8, model_digest="m", on_problem=lambda _: None))

    return _file(f"vectors{suffix}", read)


def _photo(content: bytes) -> object:
    try:
        return read_photo(content, LIMITS)
    except GeoclipError:
        return read_gps(content, LIMITS)


def _beside(name: str) -> Callable[[bytes], object]:
    return _file(name, lambda path: position_beside(str(path.parent / "a.jpg"), lambda _: None))


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
    "node keys": Reader(_in_an_index("nodes.npy"), _one("nodes.npy"), INDEX),
    "nodes": Reader(_in_an_index("nodes.bin"), _one("nodes.bin"), INDEX),
    "level": Reader(_in_an_index("level-6.safetensors"), _one("level-6.safetensors"), INDEX),
    "lists": Reader(_in_an_index("level-6.lists"), _one("level-6.lists"), INDEX),
    "prior": Reader(_in_an_index("prior.npy"), _one("prior.npy"), INDEX),
    "gallery": Reader(Gallery.parse, _one("gallery.parquet"), OF_AN_INDEX),
    "release config": Reader(_release(CONFIG), lambda rng: [corpora.release_files()[CONFIG]]),
    "release weights": Reader(_release(WEIGHTS), lambda rng: [corpora.release_files()[WEIGHTS]]),
    "CLIP checkpoint": Reader(_clip, corpora.clip_files),
    "training checkpoint": Reader(
        _file("last.ckpt", lambda path: config_in(read_checkpoint(path))), corpora.training_files
    ),
    "calibration": Reader(_file("calibration.json", Calibration.load), corpora.calibrations),
    "journal": Reader(
        _file(".out.journal", lambda path: Journal(path.with_name("out"), {}, resume=True)), corpora.journals
    ),
    "GeoJSON": Reader(_file("shape.geojson", geojson_polygons), corpora.geojsons, (ValueError,)),
    "CSV": Reader(_read_table(".csv"), corpora.tables(".csv")),
    "JSON Lines": Reader(_read_table(".jsonl"), corpora.tables(".jsonl")),
    "Parquet": Reader(_read_table(".parquet"), corpora.tables(".parquet")),
    "predictions": Reader(_file("answers.jsonl", read_answers), corpora.answers),
    "vectors .npy": Reader(_vectors(".npy"), corpora.npys),
    "vectors .parquet": Reader(_vectors(".parquet"), corpora.vector_tables),
    "photos": Reader(_photo, corpora.photos),
    "XMP sidecar": Reader(_beside("a.xmp"), corpora.sidecars),
    "Takeout": Reader(_beside("a.jpg.json"), corpora.takeouts),
    "list of photos": Reader(_file("list.txt", lambda path: list(listed_photos(path))), corpora.lists),
}
