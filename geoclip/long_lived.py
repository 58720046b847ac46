"""What a long job has loaded is left out of garbage collections, which else look at all of it again and again."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


def keep_loaded() -> None:
    """Leave everything that is loaded now out of later garbage collections.

    A full one stops every thread while it looks at hundreds of thousands of objects of packages, models and indexes,
    none of which ever goes.
    """
    gc.collect()
    gc.freeze()


@contextmanager
def kept_loaded() -> Iterator[None]:
    """Do so until the end."""
    keep_loaded()
    try:
        yield
    finally:
        gc.unfreeze()
