"""The image encoder: frozen CLIP image tower, then the released two-layer perceptron."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geoclip.encoders.backbone import image_tower
from geoclip.encoders.precision import Precision, compute_dtype
from geoclip.encoders.preprocess import normalised
from geoclip.errors import WeightsError
from geoclip.photos.decode import DecodeLimits, Photo, decode
from geoclip.release.config import ModelConfig
from geoclip.release.directory import Release
from geoclip.release.fetch import released


def views_at_once(device: torch.device) -> int:
    """Return how many views of photos are encoded together: a CPU gains nothing from more, a GPU is to be busy."""
    return 64 if device.type == "cuda" else 4


def image_mlp(config: ModelConfig) -> nn.Sequential:
    """Return the untrained perceptron that maps CLIP's features (N, features) to the shared space (N, dim)."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise((config.backbone.features, *config.image_hidden, config.dim)):
        layers += (nn.Linear(inputs, outputs), nn.ReLU())
    return nn.Sequential(*layers[:-1])


def released_mlp(release: Release) -> nn.Sequential:
    """Return the perceptron of a release.

    Raises:
        WeightsError: its weights are not what its configuration says.
    """
    with torch.device("meta"):  # no memory and no random numbers for weights about to be replaced
        mlp = image_mlp(release.config)
    try:
        mlp.load_state_dict(release.image_mlp(), strict=True, assign=True)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise WeightsError(f"The image perceptron of {release.path} does not fit its config.json: {reason}") from error
    return mlp


class ImageEncoder(nn.Module):
    """GeoCLIP's image encoder.

    Args:
        from_pretrained: load the perceptron of the release, fetching the authors' where it is not there yet; False
            leaves it random.
        clip_pretrained: load CLIP's weights; False leaves its tower random.
        clip_path: CLIP's weights, a file or folder (open_clip, OpenAI or transformers format); None takes
            open_clip's hub.
        precision: `auto`, `fp32` or `bf16`: the arithmetic of CLIP's tower. The perceptron is float32.
        device: where to compute, decided once because `auto` precision depends on it.
        backbone: a module (N, 3, size, size) -> (N, features) in place of CLIP's tower, in its own arithmetic.
        release: what the model is and the perceptron's weights; the authors' release by default.

    Raises:
        WeightsError: weights cannot be had or do not fit.
    """

    def __init__(
        self,
        from_pretrained: bool = True,
        *,
        clip_pretrained: bool = True,
        clip_path: str | Path | None = None,
        precision: Precision | str = Precision.FP32,
        device: str | torch.device = "cpu",
        backbone: nn.Module | None = None,
        release: Release | None = None,
    ) -> None:
        super().__init__()
        self.dtype = compute_dtype(precision, torch.device(device))
        if release is None and from_pretrained:
            release = released()
        self.config = ModelConfig() if release is None else release.config
        if backbone is None:
            path = None if clip_path is None else Path(clip_path)
            backbone = image_tower(self.config, path, pretrained=clip_pretrained, dtype=self.dtype)
        else:
            self.dtype = next((weight.dtype for weight in backbone.parameters()), self.dtype)
        self.backbone = backbone
        self.mlp = released_mlp(release) if release is not None and from_pretrained else image_mlp(self.config)
        self.to(device)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.mlp.parameters()).device

    def preprocess_image(self, image: Photo, limits: DecodeLimits | None = None) -> Tensor:
        """Return one photo as CLIP's input, (1, 3, size, size) float32 on the CPU.

        Raises:
            PhotoError: the photo cannot be read.
        """
        wanted = replace(limits or DecodeLimits(), size=self.config.preprocess.size)
        return normalised([decode(image, wanted)], self.config.preprocess)

    def forward(self, x: Tensor) -> Tensor:
        """Map CLIP's input (N, 3, size, size) to embeddings (N, dim) float32, not normalised."""
        with torch.no_grad():
            features = self.backbone(x.to(self.dtype)).float()
        out: Tensor = self.mlp(features)
        return out

    def embed(self, pixels: Sequence[bytes]) -> Tensor:
        """Return unit vectors (N, dim) float32 on the CPU of N decoded photos (see `geoclip.photos.decode`)."""
        with torch.inference_mode():
            return F.normalize(self(normalised(pixels, self.config.preprocess).to(self.device)), dim=1).cpu()
