"""CLIP's two towers, built by open_clip one at a time. The only door to open_clip and its model hub."""

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from geoclip.encoders.clip_checkpoint import Tower, read_tower
from geoclip.errors import WeightsError
from geoclip.release.config import ModelConfig, Towers


def image_tower(
    config: ModelConfig, checkpoint: Path | None = None, *, pretrained: bool = True, dtype: torch.dtype = torch.float32
) -> nn.Module:
    """Return CLIP's image tower: (N, 3, size, size) to (N, features). The text tower is never in memory.

    Args:
        config: names the tower, the size of its input and the width of its output.
        checkpoint: a file or folder with CLIP's weights; None is `$GEOCLIP_CLIP_CHECKPOINT`, else open_clip's hub.
        pretrained: False gives random weights.
        dtype: arithmetic of the matrix products; layer norms stay float32.

    Raises:
        WeightsError: the weights cannot be had, or are those of another tower; or there is no such tower.
    """
    return _tower(Tower.IMAGE, config, checkpoint, pretrained=pretrained, dtype=dtype)


def text_tower(
    config: ModelConfig, checkpoint: Path | None = None, *, pretrained: bool = True, dtype: torch.dtype = torch.float32
) -> nn.Module:
    """Return CLIP's text tower: tokens (N, context) to (N, features); arguments as for `image_tower`."""
    tower = _tower(Tower.TEXT, config, checkpoint, pretrained=pretrained, dtype=dtype)
    if getattr(tower, "attn_mask", None) is not None:  # on the meta device its values were lost
        tower.register_buffer("attn_mask", tower.build_causal_mask(), persistent=False)  # type: ignore[operator]
    return tower


def tokenise(texts: list[str], config: ModelConfig) -> Tensor:
    """Return the tokens (N, context) int64 that the text tower reads; longer texts are cut."""
    import open_clip

    tower = config.backbone.open_clip
    if isinstance(tower, Towers):
        tokeniser = open_clip.SimpleTokenizer(context_length=tower.text_cfg.context_length)
    else:
        tokeniser = open_clip.get_tokenizer(tower)
    tokens: Tensor = tokeniser(texts)
    return tokens


def tower_name(config: ModelConfig) -> str:
    """Return what messages call the CLIP model."""
    tower = config.backbone.open_clip
    return f"CLIP {tower.removesuffix('-quickgelu')}" if isinstance(tower, str) else "a CLIP of the release's own shape"


def _tower(
    tower: Tower, config: ModelConfig, checkpoint: Path | None, *, pretrained: bool, dtype: torch.dtype
) -> nn.Module:
    from open_clip.model import convert_weights_to_lp

    path = None
    if pretrained:
        path = checkpoint or named_checkpoint() or hub_checkpoint(config)
    with torch.device("cpu" if path is None else "meta"):  # no memory, no random numbers for weights to be replaced
        module = _built(tower, config, dtype)
    if path is not None:
        _load(module, read_tower(path, tower), path, config)
    if dtype is not torch.float32:
        convert_weights_to_lp(module, dtype)
    return module.eval().requires_grad_(False)


def named_checkpoint() -> Path | None:
    """Return the file or folder that the environment names."""
    named = os.environ.get("GEOCLIP_CLIP_CHECKPOINT")
    return Path(named).expanduser() if named else None


def _built(tower: Tower, config: ModelConfig, dtype: torch.dtype) -> nn.Module:
    import open_clip
    from open_clip.model import _build_text_tower, _build_vision_tower

    named, wanted = config.backbone.open_clip, (config.backbone.features, config.preprocess.size)
    found: dict[str, Any] | None
    found = named.model_dump() if isinstance(named, Towers) else open_clip.get_model_config(named)
    if found is None:
        raise WeightsError(
            f"The release's backbone is {named!r}, which open_clip does not know; check its config.json."
        )
    if (width := found["embed_dim"], size := found["vision_cfg"]["image_size"]) != wanted:
        raise WeightsError(
            f"{tower_name(config)} turns {size} x {size} pixels into {width} features, not {wanted[1]} x {wanted[1]} "
            f"into {wanted[0]}; correct preprocess.size and backbone.features in the release's config.json."
        )
    build: Any = _build_vision_tower if tower is Tower.IMAGE else _build_text_tower
    part = found["vision_cfg" if tower is Tower.IMAGE else "text_cfg"]
    try:
        module: nn.Module = build(width, part, quick_gelu=found.get("quick_gelu", False), cast_dtype=dtype)
    except Exception as error:  # whatever open_clip and torch say to sizes that do not go together
        raise WeightsError(f"open_clip cannot build {tower_name(config)}: {error or type(error).__name__}.") from error
    return module


def _load(module: nn.Module, state: dict[str, Tensor], path: Path, config: ModelConfig) -> None:
    expected = module.state_dict()
    missing = sorted(expected.keys() - state.keys())
    if missing:
        raise WeightsError(
            f"{path} is not a checkpoint of {tower_name(config)}: {missing[0]} and {len(missing) - 1} more are missing."
        )
    for name, tensor in expected.items():
        if state[name].shape != tensor.shape:
            raise WeightsError(
                f"{path} is not a checkpoint of {tower_name(config)}: {name} has the shape "
                f"{tuple(state[name].shape)}, expected {tuple(tensor.shape)}."
            )
    module.load_state_dict({name: state[name].contiguous() for name in expected}, strict=True, assign=True)


def hub_checkpoint(config: ModelConfig) -> Path:
    """Return a file with CLIP's released weights from the model hub's cache, downloading it if none is there.

    The same weights in transformers' format, which users of the released package have, are taken as well.

    Raises:
        WeightsError: no copy is in the cache and the hub cannot be reached, or the hub has none.
    """
    import huggingface_hub as hub
    import open_clip
    from open_clip.constants import HF_SAFE_WEIGHTS_NAME

    backbone, given = config.backbone, "with `--clip-checkpoint FILE` (open_clip, OpenAI or transformers format)"
    source: dict[str, Any] = {}
    if isinstance(backbone.open_clip, str) and backbone.pretrained is not None:
        source = open_clip.get_pretrained_cfg(backbone.open_clip, backbone.pretrained)
    if not source.get("hf_hub"):
        raise WeightsError(f"The model hub has no weights of {tower_name(config)}; give them {given}.")
    home = source["hf_hub"].rstrip("/"), HF_SAFE_WEIGHTS_NAME
    for repository, name in (home, (backbone.repo_id, "model.safetensors")):
        if repository and isinstance(path := hub.try_to_load_from_cache(repository, name), str):
            return Path(path)
    try:
        hub.get_hf_file_metadata(hub.hf_hub_url(*home), timeout=10)  # the download itself would retry for a minute
        return Path(hub.hf_hub_download(*home))
    except Exception as error:  # the hub's client raises its own, its HTTP library's and OSErrors
        raise WeightsError(
            f"{tower_name(config)}'s weights, needed for photos and words, are not in the model hub's cache and the "
            f"hub cannot be reached; connect once, or give a copy {given}."
        ) from error
