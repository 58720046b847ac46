"""Random Fourier features: the plane to periodic features of one scale."""

import math

import torch
from torch import Tensor, nn


class GaussianEncoding(nn.Module):
    """Fixed random Fourier features of a point in the plane.

    Tancik et al., "Fourier features let networks learn high frequency functions in low dimensional domains",
    NeurIPS 2020.

    Args:
        sigma: standard deviation of the frequencies, in cycles per unit of the plane.
        encoded_size: number of frequencies; the output has twice as many features.
    """

    b: nn.Parameter

    def __init__(self, sigma: float, encoded_size: int = 256) -> None:
        super().__init__()
        self.b = nn.Parameter(torch.randn(encoded_size, 2) * sigma, requires_grad=False)

    def forward(self, plane: Tensor) -> Tensor:
        """Return the float32 features (N, 2 * encoded_size), cosines first, of float32 points (N, 2).

        The phase reaches thousands of radians, so it is never computed below float32, and not by a matrix
        product: autocast or a TF32 switch would round that, and its last bit depends on the batch. This form
        gives the bits of a product over a large batch, for any batch.
        """
        with torch.autocast(plane.device.type, enabled=False):
            turns = 2 * math.pi * plane
            phase = torch.addcmul(turns[:, :1] * self.b[:, 0], turns[:, 1:], self.b[:, 1])
            return torch.cat((torch.cos(phase), torch.sin(phase)), dim=-1)
