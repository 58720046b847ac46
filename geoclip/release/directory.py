"""A release directory: weights, gallery and their digests, as `geoclip fetch` writes and everything else reads.

    config.json          model_type, format_version, gallery_file, sha256 of the files beside it, a digest of its
                         own content; and what the model is, see `ModelConfig`
    model.safetensors    logit_scale, location_encoder.*, image_encoder.mlp.*   (the authors' key names)
    gallery.parquet      LAT, LON float32 degrees, in the released order, duplicates kept

The authors' own release folders (format_version 1, a CSV gallery, no digests) are read too.
"""

import json
import stat
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from pydantic import AfterValidator, Field
from torch import Tensor

from geoclip.errors import WeightsError
from geoclip.files import cache_dir, sha256_of
from geoclip.release.config import ModelConfig
from geoclip.remote.address import Address
from geoclip.schema import read_record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CONFIG, WEIGHTS, GALLERY = "config.json", "model.safetensors", "gallery.parquet"
LOGIT_SCALE_LIMIT = 10.0
"""Of the logarithm of tau, either way: CLIP stops at 4.6."""


def _plain_name(name: str) -> str:
    if name in ("", ".", "..") or any(c in "/\\" or not c.isprintable() for c in name):
        raise ValueError("it must be the plain name of a file inside the release")
    return name


PlainName = Annotated[str, AfterValidator(_plain_name)]


class Description(ModelConfig):
    """What `config.json` holds."""

    model_type: Literal["geoclip-geolocation", "geoclip-location-encoder"]
    format_version: Literal[1]
    gallery_file: PlainName | None = None
    sha256: dict[PlainName, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]] = Field(default_factory=dict)
    digest: str | None = None
    """Of all else that the file holds; the authors' own releases have none."""


@dataclass(frozen=True)
class Release:
    """An opened release directory whose files match their digests."""

    path: Path
    config: ModelConfig
    gallery_file: str | None
    model_digest: str
    """sha256 of `model.safetensors`; names the model wherever something is derived from it."""

    @classmethod
    def open(cls, path: "str | Path") -> "Release":
        """Open a release directory and check its files.

        Args:
            path: a folder, or the address of one (hf://, https://, s3://): it is fetched into the cache once.

        Raises:
            WeightsError: no release there, another format, or a file that does not match its digest.
        """
        if Address.is_one(str(path)):
            from geoclip.release.elsewhere import open_elsewhere

            return open_elsewhere(str(path))
        path = Path(path)
        described = description_of(path)
        digests = {name: _digest_of(path / name) for name in {WEIGHTS, *described.sha256}}
        for name, digest in described.sha256.items():
            if digests[name] != digest:
                raise WeightsError(
                    f"{path / name} is damaged (its sha256 is not the recorded one); run `geoclip fetch` again."
                )
        return cls(path, _model_config(described), described.gallery_file, digests[WEIGHTS])

    def location_encoder(self) -> dict[str, Tensor]:
        """Return the location encoder's state dict."""
        return self._part("location_encoder.") or self._part("")  # an encoder-only release has no prefix

    def image_mlp(self) -> dict[str, Tensor]:
        """Return the state dict of the perceptron behind CLIP's image tower."""
        return self._part("image_encoder.mlp.")

    def logit_scale(self) -> Tensor:
        """Return the logarithm of tau, a scalar.

        Raises:
            WeightsError: there is none, or it is no temperature.
        """
        found = self._part("logit_scale").get("", torch.empty(0))
        if found.numel() != 1 or not abs(found.item()) <= LOGIT_SCALE_LIMIT:
            raise WeightsError(
                f"{self.path / WEIGHTS} has logit_scale {found.tolist()}; expected one number between "
                f"{-LOGIT_SCALE_LIMIT:g} and {LOGIT_SCALE_LIMIT:g}."
            )
        return found.reshape(())

    def gallery(self) -> "NDArray[np.float32]":
        """Return the gallery (N, 2) float32, (lat, lng) in degrees, in the released order, duplicates kept.

        Raises:
            WeightsError: there is none.
            InputError: it cannot be read, or a row is no place on Earth.
        """
        from geoclip.tables.coordinates import read_lat_lng

        if self.gallery_file is None:
            raise WeightsError(f"{self.path / CONFIG} names no gallery_file, so this release has no gallery.")
        _check_ordinary(self.path / self.gallery_file)
        return read_lat_lng(self.path / self.gallery_file).astype("float32")

    def _part(self, prefix: str) -> dict[str, Tensor]:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.path / WEIGHTS, framework="pt") as file:
                names = [name for name in list(file.keys()) if name.startswith(prefix)]
                tensors = {name: file.get_tensor(name) for name in names}
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"{self.path / WEIGHTS} cannot be read: {error}; run `geoclip fetch` again.") from error
        return {name[len(prefix) :]: checked_weights(name, tensor).clone() for name, tensor in tensors.items()}


