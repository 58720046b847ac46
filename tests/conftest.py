"""Fixtures: the released weights where they are, small and full-size random CLIP towers, and the command line."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from geoclip.encoders.location import LocationEncoder
from geoclip.errors import WeightsError
from geoclip.release.directory import Release, released_path

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def release() -> Release:
    """The authors' release, as fetched."""
    try:
        return Release.open(released_path())
    except WeightsError as error:
        pytest.skip(f"the released weights are not in the cache: {error}")


@pytest.fixture(scope="session")
def encoder(release: Release) -> LocationEncoder:
    """The released location encoder in float32."""
    encoder = LocationEncoder(release.sigma, from_pretrained=False, precision="fp32")
    encoder.load_released(release.location_encoder())
    return encoder.eval()


class TinyTower(nn.Module):
    """Stands in for CLIP's image tower: a fixed random projection of a coarse view of the image."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(7)
        self.weight = nn.Parameter(torch.randn(3 * 8 * 8, 768, generator=generator), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, 224, 224) to (N, 768)."""
        return nn.functional.adaptive_avg_pool2d(x, 8).flatten(1) @ self.weight


@pytest.fixture(scope="session")
def tiny_tower() -> nn.Module:
    """A tower of CLIP's interface that costs nothing; random, and never mistaken for the trained one."""
    return TinyTower()


@pytest.fixture(scope="session")
def clip_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file of random weights in the shape of CLIP ViT-L/14, both towers, float16, open_clip's layout."""
    from safetensors.torch import save_file

    from geoclip.encoders.backbone import image_tower, text_tower

    torch.manual_seed(0)
    state = {f"visual.{k}": v.half() for k, v in image_tower(pretrained=False).state_dict().items()}
    state |= {k: v.half() for k, v in text_tower(pretrained=False).state_dict().items()}
    state["logit_scale"] = torch.tensor(4.6052)
    path = tmp_path_factory.mktemp("clip") / "random-vit-l-14.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    yield path
    path.unlink()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A small photo with some content."""
    return make_photo(tmp_path / "photo.jpg", seed=1)


def make_photo(path: Path, seed: int, size: tuple[int, int] = (320, 240)) -> Path:
    """Write a seeded picture of smooth blobs; the format is the suffix's."""
    blobs = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(blobs).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture(scope="session")
def run() -> Run:
    """Run `geoclip ARGUMENTS` as a user does, in a process of its own."""

    def run(*arguments: str | Path, stdin: bytes = b"", **environment: str) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [sys.executable, "-m", "geoclip", *map(str, arguments)],
            input=stdin,
            capture_output=True,
            check=False,
            timeout=300,
            env=os.environ | {"HF_HUB_OFFLINE": "1", "COLUMNS": "200"} | environment,
        )
        out, complaints = (text.decode("utf-8", "surrogateescape") for text in (done.stdout, done.stderr))
        return subprocess.CompletedProcess(done.args, done.returncode, out, complaints)

    return run


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows at length 1, in float64."""
    lengths: NDArray[np.float64] = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / lengths
