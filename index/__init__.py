"""Finds places: vectors in, nearest places out. Knows nothing of images or CLIP; never imports `geoclip`.

Importing this package loads nothing heavy; each name is resolved on first use.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from index.grid.region import Region
    from index.search.engine import Engine, Hits
    from index.search.engine.exact import ExactEngine
    from index.search.engine.flat import FlatEngine
    from index.search.planet import Planet
    from index.search.question import Question
    from index.storage.gallery import Gallery

__all__ = ["Engine", "ExactEngine", "FlatEngine", "Gallery", "Hits", "Planet", "Question", "Region"]

_HOME = {
    "Engine": "search.engine",
    "ExactEngine": "search.engine.exact",
    "FlatEngine": "search.engine.flat",
    "Gallery": "storage.gallery",
    "Hits": "search.engine",
    "Planet": "search.planet",
    "Question": "search.question",
    "Region": "grid.region",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'index' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"index.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
