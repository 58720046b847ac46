"""Read one tower of a CLIP checkpoint, whoever wrote the file, under open_clip's parameter names.

Understood: open_clip's and OpenAI's names (`visual.conv1.weight`, ...) and transformers' (`vision_model....`), in
safetensors, PyTorch files, OpenAI's TorchScript archives, and folders that hold one of these. Only the tensors
of the wanted tower are read.
"""

import os
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from geoclip.encoders.torchscript import TorchScriptTensors
from geoclip.errors import WeightsError
from geoclip.files import is_file
from geoclip.release.directory import checked_weights, torch_file

FOLDER_FILES = (
    "open_clip_model.safetensors",
    "model.safetensors",
    "open_clip_pytorch_model.bin",
    "pytorch_model.bin",
)


class Tower(StrEnum):
    """The half of CLIP to read."""

    IMAGE = "image"
    TEXT = "text"


class _Tensors(NamedTuple):
    """The tensors of a file, read one by one."""

    names: frozenset[str]
    get: Callable[[str], Tensor]


def read_tower(path: Path, tower: Tower) -> dict[str, Tensor]:
    """Return a tower's state dict, float32, under open_clip's names.

    Args:
        path: a checkpoint file, or a folder that holds one.
        tower: which half.

    Raises:
        WeightsError: no such file, an unknown or damaged one, no such tower in it, or numbers that are not finite.
    """
    with _opened(_file_of(path)) as tensors:
        if tower is Tower.IMAGE and "vision_model.embeddings.patch_embedding.weight" in tensors.names:
            state = dict(_from_transformers(tensors, "vision_model", _IMAGE_NAMES))
        elif tower is Tower.TEXT and "text_model.embeddings.token_embedding.weight" in tensors.names:
            state = dict(_from_transformers(tensors, "text_model", _TEXT_NAMES))
        else:
            state = dict(_from_open_clip(tensors, tower))
        if not state:
            raise WeightsError(f"{path} holds no {tower} tower of CLIP under names of open_clip or transformers.")
        return {name: checked_weights(name, tensor) for name, tensor in state.items()}


def checkpoint_key(path: Path) -> str:
    """Return by what a checkpoint is known again wherever it lies: its size, and a digest of pieces all over it.

    Reading a megabyte of 1.7 GB tells any two trainings apart, of one tower alone too. What is not there is its path.
    """
    try:
        with _file_of(path).open("rb") as file:
            size, digest = file.seek(0, os.SEEK_END), sha256()
            for number in range(_PIECES):
                file.seek(max(size - _PIECE_BYTES, 0) * number // (_PIECES - 1))
                digest.update(file.read(_PIECE_BYTES))
    except (OSError, WeightsError):
        return str(path)
    return f"{size} {digest.hexdigest()}"


_PIECES, _PIECE_BYTES = 64, 1 << 14


def _file_of(path: Path) -> Path:
    if is_file(path):
        return path
    if os.path.isdir(path):  # noqa: PTH112 - Path raises where a name is too long
        for name in FOLDER_FILES:
            if is_file(path / name):
                return path / name
        raise WeightsError(f"{path} holds none of {', '.join(FOLDER_FILES)}; give the checkpoint file itself.")
    raise WeightsError(f"The CLIP checkpoint {path} does not exist, or is not a file; check the path.")


@contextmanager
def _opened(path: Path) -> Iterator[_Tensors]:
    from safetensors import safe_open

    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                names = {name.removeprefix("module."): name for name in file.keys()}  # noqa: SIM118 - not a dict
                yield _Tensors(frozenset(names), lambda name: file.get_tensor(names[name]))
        else:
            state = _torch_state(path)
            names = {name.removeprefix("module."): name for name in state}
            yield _Tensors(frozenset(names), lambda name: state[names[name]])
    except WeightsError:
        raise
    except Exception as error:  # bytes of any other file make the readers fail in any way
        reason = getattr(error, "strerror", None) or "it is another kind of file, or damaged"
        raise WeightsError(f"The CLIP checkpoint {path} cannot be read: {reason}.") from error


def _torch_state(path: Path) -> Mapping[str, Tensor]:
    if _is_torchscript(path):  # as OpenAI's own files are
        return TorchScriptTensors(path)
    loaded = torch_file(path, mmap=zipfile.is_zipfile(path))
    if isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, dict):
        raise WeightsError(f"The CLIP checkpoint {path} holds a {type(loaded).__name__}, not a state dict.")
    return {name: tensor for name, tensor in loaded.items() if isinstance(tensor, Tensor)}


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


_TEXT_PARTS = ("token_embedding.", "positional_embedding", "transformer.", "ln_final.", "text_projection")


def _from_open_clip(tensors: _Tensors, tower: Tower) -> Iterator[tuple[str, Tensor]]:
    for name in sorted(tensors.names):
        if tower is Tower.IMAGE and name.startswith("visual."):
            yield name.removeprefix("visual."), tensors.get(name)
        elif tower is Tower.TEXT and name.removeprefix("text.").startswith(_TEXT_PARTS):
            yield name.removeprefix("text."), tensors.get(name)


_LAYER = re.compile(r"\w+_model\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)$")
_LAYER_NAMES = {
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
_IMAGE_NAMES = {
    "vision_model.embeddings.class_embedding": "class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "positional_embedding",
    "vision_model.pre_layrnorm.weight": "ln_pre.weight",
    "vision_model.pre_layrnorm.bias": "ln_pre.bias",
    "vision_model.post_layernorm.weight": "ln_post.weight",
    "vision_model.post_layernorm.bias": "ln_post.bias",
    "visual_projection.weight": "proj",
}
_TEXT_NAMES = {
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
    "text_projection.weight": "text_projection",
}


def _from_transformers(tensors: _Tensors, model: str, names: dict[str, str]) -> Iterator[tuple[str, Tensor]]:
    """Rename transformers' parameters, join its three attention projections, transpose its last one."""
    for theirs, ours in names.items():
        if theirs in tensors.names:
            yield ours, tensors.get(theirs).T if ours in ("proj", "text_projection") else tensors.get(theirs)
    for name in sorted(tensors.names):
        layer = _LAYER.match(name)
        if layer is None or not name.startswith(model):
            continue
        block, part, kind = f"transformer.resblocks.{layer[1]}.", layer[2], layer[3]
        if part in _LAYER_NAMES:
            yield f"{block}{_LAYER_NAMES[part]}.{kind}", tensors.get(name)
        elif part == "self_attn.q_proj":
            joined = [tensors.get(name.replace("q_proj", f"{p}_proj")) for p in "qkv"]
            yield f"{block}attn.in_proj_{kind}", torch.cat(joined)
