"""How hard to search: beams and margins that were measured to give a recall (`benchmarks/recall.py`)."""

from dataclasses import dataclass, replace
from enum import StrEnum

_ALL = 1 << 40


@dataclass(frozen=True)
class Step:
    """How one level of a descent is opened."""

    beam: int
    """Cells opened at most."""
    margin: float
    """A child whose estimate is this much below the k-th best one is not encoded; cosine (plus the prior's bonus)."""
    most: int = _ALL
    """Children encoded at most; or as many as are asked for, where those are more."""


@dataclass(frozen=True)
class Effort:
    """A point on the curve of recall against work.

    Raises:
        ValueError: a number is below 1, or a margin negative.
    """

    widths: tuple[int, ...]
    """Cells kept at each stored level above the coarse one, upwards; the last stands for all above."""
    coarse: int
    """Coarse cells looked up: those the descent may open, and the best estimate of what is around them."""
    steps: tuple[Step, ...]
    """One for each level below the coarse one; the last stands for all that follow."""
    encodes_all: bool = False
    """Encode also what siblings tell as well."""

    def __post_init__(self) -> None:
        if min(self.coarse, *self.widths, *(step.beam for step in self.steps), *(step.most for step in self.steps)) < 1:
            raise ValueError(f"{self} has a number below 1; the least is 1.")
        if min(step.margin for step in self.steps) < 0:
            raise ValueError(f"{self} has a negative margin; the least is 0, which opens only cells that lead.")

    def step(self, depth: int) -> Step:
        """Return the step for the level `depth` below the coarse one, from 0."""
        return self.steps[min(depth, len(self.steps) - 1)]


class EffortName(StrEnum):
    """Efforts with a name."""

    FAST = "fast"
    DEFAULT = "default"
    THOROUGH = "thorough"
    EXHAUSTIVE = "exhaustive"


_EFFORTS = {
    EffortName.FAST: Effort(
        (384, 768), 160, (Step(160, 0.06, 72), Step(6, 0.03, 42), Step(16, 0.03), Step(8, 0.01, 56))
    ),
    EffortName.DEFAULT: Effort(
        (512, 768, 1024), 320, (Step(320, 0.08, 272), Step(14, 0.03, 98), Step(28, 0.03), Step(8, 0.01, 56))
    ),
    EffortName.THOROUGH: Effort(
        (1024, 2048), 768, (Step(768, 0.12, 640), Step(24, 0.06, 168), Step(64, 0.06), Step(12, 0.02, 84))
    ),
    EffortName.EXHAUSTIVE: Effort((_ALL,), _ALL, (Step(_ALL, float("inf")),), encodes_all=True),
}


_MEASURED_RES = 6
_COARSER = {
    EffortName.FAST: (Step(128, 0.08, 48), Step(32, 0.06, 160)),
    EffortName.DEFAULT: (Step(256, 0.08, 128), Step(96, 0.08, 448)),
    EffortName.THOROUGH: (Step(512, 0.12, 384), Step(192, 0.1, 1024)),
}
"""Of an index of resolution 5 or coarser: the step from what is stored, and each that follows down to resolution 6, of
which nothing is stored."""


def named(effort: Effort | EffortName, coarse_res: int = _MEASURED_RES) -> Effort:
    """Return the effort a name stands for, in an index of a coarse resolution."""
    if isinstance(effort, Effort):
        return effort
    found = _EFFORTS[effort]
    if coarse_res >= _MEASURED_RES or effort not in _COARSER:
        return found
    stored, computed = _COARSER[effort]
    steps = (stored, *(computed,) * (_MEASURED_RES - coarse_res), *found.steps[1:])
    return replace(found, coarse=stored.beam, steps=steps)
