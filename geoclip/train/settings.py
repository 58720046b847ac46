"""How the weights are changed: optimiser and schedule of the learning rate."""

from dataclasses import dataclass
from typing import Literal

from geoclip.errors import InputError


@dataclass(frozen=True)
class Optimizer:
    """The optimiser; the defaults are the paper's.

    Args:
        name: `adam`, whose weight decay joins the gradient, or `adamw`, where it is apart.
        lr: the learning rate at the start.
        weight_decay: of all trained weights.
    """

    name: Literal["adam", "adamw"] = "adam"
    lr: float = 3e-5
    weight_decay: float = 1e-6

    def __post_init__(self) -> None:
        if not self.lr > 0:
            raise InputError(f"The learning rate (optimizer.lr) is {self.lr}; it must be above 0.")
        if self.weight_decay < 0:
            raise InputError(f"optimizer.weight_decay is {self.weight_decay}; it must be 0 or more.")


@dataclass(frozen=True)
class Schedule:
    """The learning rate over time; the defaults are the paper's.

    Args:
        name: `step` multiplies it by `gamma` every `epochs` epochs, `cosine` brings it to 0 at the end of the run,
            `none` leaves it.
        epochs: of `step`.
        gamma: of `step`.
    """

    name: Literal["step", "cosine", "none"] = "step"
    epochs: int = 1
    gamma: float = 0.87

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise InputError(f"schedule.epochs is {self.epochs}; it must be 1 or more.")
        if not 0 < self.gamma <= 1:
            raise InputError(f"schedule.gamma is {self.gamma}; it must be above 0 and at most 1.")
