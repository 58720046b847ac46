"""`Question`: what is asked of an index, apart from the vectors."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from index.search.efforts import Effort, EffortName

if TYPE_CHECKING:  # the command line reads the defaults below before it needs numpy
    from index.grid.constraint import Constraint
    from index.grid.region import Region


SAME_UP_TO = 50
"""Up to this k a search looks at the same cells, so that the first hits do not depend on k: efforts open enough."""
_MEASURED_K = 10  # for which efforts were measured


@dataclass(frozen=True)
class Question:
    """What is asked of a planet, apart from the vectors.

    Raises:
        ValueError: a number is out of range.
    """

    k: int = 10
    """Cells per query."""
    resolution: int = 9
    """Of the cells, from the index's coarse resolution to 11. At the coarse resolution nothing is encoded and scores
    are those of the representatives."""
    effort: Effort | EffortName = EffortName.DEFAULT
    prior_weight: float = 0.0
    """Weight of the log prior: 0 ranks by score alone, 1 takes the gallery's density at its word."""
    temperature: float = 1.0
    """Logits are divided by it: above 1 for probabilities less sure than the model's own."""
    constraint: "Constraint | None" = None
    """Only cells that overlap its region are found; None is everywhere."""
    mass_resolution: int | None = None
    """Rank by the probability summed up to this resolution, and answer with the best cell in each. None ranks the
    cells themselves (MAP)."""
    gallery: bool = True
    """Try the gallery's places inside the cells found: where one scores better than the centre, it is the answer."""

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"k is {self.k}; ask for at least 1 cell.")
        if not 0 <= self.prior_weight <= 2:
            raise ValueError(f"The prior's weight is {self.prior_weight}; choose 0 to 2.")
        if not 0.01 <= self.temperature <= 100:
            raise ValueError(f"The temperature is {self.temperature}; choose 0.01 to 100.")
        if self.mass_resolution is not None and not 0 <= self.mass_resolution <= self.resolution:
            raise ValueError(f"The resolution of the mass is {self.mass_resolution}; choose 0 to {self.resolution}.")

    @property
    def region(self) -> "Region | None":
        """The constraint's region; None is everywhere."""
        return None if self.constraint is None else self.constraint.region


def coarse_count(question: Question, effort: Effort, cells: int) -> int:
    """Return how many coarse cells a search looks up, of so many that an index has."""
    return min(max(effort.coarse, question.k, SAME_UP_TO), cells)


def wanted_cells(question: Question) -> int:
    """Return among how many best cells others are not encoded once they cannot be."""
    return question.k if question.k > SAME_UP_TO else _MEASURED_K
