"""Where was this photo taken? GeoCLIP's encoders and the search over the places they know.

Importing this package loads nothing heavy; each name is resolved on first use.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geoclip.answers.answer import Answer, Prediction
    from geoclip.embed_files import embed_coordinates, embed_photos
    from geoclip.embedder import PhotoEmbedder, Words
    from geoclip.encoders.image import ImageEncoder
    from geoclip.encoders.location import LocationEncoder
    from geoclip.encoders.text import TextEncoder
    from geoclip.evaluation.evaluating import evaluate
    from geoclip.evaluation.evaluation_options import EvaluationOptions
    from geoclip.index_builder import build_index
    from geoclip.locator import Locator
    from geoclip.model import GeoCLIP
    from geoclip.options import SearchOptions
    from geoclip.photo_labels import label_photos

__version__ = "0.1.0"
__all__ = [
    "Answer",
    "EvaluationOptions",
    "GeoCLIP",
    "ImageEncoder",
    "LocationEncoder",
    "Locator",
    "PhotoEmbedder",
    "Prediction",
    "SearchOptions",
    "TextEncoder",
    "Words",
    "build_index",
    "embed_coordinates",
    "embed_photos",
    "evaluate",
    "label_photos",
]

_HOME = {
    "Answer": "answers.answer",
    "EvaluationOptions": "evaluation.evaluation_options",
    "GeoCLIP": "model",
    "ImageEncoder": "encoders.image",
    "LocationEncoder": "encoders.location",
    "Locator": "locator",
    "PhotoEmbedder": "embedder",
    "Prediction": "answers.answer",
    "SearchOptions": "options",
    "TextEncoder": "encoders.text",
    "Words": "embedder",
    "build_index": "index_builder",
    "embed_coordinates": "embed_files",
    "embed_photos": "embed_files",
    "evaluate": "evaluation.evaluating",
    "label_photos": "photo_labels",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'geoclip' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"geoclip.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
