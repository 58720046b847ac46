"""Finds places: vectors in, nearest places out. Knows nothing of images or CLIP; never imports `geoclip`.

Importing this package loads nothing heavy; each name is resolved on first use.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from index.engine import Engine, Hits
    from index.engine.exact import ExactEngine
    from index.engine.flat import FlatEngine
    from index.gallery import Gallery
    from index.planet import Planet, Question
    from index.region import Region

__all__ = ["Engine", "ExactEngine", "FlatEngine", "Gallery", "Hits", "Planet", "Question", "Region"]

_HOME = {
    "Engine": "engine",
    "ExactEngine": "engine.exact",
    "FlatEngine": "engine.flat",
    "Gallery": "gallery",
    "Hits": "engine",
    "Planet": "planet",
    "Question": "planet",
    "Region": "region",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'index' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"index.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
