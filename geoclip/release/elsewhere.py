"""Releases at addresses: fetched into the cache once, each file checked against the sha256 that its description has."""

import hashlib
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from geoclip.errors import InputError, WeightsError
from geoclip.files import cache_dir, cannot_write, sync
from geoclip.release.directory import CONFIG, WEIGHTS, Release, description_of
from geoclip.remote.address import Address
from geoclip.remote.copying import Wanted, copy_files, fetching_folder, read_small

_CONFIG_BYTES = 1 << 20
_MOST_BYTES = 1 << 36
"""Of one file, 64 GB: no model of this shape is as large."""


def open_elsewhere(words: str) -> Release:
    """Open the release at an address; what was fetched before is not fetched again.

    The copy is kept by address and by the content of `config.json`, which is asked for each time, except where the
    address names a commit of the hub: then nothing is.

    Raises:
        WeightsError: there is no release, it lists no digests, a file is not the one listed, or it cannot be had.
    """
    try:
        address = Address(words)
        folder = cache_dir() / "releases" / hashlib.sha256(str(address).encode()).hexdigest()[:16]
        kept = [path for path in folder.glob("*") if (path / CONFIG).is_file()]
        if address.is_fixed and len(kept) == 1:
            return Release.open(kept[0])
        return _fetched(address, folder, kept)
    except InputError as error:
        raise WeightsError(str(error)) from error
    except OSError as error:
        raise WeightsError(str(cannot_write(cache_dir(), error))) from error


def _fetched(address: Address, folder: Path, kept: list[Path]) -> Release:
    try:
        config = read_small(address, CONFIG, _CONFIG_BYTES)
    except InputError as error:
        hint = f" A copy that was fetched earlier is {kept[0]}; its path can be given instead." if kept else ""
        raise WeightsError(f"{error}{hint}") from error
    digest = hashlib.sha256(config).hexdigest()
    target = folder / f"{address.name}-{digest[:12]}"
    if target.is_dir():
        try:
            return Release.open(target)
        except WeightsError:  # damaged: fetched anew
            shutil.rmtree(target)
    sums = _sums(address, config)
    with fetching_folder(target, digest, wait=True) as fresh:
        if not target.exists():  # else another process was first
            files = {name: Wanted(address.size(name, _MOST_BYTES), sum_) for name, sum_ in sums.items()}
            copy_files(address, files, fresh, lambda done, total: None)
            (fresh / CONFIG).write_bytes(config)
            Release.open(fresh)
            for path in (*fresh.iterdir(), fresh):
                sync(path)
            fresh.rename(target)
            sync(folder)
    return Release.open(target)


def _sums(address: Address, config: bytes) -> dict[str, str]:
    """Return the sha256 of each file that a description lists; it is checked as that of a folder is."""
    with TemporaryDirectory() as work:
        (Path(work) / CONFIG).write_bytes(config)
        try:
            about = description_of(Path(work))
        except WeightsError as error:
            raise WeightsError(str(error).replace(f"{work}", f"{address}")) from error
    for name in (WEIGHTS, about.gallery_file):
        if name is not None and name not in about.sha256:
            raise WeightsError(
                f"{CONFIG} of {address} lists no sha256 of {name}, so it cannot be checked; publish the folder that "
                "`geoclip export` or `geoclip fetch` makes."
            )
    return about.sha256
