"""`geoclip fetch-index`: an index that somebody has built, from an address, checked to the last byte."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from geoclip.errors import InputError
from geoclip.files import cannot_write
from geoclip.remote.address import Address
from geoclip.remote.copying import Wanted, copy_files, fetching_folder, read_small
from index.storage.artifact import check_replaceable, place
from index.storage.contents import IndexContents
from index.storage.manifest import MANIFEST, SUMS, Manifest, parse_sums

_ABOUT_BYTES = 1 << 20


def fetch_index(
    address: str,
    target: Path,
    *,
    overwrite: bool = False,
    report: Callable[[str, int, int], object] = lambda stage, done, total: None,
) -> Path:
    """Fetch an index; a fetch that was stopped goes on.

    Every file is compared with the sha256 that the index lists, and the index is opened, before it gets its name.

    Args:
        address: of its folder: hf://, https://, s3:// or gs://.
        target: the folder to make.
        overwrite: replace an index that is there.
        report: told of each stage, of the bytes that are there and of all.

    Raises:
        InputError: the address has no index, or one that is damaged or that this version does not read; or the target
            is there already.
    """
    source = Address(address)
    try:
        check_replaceable(target, replace=overwrite)
        report("Looking", 0, 0)
        about, listed = (read_small(source, name, _ABOUT_BYTES) for name in (MANIFEST, SUMS))
        files = _files(source, about, listed)
        with fetching_folder(target, hashlib.sha256(listed).hexdigest()) as folder:
            copy_files(source, files, folder, lambda done, total: report("Fetching", done, total))
            (folder / MANIFEST).write_bytes(about)
            (folder / SUMS).write_bytes(listed)
            report("Checking", 0, 0)
            IndexContents.open(folder)
            place(folder, target, replace=overwrite)
    except (FileExistsError, ValueError) as error:
        raise InputError(str(error)) from error
    except OSError as error:
        raise InputError(f"{cannot_write(target, error)} The same command goes on.") from error
    return target


def _files(source: Address, about: bytes, listed: bytes) -> dict[str, Wanted]:
    """Return what the files of an index must be, as it says itself; their names are checked to be plain ones."""
    try:
        manifest, sums = Manifest.parse(about), parse_sums(listed)
    except ValueError as error:
        raise InputError(f"{source} has no index that this version reads: {error}.") from error
    if sums.get(MANIFEST) != hashlib.sha256(about).hexdigest() or set(sums) != {MANIFEST, *manifest.files}:
        raise InputError(f"{source} has a {MANIFEST} and a {SUMS} of different indexes; it was perhaps being replaced.")
    return {name: Wanted(size, sums[name]) for name, size in manifest.files.items()}
