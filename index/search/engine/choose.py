"""Chooses the engine for coarse search."""

from index.search.engine import CoarseEngine, EngineName
from index.storage.contents import IndexContents


def open_engine(name: str, contents: IndexContents, device: str) -> CoarseEngine:
    """Open an engine over an index.

    Args:
        name: `auto` takes `exact` on a GPU, where it is the faster one, and `tree` on a CPU.
        contents: the index.
        device: `cpu`, `cuda` or `cuda:N`.

    Raises:
        ValueError: an unknown engine, or one that needs a GPU without one.
    """
    try:
        chosen = EngineName(name)
    except ValueError as error:
        raise ValueError(f"The engine is {name!r}; choose {', '.join(EngineName)}.") from error
    if chosen is EngineName.AUTO:
        chosen = EngineName.TREE if device == "cpu" else EngineName.EXACT
    from index.search.engine.tree import TreeEngine

    tree = TreeEngine(contents)
    if chosen is EngineName.TREE:
        return tree
    from index.search.engine.all_cells import ExactCoarse, FaissGpuCoarse

    return ExactCoarse(tree, device) if chosen is EngineName.EXACT else FaissGpuCoarse(tree, device)
