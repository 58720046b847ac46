"""How many inputs of a command were answered, and what is said of those that failed."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from geoclip.cli.terminal import say


class Outcome(Protocol):
    """What became of an input: an answer, a photo's vector."""

    @property
    def query(self) -> str:
        """The input's name."""

    @property
    def error(self) -> str | None:
        """Why it failed."""


@dataclass
class RunCounts:
    """Counts a run and names what failed; `exit_code` is 1 if anything did."""

    answered: int = 0
    failed: int = 0

    def count(self, outcome: Outcome) -> bool:
        """Count an outcome; say why where there is none. Returns whether there is one."""
        if outcome.error is None:
            self.answered += 1
            return True
        self.failed += 1
        say(f"{outcome.query}: {outcome.error}")
        return False

    def add(self, answered: int, failed: int, reasons: Iterable[tuple[str, str]]) -> None:
        """Count outcomes of another process; say why some of them failed."""
        self.answered += answered
        self.failed += failed
        for name, reason in reasons:
            say(f"{name}: {reason}")

    def exit_code(self, what: str) -> int:
        """Say how many there were, if it was not just one, and return the exit code."""
        if self.failed or self.answered > 1:
            say(f"{self.answered} {what}, {self.failed} failed.")
        return 1 if self.failed else 0