def torch_file(path: Path, *, mmap: bool = False) -> Any:
    """Return what `torch.save` wrote, tensors on the CPU and plain values; raises whatever the reader does.

    No code of the file runs, and the reader says nothing beside what it raises.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)


def checked_weights(name: str, tensor: Tensor) -> Tensor:
    """Return weights as float32.

    Raises:
        WeightsError: they are not floating-point numbers, or not all of them are finite.
    """
    if not tensor.is_floating_point():
        raise WeightsError(f"The weights {name} are {tensor.dtype}; expected floating-point numbers.")
    if not bool(torch.isfinite(tensor).all()):
        raise WeightsError(
            f"The weights {name} hold numbers that are not finite, so nothing can be computed with them."
        )
    return tensor.detach().to(torch.float32).contiguous()


def _digest_of(file: Path) -> str:
    _check_ordinary(file)
    with _named(file):
        return sha256_of(file)


def _check_ordinary(file: Path) -> None:
    with _named(file):
        if not stat.S_ISREG(file.stat().st_mode):
            raise WeightsError(f"{file} is not an ordinary file; run `geoclip fetch` again.")


@contextmanager
def _named(file: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise WeightsError(f"{file} is missing; run `geoclip fetch` again.") from error
    except OSError as error:
        raise WeightsError(f"{file} cannot be read: {error.strerror}; run `geoclip fetch` again.") from error


def config_of(path: Path) -> ModelConfig:
    """Return what the model of a release is, from its folder, in which nothing but `config.json` is needed.

    Raises:
        WeightsError: it does not describe a release.
    """
    return _model_config(description_of(path))


def _model_config(described: Description) -> ModelConfig:
    return ModelConfig.model_validate(described.model_dump(include=set(ModelConfig.model_fields)))


def description_of(path: Path) -> Description:
    """Return what `config.json` of a folder holds; nothing else is needed in it.

    Raises:
        WeightsError: it does not describe a release.
    """
    try:
        described = read_record(path / CONFIG, Description)
        given = described.digest
        if given is not None and given != _digest_of_content(json.loads((path / CONFIG).read_bytes())):
            raise WeightsError(
                f"{path / CONFIG} is damaged (its digest is not that of its content); run `geoclip fetch` again."
            )
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
        reason = getattr(error, "strerror", None) or error
        raise WeightsError(
            f"{path / CONFIG} does not describe a GeoCLIP release that this version reads: {reason}; "
            "run `geoclip fetch`, or make one of a checkpoint with `geoclip export`."
        ) from error
    return described


def write_description(folder: Path, record: Mapping[str, Any]) -> None:
    """Write `config.json` with a digest of its content, in place of an older one."""
    sealed = {**record, "digest": _digest_of_content(record)}
    (folder / CONFIG).write_text(json.dumps(sealed, indent=2) + "\n", encoding="utf-8")


def _digest_of_content(record: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in record.items() if name != "digest"}
    return sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def save_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    """Write a safetensors file; a full disk is an OSError, which safetensors' own writer hides."""
    from safetensors.torch import save

    path.write_bytes(save(tensors))


def write_release(
    folder: Path, *, tensors: dict[str, Tensor], lat_lng: "NDArray[np.float32]", config: ModelConfig, **about: object
) -> None:
    """Write the files of a release into an empty folder.

    Args:
        folder: an existing folder; the caller publishes it with one rename.
        tensors: state of the model under the authors' key names.
        lat_lng: the gallery, (N, 2) degrees.
        config: what the model is.
        about: whatever else describes the release, added to `config.json`.

    Raises:
        WeightsError: a tensor holds numbers that are not finite.
    """
    from geoclip.tables.coordinates import write_lat_lng

    save_tensors({name: checked_weights(name, tensor) for name, tensor in tensors.items()}, folder / WEIGHTS)
    write_lat_lng(folder / GALLERY, lat_lng)
    described = config.model_dump(mode="json")
    described["sigma"] = [int(scale) if scale == int(scale) else scale for scale in config.sigma]
    record = {
        "model_type": "geoclip-geolocation",
        "format_version": 1,
        "gallery_file": GALLERY,
        **described,
        **about,
        "sha256": {name: sha256_of(folder / name) for name in (WEIGHTS, GALLERY)},
    }
    write_description(folder, record)


def released_path() -> Path:
    """Return where the authors' release lies, or would lie, in the cache."""
    return cache_dir() / "released-1.3.0"
