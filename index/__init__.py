"""Finds places: vectors in, nearest places out. Knows nothing of images or CLIP; never imports `geoclip`."""

from index.engine import Engine, Hits
from index.engine.exact import ExactEngine
from index.engine.flat import FlatEngine

__all__ = ["Engine", "ExactEngine", "FlatEngine", "Hits"]
