"""What `geoclip calibrate` found out on labelled photos, and the file it is kept in."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field

from geoclip.answers.answer import Promise
from geoclip.answers.answering import AnswerOptions, Circles
from geoclip.errors import InputError
from geoclip.files import written_whole
from geoclip.options import Candidates
from geoclip.schema import Record, read_record
from index.search.question import Question


class EntropyClass(Record):
    """Circles of answers that say about as much: with a spatial entropy up to a limit, above the class before."""

    up_to_bits: float | None
    """None in the last class."""
    level_50: float = Field(gt=0, le=1)
    """Probability that a circle must hold so that half of the true places lie inside."""
    level_90: float = Field(gt=0, le=1)
    photos: int = Field(ge=1)
    """Of this class, that the levels rest on."""

    def promise(self) -> Promise:
        """Return what the circles promise: the coverage of split conformal sets is Beta distributed (Vovk 2012)."""
        from scipy.stats import beta

        bounds = []
        for share in (0.5, 0.9):
            rank = min(math.ceil((self.photos + 1) * share), self.photos)
            bounds += [float(each) for each in beta.ppf((0.05, 0.95), rank, self.photos + 1 - rank)]
        return Promise(self.photos, *bounds)


class Calibration(Record):
    """How to make a model's probabilities mean what they say, on photos like the labelled ones."""

    kind: Literal["geoclip-calibration/2"] = "geoclip-calibration/2"
    temperature: float = Field(ge=0.01, le=100)
    """Logits are divided by it."""
    prior_weight: float = Field(ge=0, le=2)
    classes: tuple[EntropyClass, ...] = Field(min_length=1)
    """By entropy, the surest first."""
    model: str
    """Digest of the model it was fitted with."""
    candidates: Candidates
    """What it was fitted on."""
    index: str
    """Digest of the index; empty for a gallery."""
    resolution: int
    effort: str
    point: str
    crops: int
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

    def check(self, **now: str | int) -> None:
        """Refuse to be used where one of `COMPARED` differs from what it was fitted with.

        Raises:
            InputError: one differs.
        """
        for name, value in now.items():
            fitted = getattr(self, name)
            if fitted != value:
                was, is_ = (str(each)[:12] or "none" for each in (fitted, value))
                raise InputError(
                    f"The calibration was fitted with the {COMPARED[name]} {was}, this search has {is_}; search as it "
                    "was fitted, or calibrate again."
                )

    def applied(self, question: Question, how: AnswerOptions) -> tuple[Question, AnswerOptions]:
        """Return the question, and how answers are read, with what was fitted."""
        weight = self.prior_weight if self.candidates is Candidates.PLANET else 0.0
        classes = tuple(
            Circles(
                math.inf if each.up_to_bits is None else each.up_to_bits, each.level_50, each.level_90, each.promise()
            )
            for each in self.classes
        )
        return (
            replace(question, temperature=self.temperature, prior_weight=weight),
            replace(how, circles=classes, calibrated=self.photos),
        )


COMPARED = {
    "model": "model",
    "candidates": "candidates",
    "index": "index",
    "resolution": "resolution",
    "effort": "effort",
    "point": "choice of the point",
    "crops": "number of crops",
}
"""What a calibration was fitted with, in words."""
