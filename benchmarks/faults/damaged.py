"""Bits flipped in the files of an index and of a release: named, or nothing changes; and exchanges of an index."""

import random
import shutil
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.faults.mutations import flipped
from benchmarks.faults.outcome import Outcome
from geoclip.errors import GeoclipError
from geoclip.release.directory import Release
from index.grid.cells import cells_at
from index.grid.region import Region
from index.search.efforts import EffortName
from index.search.hits import FoundPlaces
from index.search.planet import Planet
from index.search.question import Question
from index.storage.artifact import seal
from index.storage.directory import read_manifest
from index.storage.manifest import BadIndexError
from tests.helpers.small_release import small_release
from tests.helpers.synthetic import encode, queries, small_index

SMALL = Region.of_cells(cells_at([(46.6, 8.2)], 3))
OTHER = Region.of_cells(cells_at([(44.0, 8.2)], 3))
ALL = Question(k=1000, resolution=7, effort=EffortName.EXHAUSTIVE, prior_weight=0.5)


def answers(folder: Path) -> FoundPlaces:
    """Ask an index for everything, so that every list is read, and all slopes."""
    return Planet.open(folder, encode).search(queries(np.array([(46.6, 8.2)])), ALL)


def same(one: FoundPlaces, other: FoundPlaces) -> bool:
    """Return whether two answers are equal to the last bit."""
    pairs: Iterable[tuple[NDArray[Any], NDArray[Any]]] = zip(one[:4], other[:4], strict=True)
    return all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)


def flipped_index(flips: int, folder: Path) -> Outcome:
    """Flip single bits in a copy of an index, one after the other, and ask it; the folder is made."""
    shutil.copytree(small_index(SMALL), folder)
    expected = answers(folder)

    def silent() -> bool:
        return not same(answers(folder), expected)

    return _flipped(folder, flips, silent, BadIndexError)


def flipped_release(flips: int, folder: Path) -> Outcome:
    """Flip single bits in the files of a release and open it; the folder is made."""
    path = small_release(folder).weights
    expected = _read(path)

    def silent() -> bool:
        config, parts, gallery = _read(path)
        equal = config == expected[0] and np.array_equal(gallery, expected[2]) and parts.keys() == expected[1].keys()
        return not equal or not all(torch.equal(parts[name], expected[1][name]) for name in parts)

    return _flipped(path, flips, silent, GeoclipError)


def _read(path: Path) -> tuple[Any, dict[str, torch.Tensor], NDArray[np.float32]]:
    release = Release.open(path)
    parts = release.location_encoder() | release.image_mlp() | {"logit_scale": release.logit_scale()}
    return release.config, parts, release.gallery()


def _flipped(folder: Path, flips: int, silent: Callable[[], bool], error: type[Exception]) -> Outcome:
    rng, outcome = random.Random(flips), Outcome()
    files = sorted(path for path in folder.iterdir() if path.stat().st_size)
    for number in range(flips):
        path = files[number % len(files)]
        whole = path.read_bytes()
        content, at = flipped(rng, whole)
        path.write_bytes(content)
        where = f"byte {at} of {path.name}"
        try:
            changed = silent()
        except error as told:
            outcome.counts["named"] += 1
            if str(folder) not in str(told) or "\n" in str(told):
                outcome.wrong.append(f"{where}: what is said does not name it: {told}")
        except Exception as raised:
            outcome.wrong.append(f"{where}: {raised!r}")
        else:
            outcome.counts["same answer"] += 1
            if changed:
                outcome.wrong.append(f"{where}: another answer, and nothing was said")
        path.write_bytes(whole)
    outcome.counts["flips"] = flips
    if silent():
        outcome.wrong.append(f"{folder} is not as it was")
    return outcome


def exchanged(readers: int, folder: Path) -> Outcome:
    """Open and ask an index while another one takes its name again and again: it answers as one of the two.

    Args:
        readers: how often it is opened.
        folder: to work in.
    """
    name = Path(shutil.copytree(small_index(SMALL), folder / "here"))
    expected = {read_manifest(path).grid: answers(path) for path in map(small_index, (SMALL, OTHER))}
    outcome, done, first = Outcome(), threading.Event(), read_manifest(small_index(SMALL)).grid
    regions = {True: SMALL, False: OTHER}

    def exchange() -> None:
        while not done.is_set():
            number = outcome.counts["exchanges"]
            made = Path(shutil.copytree(small_index(regions[number % 2 == 1]), folder / f"made-{number}"))
            seal(made, replace(read_manifest(made), files={}), name, replace=True)
            outcome.counts["exchanges"] += 1

    writer = threading.Thread(target=exchange)
    writer.start()
    try:
        for _ in range(readers):
            outcome.counts["readers"] += 1
            try:
                planet = Planet.open(name, encode)
                hits = planet.search(queries(np.array([(46.6, 8.2)])), ALL)
            except Exception as error:
                outcome.wrong.append(f"Opened while it was exchanged: {error!r}")
                continue
            if not same(hits, expected[planet.manifest.grid]):
                outcome.wrong.append("Opened while it was exchanged: a mixture of two indexes")
            outcome.counts["answered as one" if planet.manifest.grid == first else "answered as the other"] += 1
    finally:
        done.set()
        writer.join()
    return outcome
