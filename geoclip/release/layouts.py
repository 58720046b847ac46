"""Public layouts of GeoCLIP's weights: the released package's files, and the authors' release folders.

The released package keeps its weights in three files of `torch.save`, in `geoclip/model/weights`, and its gallery in
`geoclip/model/gps_gallery`; the authors' release folders have safetensors, a CSV gallery and no digests.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from geoclip.errors import InputError
from geoclip.files import is_file
from geoclip.release.config import ModelConfig
from geoclip.release.directory import CONFIG, Release, torch_file

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GALLERY_CSV = "coordinates_100K.csv"
_PREFIXES = {"location_encoder": "location_encoder.", "image_encoder_mlp": "image_encoder.mlp."}
_SCALE = "logit_scale"


class Model(NamedTuple):
    """What a release is made of."""

    tensors: dict[str, Tensor]
    """By the authors' key names."""
    config: ModelConfig
    lat_lng: "NDArray[np.float32] | None"
    """The gallery, (N, 2) degrees; None where the folder has none."""


def file_name(part: str) -> str:
    """Return what the released package calls the file of a part of the model."""
    return f"{part}_weights.pth"


def joined(read: Callable[[str], Any]) -> dict[str, Tensor]:
    """Return the tensors of the released package's files by the names that a release has for them.

    Args:
        read: returns what `torch.save` wrote into the file of this name.

    Raises:
        TypeError: a file holds something else.
    """
    tensors: dict[str, Tensor] = {}
    for part, prefix in _PREFIXES.items():
        state = read(file_name(part))
        if not isinstance(state, Mapping) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
            raise TypeError(f"{file_name(part)} does not hold tensors by name")
        tensors |= {f"{prefix}{name}": tensor for name, tensor in state.items()}
    scale = read(file_name(_SCALE))
    if not isinstance(scale, Tensor):
        raise TypeError(f"{file_name(_SCALE)} does not hold a number")
    return tensors | {_SCALE: scale}


def read_layout(folder: Path) -> Model:
    """Read a folder of either layout.

    Args:
        folder: a release, or the folder with the released package's files, or the one above it.

    Raises:
        InputError: it is neither, or a file cannot be read; no code of it is run.
        WeightsError: the release is damaged.
    """
    if (folder / CONFIG).is_file():
        return _of_release(Release.open(folder))
    where = next((each for each in (folder, folder / "weights") if is_file(each / file_name(_SCALE))), None)
    if where is None:
        raise InputError(
            f"{folder} is neither a release ({CONFIG}) nor weights of the released package ({file_name(_SCALE)} and "
            "others); name a folder of one of these, or a checkpoint of `geoclip train`."
        )
    try:
        tensors = joined(lambda name: torch_file(where / name))
    except Exception as error:  # torch's reader raises errors of many kinds
        reason = str(error).split("\n")[0]
        raise InputError(f"{where} cannot be read as weights of the released package: {reason[:200]}") from error
    return Model(tensors, ModelConfig(), _gallery(where))


def _of_release(release: Release) -> Model:
    tensors = {f"location_encoder.{name}": tensor for name, tensor in release.location_encoder().items()}
    tensors |= {f"image_encoder.mlp.{name}": tensor for name, tensor in release.image_mlp().items()}
    gallery = None if release.gallery_file is None else release.gallery()
    return Model(tensors | {_SCALE: release.logit_scale()}, release.config, gallery)


def _gallery(weights: Path) -> "NDArray[np.float32] | None":
    from geoclip.tables.coordinates import read_lat_lng

    places = (weights / GALLERY_CSV, weights.parent / "gps_gallery" / GALLERY_CSV)
    found = next((path for path in places if is_file(path)), None)
    return None if found is None else read_lat_lng(found).astype("float32")
