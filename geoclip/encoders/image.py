"""The image encoder: frozen CLIP image tower, then the released two-layer perceptron."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geoclip.encoders.backbone import FEATURE_DIM, image_tower
from geoclip.encoders.location import EMBEDDING_DIM
from geoclip.encoders.precision import Precision, compute_dtype
from geoclip.encoders.preprocess import normalised
from geoclip.photos.decode import DecodeLimits, Photo, decode
from geoclip.release.directory import Release, released


def image_mlp() -> nn.Sequential:
    """Return the untrained perceptron that maps CLIP's features to the shared space."""
    return nn.Sequential(nn.Linear(FEATURE_DIM, FEATURE_DIM), nn.ReLU(), nn.Linear(FEATURE_DIM, EMBEDDING_DIM))


class ImageEncoder(nn.Module):
    """GeoCLIP's image encoder.

    Args:
        from_pretrained: load the released perceptron, fetching it first where it is not there yet; False leaves
            it random.
        clip_pretrained: load CLIP's weights; False leaves its tower random.
        clip_path: CLIP's weights, a file or folder (open_clip, OpenAI or transformers format); None takes
            open_clip's hub.
        precision: `auto`, `fp32` or `bf16`: the arithmetic of CLIP's tower. The perceptron is float32.
        device: where to compute, decided once because `auto` precision depends on it.
        backbone: a module (N, 3, 224, 224) -> (N, 768) to use in place of CLIP's tower, in its own arithmetic.
        release: where the perceptron's weights come from; the authors' release by default.

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
        if backbone is None:
            path = None if clip_path is None else Path(clip_path)
            backbone = image_tower(path, pretrained=clip_pretrained, dtype=self.dtype)
        else:
            self.dtype = next((weight.dtype for weight in backbone.parameters()), self.dtype)
        self.backbone = backbone
        self.mlp = image_mlp()
        if from_pretrained:
            self.mlp.load_state_dict((release or released()).image_mlp())
        self.to(device)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.mlp.parameters()).device

    def preprocess_image(self, image: Photo, limits: DecodeLimits | None = None) -> Tensor:
        """Return one photo as CLIP's input, (1, 3, 224, 224) float32 on the CPU.

        Raises:
            PhotoError: the photo cannot be read.
        """
        return normalised([decode(image, limits or DecodeLimits())])

    def forward(self, x: Tensor) -> Tensor:
        """Map CLIP's input (N, 3, 224, 224) to embeddings (N, 512) float32, not normalised."""
        with torch.no_grad():
            features = self.backbone(x.to(self.dtype)).float()
        out: Tensor = self.mlp(features)
        return out

    def embed(self, pixels: Sequence[bytes]) -> Tensor:
        """Return unit vectors (N, 512) float32 on the CPU of N decoded photos (see `geoclip.photos.decode`)."""
        with torch.inference_mode():
            return F.normalize(self(normalised(pixels).to(self.device)), dim=1).cpu()
