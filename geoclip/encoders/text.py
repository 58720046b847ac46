"""The text encoder: frozen CLIP text tower, then the image encoder's perceptron. Loaded only when text is asked for."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geoclip.encoders.backbone import text_tower, tokenise
from geoclip.encoders.image import released_mlp
from geoclip.errors import InputError
from geoclip.release.directory import Release
from geoclip.release.fetch import released


class TextEncoder(nn.Module):
    """Words into the space of photos and places, as the paper does: CLIP's text feature through the image perceptron.

    Args:
        clip_path: CLIP's weights, as for `ImageEncoder`.
        device: where to compute.
        tower: a module, tokens (N, 77) -> (N, features), to use in place of CLIP's text tower.
        release: what the model is and the perceptron's weights; the authors' release by default.

    Raises:
        WeightsError: weights cannot be had or do not fit.
    """

    def __init__(
        self,
        *,
        clip_path: str | Path | None = None,
        device: str | torch.device = "cpu",
        tower: nn.Module | None = None,
        release: Release | None = None,
    ) -> None:
        super().__init__()
        release = release or released()
        self.config = release.config
        if tower is None:
            tower = text_tower(self.config, None if clip_path is None else Path(clip_path))
        self.tower = tower
        self.mlp = released_mlp(release)
        self.to(device)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (N, 77) to embeddings (N, dim) float32, not normalised."""
        out: Tensor = self.mlp(self.tower(tokens))
        return out

    def embed(self, texts: Sequence[str]) -> Tensor:
        """Return unit vectors (N, dim) float32 on the CPU, one a text; texts over 77 tokens are cut.

        Raises:
            InputError: a text is empty.
        """
        if any(not text.strip() for text in texts):
            raise InputError("A text query is empty; give some words.")
        with torch.inference_mode():
            device = next(self.mlp.parameters()).device
            return F.normalize(self(tokenise(list(texts), self.config).to(device)), dim=1).cpu()
