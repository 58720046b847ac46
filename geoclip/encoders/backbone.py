"""CLIP's two towers, built by open_clip one at a time. The only door to open_clip and its model hub."""

import os
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from geoclip.encoders.clip_checkpoint import Tower, read_tower
from geoclip.errors import WeightsError

ARCHITECTURE = "ViT-L-14-quickgelu"
PRETRAINED = "openai"
FEATURE_DIM = 768
TRANSFORMERS_COPY = ("openai/clip-vit-large-patch14", "model.safetensors")


def image_tower(
    checkpoint: Path | None = None, *, pretrained: bool = True, dtype: torch.dtype = torch.float32
) -> nn.Module:
    """Return CLIP ViT-L/14's image tower: (N, 3, 224, 224) to (N, 768). The text tower is never in memory.

    Args:
        checkpoint: a file or folder with CLIP's weights; None is `$GEOCLIP_CLIP_CHECKPOINT`, else open_clip's hub.
        pretrained: False gives random weights.
        dtype: arithmetic of the matrix products; layer norms stay float32.

    Raises:
        WeightsError: the weights cannot be had, or are those of another tower.
    """
    return _tower(Tower.IMAGE, checkpoint, pretrained=pretrained, dtype=dtype)


def text_tower(
    checkpoint: Path | None = None, *, pretrained: bool = True, dtype: torch.dtype = torch.float32
) -> nn.Module:
    """Return CLIP ViT-L/14's text tower: tokens (N, 77) to (N, 768); arguments as for `image_tower`."""
    tower = _tower(Tower.TEXT, checkpoint, pretrained=pretrained, dtype=dtype)
    tower.register_buffer("attn_mask", tower.build_causal_mask(), persistent=False)  # type: ignore[operator]
    return tower


def tokenise(texts: list[str]) -> Tensor:
    """Return CLIP's tokens (N, 77) int64; longer texts are cut."""
    import open_clip

    tokens: Tensor = open_clip.tokenize(texts)
    return tokens


def _tower(tower: Tower, checkpoint: Path | None, *, pretrained: bool, dtype: torch.dtype) -> nn.Module:
    from open_clip.model import _build_text_tower, _build_vision_tower, convert_weights_to_lp

    config = _config()
    build: Any = _build_vision_tower if tower is Tower.IMAGE else _build_text_tower
    make = partial(
        build,
        config["embed_dim"],
        config["vision_cfg" if tower is Tower.IMAGE else "text_cfg"],
        quick_gelu=config["quick_gelu"],
        cast_dtype=dtype,
    )
    module: nn.Module
    if pretrained:
        path = checkpoint or _named_checkpoint() or hub_checkpoint()
        with torch.device("meta"):  # no memory and no random numbers for weights about to be replaced
            module = make()
        _load(module, read_tower(path, tower), path)
    else:
        module = make()
    if dtype is not torch.float32:
        convert_weights_to_lp(module, dtype)
    return module.eval().requires_grad_(False)


def _named_checkpoint() -> Path | None:
    """Return the file or folder that the environment names."""
    named = os.environ.get("GEOCLIP_CLIP_CHECKPOINT")
    return Path(named).expanduser() if named else None


def _config() -> dict[str, Any]:
    import open_clip

    config: dict[str, Any] = open_clip.get_model_config(ARCHITECTURE)
    return config


def _load(module: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    expected = module.state_dict()
    missing = sorted(expected.keys() - state.keys())
    if missing:
        raise WeightsError(
            f"{path} is not a CLIP ViT-L/14 checkpoint: {missing[0]} and {len(missing) - 1} more are missing."
        )
    for name, tensor in expected.items():
        if state[name].shape != tensor.shape:
            raise WeightsError(
                f"{path} is not a CLIP ViT-L/14 checkpoint: {name} has the shape {tuple(state[name].shape)}, "
                f"expected {tuple(tensor.shape)}."
            )
    module.load_state_dict({name: state[name].contiguous() for name in expected}, strict=True, assign=True)


def hub_checkpoint() -> Path:
    """Return a file with CLIP's released weights from the model hub's cache, downloading it if none is there.

    The same weights in transformers' format, which users of the released package have, are taken as well.

    Raises:
        WeightsError: no copy is in the cache and the hub cannot be reached.
    """
    import huggingface_hub as hub
    import open_clip
    from open_clip.constants import HF_SAFE_WEIGHTS_NAME

    home = open_clip.get_pretrained_cfg(ARCHITECTURE, PRETRAINED)["hf_hub"].rstrip("/"), HF_SAFE_WEIGHTS_NAME
    for repository, name in (home, TRANSFORMERS_COPY):
        if isinstance(path := hub.try_to_load_from_cache(repository, name), str):
            return Path(path)
    try:
        hub.get_hf_file_metadata(hub.hf_hub_url(*home), timeout=10)  # the download itself would retry for a minute
        return Path(hub.hf_hub_download(*home))
    except Exception as error:  # the hub's client raises its own, its HTTP library's and OSErrors
        raise WeightsError(
            "CLIP ViT-L/14's weights, needed for photos and words, are not in the model hub's cache and the hub "
            "cannot be reached; connect once, or give a copy with `--clip-checkpoint FILE` (open_clip, OpenAI or "
            "transformers format)."
        ) from error
