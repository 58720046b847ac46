"""Where was this photo taken? GeoCLIP's encoders and the search over the places they know.

Importing this package loads nothing heavy; each name is resolved on first use.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geoclip.answers.answer import Answer, Prediction
    from geoclip.encoders.image import ImageEncoder
    from geoclip.encoders.location import LocationEncoder
    from geoclip.encoders.text import TextEncoder
    from geoclip.evaluation.evaluating import EvaluationOptions, evaluate
    from geoclip.locator import Locator
    from geoclip.model import GeoCLIP

__version__ = "0.1.0"
__all__ = [
    "Answer",
    "EvaluationOptions",
    "GeoCLIP",
    "ImageEncoder",
    "LocationEncoder",
    "Locator",
    "Prediction",
    "TextEncoder",
    "evaluate",
]

_HOME = {
    "Answer": "answers.answer",
    "EvaluationOptions": "evaluation.evaluating",
    "GeoCLIP": "model",
    "ImageEncoder": "encoders.image",
    "LocationEncoder": "encoders.location",
    "Locator": "locator",
    "Prediction": "answers.answer",
    "TextEncoder": "encoders.text",
    "evaluate": "evaluation.evaluating",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'geoclip' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"geoclip.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
