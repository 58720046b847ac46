"""A small model in a folder: a tiny CLIP and encoders of sizes of their own, random, as a release and a checkpoint."""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from geoclip.encoders.backbone import image_tower, text_tower
from geoclip.encoders.embedded_gallery import embedded_gallery
from geoclip.encoders.image import image_mlp
from geoclip.encoders.location import LocationEncoder
from geoclip.files import cache_dir
from geoclip.release.config import Backbone, ModelConfig, Preprocess, Towers, VisionTower, WordsTower
from geoclip.release.directory import CONFIG, Release, released_path, write_description, write_release
from tests.helpers.shared import made_once

CLIP = "clip.safetensors"
SMALL = ModelConfig(
    sigma=(1.0, 16.0),
    dim=64,
    frequencies=24,
    hidden=(96, 80),
    image_hidden=(40,),
    backbone=Backbone(
        open_clip=Towers(
            embed_dim=48,
            vision_cfg=VisionTower(image_size=64, layers=1, width=32, patch_size=16, head_width=16),
            text_cfg=WordsTower(width=32, heads=2, layers=1),
        ),
        pretrained=None,
        features=48,
        repo_id=None,
        revision=None,
    ),
    preprocess=Preprocess(size=64, mean=(0.5, 0.45, 0.4), std=(0.25, 0.25, 0.3)),
)
"""Differs from the released model in everything a configuration says."""


class SmallRelease(NamedTuple):
    """What `--weights` and `--clip-checkpoint` take."""

    weights: Path
    clip: Path

    @classmethod
    def in_cache(cls, cache: Path) -> Self:
        """Return what `with_small_towers` made there."""
        return cls(cache / released_path().name, cache / CLIP)

    @property
    def release(self) -> Release:
        return Release.open(self.weights)

    @property
    def options(self) -> list[str]:
        """The two options of the command line."""
        return ["--weights", str(self.weights), "--clip-checkpoint", str(self.clip)]


def small_release(
    folder: Path, config: ModelConfig = SMALL, *, gallery: NDArray[np.float32] | None = None, seed: int = 0
) -> SmallRelease:
    """Write a release with random weights and a checkpoint of its CLIP towers (open_clip's layout) into a folder.

    Args:
        folder: made where it is not there.
        config: what the model is.
        gallery: (N, 2) degrees; 200 places spread over the sphere by default.
        seed: of weights and places.
    """
    weights = folder / "release"
    weights.mkdir(parents=True)
    if gallery is None:
        rng = np.random.default_rng(seed)
        lat = np.degrees(np.arcsin(rng.uniform(-0.9, 0.9, 200)))
        gallery = np.stack((lat, rng.uniform(-180, 180, 200)), axis=1).astype(np.float32)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder, mlp = LocationEncoder(from_pretrained=False, config=config), image_mlp(config)
        for layer in (*encoder.modules(), *mlp.modules()):
            if isinstance(layer, nn.Linear):  # torch's own start puts nearly all inputs in one place
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(layer.bias)
        tensors = {f"location_encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
        tensors |= {f"image_encoder.mlp.{name}": tensor for name, tensor in mlp.state_dict().items()}
    write_release(weights, tensors=tensors | {"logit_scale": torch.tensor(3.68)}, lat_lng=gallery, config=config)
    return SmallRelease(weights, _small_clip(folder, config, seed))


def small_description(folder: Path, features: int) -> Path:
    """Write what a small model is, without weights, into a folder: what `model.like` of training takes.

    It has as many layers as the released one.
    """
    backbone = SMALL.backbone.model_copy(update={"features": features})
    config = SMALL.model_copy(update={"backbone": backbone, "hidden": (96, 80, 72)})
    described = {"model_type": "geoclip-geolocation", "format_version": 1, **config.model_dump(mode="json")}
    write_description(folder, described)
    return folder


def _small_clip(folder: Path, config: ModelConfig, seed: int = 0) -> Path:
    """Write a checkpoint of both towers with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        towers = {f"visual.{name}": t for name, t in image_tower(config, pretrained=False).state_dict().items()}
        towers |= text_tower(config, pretrained=False).state_dict()
    towers["visual.transformer.resblocks.0.attn.out_proj.weight"] *= 50  # so that photos differ
    path = folder / CLIP
    save_file({name: tensor.half().contiguous() for name, tensor in towers.items()}, path)
    return path


def with_small_towers(release: Release, cache: Path) -> None:
    """Make a cache folder (`GEOCLIP_CACHE`) in which the authors' release is that release behind a tiny CLIP.

    Its weights are the same file, so indexes and embedded galleries of one are those of the other.
    """
    towers = SMALL.backbone.open_clip
    assert isinstance(towers, Towers)
    features = release.config.backbone.features
    towers = towers.model_copy(update={"embed_dim": features})
    backbone = SMALL.backbone.model_copy(update={"open_clip": towers, "features": features})
    weights = cache / released_path().name
    shutil.copytree(release.path, weights)
    config = release.config.model_copy(update={"backbone": backbone, "preprocess": SMALL.preprocess})
    described = json.loads((weights / CONFIG).read_text()) | config.model_dump(mode="json")
    write_description(weights, described)
    (galleries := cache_dir() / "gallery").mkdir(exist_ok=True)
    (cache / galleries.name).symlink_to(galleries)
    _small_clip(cache, config)


def embedded_release() -> Release:
    """Return the authors' release, as fetched. Its gallery is embedded: twenty seconds where it was not before.

    Raises:
        WeightsError: it is not in the cache.
    """
    opened = Release.open(released_path())

    def embed(done: Path) -> None:
        embedded_gallery(LocationEncoder.of(opened, precision="fp32"), opened.gallery())
        done.touch()

    made_once("gallery-is-embedded", embed)
    return opened


def small_towers_in_cache() -> SmallRelease:
    """Return the authors' release behind a tiny CLIP, in a cache of its own, made once."""
    release = embedded_release()
    return SmallRelease.in_cache(made_once("small-towers", partial(with_small_towers, release)))
