"""Chooses the engine for coarse search."""

from index.search.engine import CoarseEngine, EngineName
from index.storage.contents import IndexContents


def open_engine(name: str, contents: IndexContents, device: str) -> CoarseEngine:
    """Open an engine over an index.

    Args:
        name: `auto` takes `tree` on a CPU, and on a GPU what `exact` and `resident` take there.
        contents: the index.
        device: `cpu`, `cuda` or `cuda:N`.

    Raises:
        ValueError: an unknown engine, or one that needs a GPU without one.
    """
    try:
        chosen = EngineName(name)
    except ValueError as error:
        raise ValueError(f"The engine is {name!r}; choose {', '.join(EngineName)}.") from error
    from index.search.engine.tree import TreeEngine

    tree = TreeEngine(contents)
    if chosen is EngineName.TREE or (chosen is EngineName.AUTO and device == "cpu"):
        return tree
    if chosen is EngineName.FAISS_GPU:
        from index.search.engine.all_cells import FaissGpuCoarse

        return FaissGpuCoarse(tree, device)
    if chosen is EngineName.EXACT and device == "cpu":
        from index.search.engine.all_cells import ExactCoarse

        return ExactCoarse(tree)
    from index.search.resident.coarse import ResidentCoarse

    return ResidentCoarse(tree, device)
