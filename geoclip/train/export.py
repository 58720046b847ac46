"""A checkpoint, or weights of another layout, as a release: what `--weights` and `from_pretrained` take."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from geoclip.encoders.image import released_mlp
from geoclip.encoders.location import LocationEncoder
from geoclip.errors import InputError
from geoclip.files import cannot_write, is_folder, sha256_of, sync, workspace
from geoclip.release.directory import CONFIG, Release, write_description, write_release
from geoclip.release.fetch import released
from geoclip.release.layouts import Model, read_layout

GALLERY_CSV = "gallery.csv"
"""The authors' package reads a gallery from CSV only."""
_PARTS = {"logit_scale": "logit_scale", "location_encoder.": "location_encoder.", "mlp.": "image_encoder.mlp."}
"""How names in a checkpoint begin, and the authors' names for the same."""


def export(checkpoint: Path, target: Path, *, gallery: Path | None = None, overwrite: bool = False) -> Release:
    """Write a checkpoint's weights as a release, whole or not at all.

    Args:
        checkpoint: from `geoclip train fit`; or a folder of a public layout, see `geoclip.release.layouts`.
        target: the folder to make.
        gallery: coordinates of the release's gallery (.csv, .parquet), bad rows left out; those of the folder or the
            released 100,000 by default.
        overwrite: replace `target` if it is there.

    Raises:
        InputError: the checkpoint or the gallery cannot be used, `target` exists, or the disk is full.
        WeightsError: the weights are not finite, or not those of the model that the checkpoint says it holds.
    """
    if target.exists() and not overwrite:
        raise InputError(f"{target} exists; choose another name, or replace it with --overwrite.")
    if target.exists() and not (target / CONFIG).is_file():
        raise InputError(f"{target} is not a release, so it is not replaced; choose another name.")
    model, source = _read(checkpoint)
    lat_lng = model.lat_lng if gallery is None and model.lat_lng is not None else _gallery(gallery)
    try:
        with workspace(target.absolute().parent, ".export-") as work:
            fresh = work / "release"
            fresh.mkdir()
            _write(fresh, model, lat_lng, source)
            _check(Release.open(fresh))
            for file in fresh.iterdir():
                sync(file)
            if target.exists():
                target.rename(work / "replaced")
            fresh.rename(target)
            sync(target.absolute().parent)
    except OSError as error:
        raise cannot_write(target, error) from error
    return Release.open(target)


def _check(release: Release) -> None:
    """Raise WeightsError where a checkpoint's tensors are not those of its model."""
    LocationEncoder.of(release)
    released_mlp(release)
    release.logit_scale()


def _read(checkpoint: Path) -> tuple[Model, dict[str, str]]:
    """Return the model of a checkpoint or folder, and where it came from."""
    if is_folder(checkpoint):
        return read_layout(checkpoint), {"converted": checkpoint.resolve().name}
    from geoclip.train.checkpoints import config_in, read_checkpoint

    content = read_checkpoint(checkpoint)
    tensors = {
        theirs + name[len(ours) :]: tensor
        for name, tensor in content["state_dict"].items()
        for ours, theirs in _PARTS.items()
        if isinstance(tensor, Tensor) and str(name).startswith(ours)
    }
    return Model(tensors, config_in(content), None), {"checkpoint_sha256": sha256_of(checkpoint)}


def _write(folder: Path, model: Model, lat_lng: NDArray[np.float32], source: dict[str, str]) -> None:
    rows = "".join(f"{lat},{lng}\n" for lat, lng in lat_lng)  # the shortest decimals that give the float32 back
    (folder / GALLERY_CSV).write_text(f"LAT,LON\n{rows}", encoding="utf-8")
    write_release(
        folder,
        tensors=model.tensors,
        lat_lng=lat_lng,
        config=model.config,
        source=source,
    )
    record = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    record["sha256"][GALLERY_CSV] = sha256_of(folder / GALLERY_CSV)
    record["gallery_file"] = GALLERY_CSV
    write_description(folder, record)


def _gallery(path: Path | None) -> NDArray[np.float32]:
    """Return the gallery (N, 2) float32 degrees."""
    if path is None:
        return released().gallery()
    from geoclip.tables.bad_rows import OnBadRows
    from geoclip.tables.coordinates import read_lat_lng

    return read_lat_lng(path, policy=OnBadRows.SKIP).astype(np.float32)
