"""Towers of CLIP's interface that cost nothing; random, and never mistaken for the trained ones."""

import torch
from torch import Tensor, nn


class TinyTower(nn.Module):
    """Stands in for CLIP's image tower: a fixed random projection of a coarse view of the image."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(7)
        self.weight = nn.Parameter(torch.randn(3 * 8 * 8, 768, generator=generator), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, 224, 224) to (N, 768)."""
        return nn.functional.adaptive_avg_pool2d(x, 8).flatten(1) @ self.weight


class TinyText(nn.Module):
    """Stands in for CLIP's text tower: a fixed random vector a token, summed."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(49408, 768, generator=torch.Generator().manual_seed(3)) / 9, False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (N, 77) to (N, 768)."""
        return self.table[tokens].sum(dim=1)
