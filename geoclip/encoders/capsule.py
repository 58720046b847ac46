"""One scale of the location encoder."""

from itertools import pairwise

from torch import Tensor, nn

from geoclip.encoders.fourier import GaussianEncoding
from geoclip.release.config import ModelConfig


class LocationEncoderCapsule(nn.Module):
    """One scale of the encoder: Fourier features at `sigma`, then a perceptron.

    The layout of the submodules is the released checkpoint's.
    """

    def __init__(self, sigma: float, config: ModelConfig = ModelConfig()) -> None:  # noqa: B008 - frozen
        super().__init__()
        sizes = (2 * config.frequencies, *config.hidden)
        layers: list[nn.Module] = [GaussianEncoding(sigma, config.frequencies)]
        for inputs, outputs in pairwise(sizes):
            layers += (nn.Linear(inputs, outputs), nn.ReLU())
        self.capsule = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Linear(sizes[-1], config.dim))

    def forward(self, plane: Tensor) -> Tensor:
        """Map projected points (N, 2) to this scale's share (N, dim) of the embedding."""
        out: Tensor = self.head(self.capsule(plane))
        return out

    def linears(self) -> list[nn.Linear]:
        """Return the linear layers in order; a ReLU follows each but the last."""
        return [m for m in (*self.capsule, *self.head) if isinstance(m, nn.Linear)]
