"""A release directory: weights, gallery and their digests, as `geoclip fetch` writes and everything else reads.

    config.json          model_type, format_version, sigma, gallery_file, sha256 of the files beside it
    model.safetensors    logit_scale, location_encoder.*, image_encoder.mlp.*   (the authors' key names)
    gallery.parquet      LAT, LON float32 degrees, in the released order, duplicates kept

The authors' own release folders (format_version 1, a CSV gallery, no digests) are read too.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

from geoclip.errors import WeightsError
from geoclip.files import cache_dir, sha256_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CONFIG, WEIGHTS, GALLERY = "config.json", "model.safetensors", "gallery.parquet"
MODEL_TYPES = ("geoclip-geolocation", "geoclip-location-encoder")
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Release:
    """An opened release directory whose files match their digests."""

    path: Path
    sigma: tuple[float, ...]
    gallery_file: str | None
    model_digest: str
    """sha256 of `model.safetensors`; names the model wherever something is derived from it."""

    @classmethod
    def open(cls, path: "str | Path") -> Self:
        """Open a release directory and check its files.

        Raises:
            WeightsError: no release there, another format, or a file that does not match its digest.
        """
        path = Path(path)
        config = _read_config(path)
        digests: dict[str, str] = config.get("sha256", {})
        model_digest = ""
        for name in {WEIGHTS, *digests}:
            file = path / name
            if not file.is_file():
                raise WeightsError(f"{file} is missing; run `geoclip fetch` again.")
            digest = sha256_of(file)
            if name in digests and digest != digests[name]:
                raise WeightsError(
                    f"{file} is damaged (its sha256 is not the recorded one); run `geoclip fetch` again."
                )
            if name == WEIGHTS:
                model_digest = digest
        return cls(path, tuple(config["sigma"]), config.get("gallery_file"), model_digest)

    def location_encoder(self) -> dict[str, Tensor]:
        """Return the location encoder's state dict."""
        return self._part("location_encoder.") or self._part("")  # an encoder-only release has no prefix

    def image_mlp(self) -> dict[str, Tensor]:
        """Return the state dict of the perceptron behind CLIP's image tower."""
        return self._part("image_encoder.mlp.")

    def logit_scale(self) -> Tensor:
        """Return the logarithm of tau, a scalar."""
        return self._part("logit_scale")[""]

    def gallery(self) -> "NDArray[np.float32]":
        """Return the gallery (N, 2) float32, (lat, lng) in degrees, in the released order, duplicates kept."""
        from geoclip.tables.coordinates import read_lat_lng

        if self.gallery_file is None or Path(self.gallery_file).name != self.gallery_file:
            raise WeightsError(f"{self.path / CONFIG} names no gallery file inside the release.")
        return read_lat_lng(self.path / self.gallery_file).astype("float32")

    def _part(self, prefix: str) -> dict[str, Tensor]:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.path / WEIGHTS, framework="pt") as file:
                names = [name for name in list(file.keys()) if name.startswith(prefix)]
                return {name[len(prefix) :]: file.get_tensor(name) for name in names}
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"{self.path / WEIGHTS} cannot be read: {error}; run `geoclip fetch` again.") from error


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WeightsError(
            f"{path} holds no release ({CONFIG} is missing); run `geoclip fetch`, or make one of a checkpoint with "
            "`geoclip export`."
        ) from error
    except NotADirectoryError as error:
        raise WeightsError(
            f"{path} is a file, and weights are a folder; if it is a checkpoint, make one with "
            f"`geoclip export {path} -o release/`."
        ) from error
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path / CONFIG} cannot be read: {error}; run `geoclip fetch` again.") from error
    if not isinstance(config, dict) or config.get("model_type") not in MODEL_TYPES or "sigma" not in config:
        raise WeightsError(f"{path / CONFIG} does not describe a GeoCLIP release; expected one of {MODEL_TYPES}.")
    if config.get("format_version") != FORMAT_VERSION:
        raise WeightsError(
            f"{path / CONFIG} has format_version {config.get('format_version')!r}; this version reads {FORMAT_VERSION}."
        )
    return config


def write_release(folder: Path, *, tensors: dict[str, Tensor], lat_lng: "NDArray[np.float32]", **about: object) -> None:
    """Write the files of a release into an empty folder; `about` is added to `config.json`.

    Args:
        folder: an existing folder; the caller publishes it with one rename.
        tensors: state of the model under the authors' key names.
        lat_lng: the gallery, (N, 2) degrees.
        about: `sigma` and whatever else describes the release.
    """
    from safetensors.torch import save_file

    from geoclip.tables.coordinates import write_lat_lng

    save_file(
        {key: value.detach().to(torch.float32).contiguous() for key, value in tensors.items()},
        folder / WEIGHTS,
    )
    write_lat_lng(folder / GALLERY, lat_lng)
    config = {
        "model_type": MODEL_TYPES[0],
        "format_version": FORMAT_VERSION,
        "gallery_file": GALLERY,
        **about,
        "sha256": {name: sha256_of(folder / name) for name in (WEIGHTS, GALLERY)},
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def released_path() -> Path:
    """Return where the authors' release lies, or would lie, in the cache."""
    return cache_dir() / "released-1.3.0"


def released() -> Release:
    """Open the authors' release, fetching it first if the cache has none.

    Raises:
        WeightsError: it is damaged, or cannot be fetched.
    """
    if not (released_path() / CONFIG).is_file():
        from geoclip.release.fetch import fetch

        return fetch()
    return Release.open(released_path())
