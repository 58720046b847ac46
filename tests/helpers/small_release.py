"""A small model in a folder: a tiny CLIP and encoders of sizes of their own, random, as a release and a checkpoint."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from geoclip.encoders.backbone import image_tower, text_tower
from geoclip.encoders.image import image_mlp
from geoclip.encoders.location import LocationEncoder
from geoclip.release.config import Backbone, ModelConfig, Preprocess, Towers, VisionTower, WordsTower
from geoclip.release.directory import Release, write_release

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
    weights, clip = folder / "release", folder / "clip.safetensors"
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
        towers = {f"visual.{name}": t for name, t in image_tower(config, pretrained=False).state_dict().items()}
        towers["visual.transformer.resblocks.0.attn.out_proj.weight"] *= 50  # so that photos differ
        towers |= text_tower(config, pretrained=False).state_dict()
    write_release(weights, tensors=tensors | {"logit_scale": torch.tensor(3.68)}, lat_lng=gallery, config=config)
    save_file({name: tensor.half().contiguous() for name, tensor in towers.items()}, clip)
    return SmallRelease(weights, clip)
