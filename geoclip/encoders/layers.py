"""The location encoder's layers in one arithmetic, as products are computed with them."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from geoclip.encoders.precision import has_bf16_units
from geoclip.release.config import ModelConfig


class Layers(NamedTuple):
    """Weights and biases in the dtype of the arithmetic."""

    hidden: list[list[tuple[Tensor, Tensor]]]
    """The layers before the head, by capsule."""
    heads: list[tuple[Tensor, Tensor]]
    """The last layer, by capsule."""
    packed: bool
    """Whether the weights are in the layout of oneDNN, which otherwise lays them out anew for every product."""
    as_released: bool
    """Whether each capsule's head is a product of its own, as in the released package."""
    state: object
    """Changes when a parameter does."""
    joined: dict[tuple[int, ...], tuple[Tensor, Tensor]]
    """Heads of several capsules side by side and their summed bias (float32), made when first needed: one product adds
    them up before it rounds, where three would round three times."""

    @classmethod
    def of(
        cls, own: Sequence[Sequence[tuple[Tensor, Tensor]]], dtype: torch.dtype, state: object, *, as_released: bool
    ) -> Self:
        """Return the weights and biases of each capsule's layers, head last, in a dtype."""
        device = own[0][0][0].device
        packed = not as_released and device.type == "cpu" and has_onednn()
        packed &= dtype is torch.float32 or has_bf16_units(device)
        cast = [[(w.detach().to(dtype), b.detach().to(dtype)) for w, b in hidden] for *hidden, _ in own]
        heads = [(w.detach().to(dtype), b.detach()) for *_, (w, b) in own]
        if packed:
            pack = torch.ops.mkldnn._reorder_linear_weight
            cast = [[(pack(w, None), b) for w, b in capsule] for capsule in cast]
        return cls(cast, heads, packed, as_released, state, {})

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None, *, relu: bool) -> Tensor:
        """Return x (N, inputs) times a weight plus a bias, with negative values at 0 after a `relu`."""
        if self.packed:
            out: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "relu" if relu else "none", [], "")
            return out
        out = F.linear(x, weight, bias)
        return out.relu_() if relu else out

    def head(self, capsules: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Return the joined head of some capsules."""
        if capsules not in self.joined:
            weights, biases = zip(*(self.heads[number] for number in capsules), strict=True)
            weight = torch.cat(weights, dim=1)
            weight = torch.ops.mkldnn._reorder_linear_weight(weight, None) if self.packed else weight
            self.joined[capsules] = weight, torch.stack(biases).sum(dim=0)
        return self.joined[capsules]


def has_onednn() -> bool:
    """Return whether torch can lay out weights for oneDNN."""
    return bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]


def without_denormals(tensor: Tensor) -> Tensor:
    """Return a tensor with numbers too small for full precision at 0."""
    return (
        torch.where(tensor.abs() < torch.finfo(tensor.dtype).tiny, 0, tensor) if tensor.is_floating_point() else tensor
    )


def number_count(config: ModelConfig) -> int:
    """Return how many numbers the location encoder of a model has."""
    sizes = [2 * config.frequencies, *config.hidden, config.dim]
    capsule = 2 * config.frequencies + sum((inputs + 1) * outputs for inputs, outputs in pairwise(sizes))
    return len(config.sigma) * capsule
