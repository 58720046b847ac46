"""What `geoclip calibrate` found out on labelled photos, and the file it is kept in."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field

from geoclip.answers.answering import AnswerOptions
from geoclip.errors import InputError
from geoclip.files import written_whole
from geoclip.options import Candidates
from geoclip.schema import Record, read_record
from index.search.question import Question


class Calibration(Record):
    """How to make a model's probabilities mean what they say, on photos like the labelled ones."""

    kind: Literal["geoclip-calibration/1"] = "geoclip-calibration/1"
    temperature: float = Field(ge=0.01, le=100)
    """Logits are divided by it."""
    prior_weight: float = Field(ge=0, le=2)
    level_50: float = Field(gt=0, le=1)
    """Probability that a circle must hold so that half of the true places lie inside."""
    level_90: float = Field(gt=0, le=1)
    model: str
    """Digest of the model it was fitted with."""
    candidates: Candidates
    """What it was fitted on."""
    photos: int = Field(ge=1)
    """How many were used, the held-out half included."""
    report: dict[str, Any] = Field(default_factory=dict)
    """What was measured on the held-out half, before and after."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file that `save` wrote.

        Raises:
            InputError: no such file, or not a calibration.
        """
        advice = "give a file that `geoclip calibrate` wrote."
        try:
            return read_record(path, cls)
        except FileNotFoundError as error:
            raise InputError(f"{path} does not exist; {advice}") from error
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read as a calibration ({error}); {advice}") from error

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        with written_whole(path) as temporary:
            temporary.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    def check(self, model: str, candidates: Candidates) -> None:
        """Refuse to be used with another model or other candidates.

        Raises:
            InputError: they differ.
        """
        if self.model != model:
            raise InputError(
                f"The calibration was fitted with the model {self.model[:12]}, not with {model[:12]}; calibrate again."
            )
        if self.candidates != candidates:
            raise InputError(
                f"The calibration was fitted on a {self.candidates}, this search is on a {candidates}; calibrate again."
            )

    def applied(self, question: Question, how: AnswerOptions) -> tuple[Question, AnswerOptions]:
        """Return the question, and how answers are read, with what was fitted."""
        weight = self.prior_weight if self.candidates is Candidates.PLANET else 0.0
        return (
            replace(question, temperature=self.temperature, prior_weight=weight),
            replace(how, level_50=self.level_50, level_90=self.level_90, calibrated=True),
        )
