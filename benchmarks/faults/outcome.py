"""What a campaign of faults found."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Outcome:
    """How many tries ended in which way, and what should not have been."""

    counts: Counter[str] = field(default_factory=Counter)
    """By ending: `named`, `answered`, `kills`, ..."""
    wrong: list[str] = field(default_factory=list)
    """One sentence for each try that ended as none should."""

    def __iadd__(self, other: "Outcome") -> "Outcome":
        """Add another campaign's counts."""
        self.counts += other.counts
        self.wrong += other.wrong
        return self

    def values(self) -> dict[str, int]:
        """Return all counts, with the number of wrong endings."""
        return {**dict(sorted(self.counts.items())), "wrong": len(self.wrong)}
