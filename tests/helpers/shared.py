"""What is costly to make is made once for all processes of a test session, in the folder that they share."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

FOLDER_VARIABLE = "GEOCLIP_TESTS_FOLDER"
"""The environment variable with the session's folder; `tests/conftest.py` makes and removes it."""


def made_once(name: str, make: Callable[[Path], object]) -> Path:
    """Return the path of this name in the shared folder, made by the first who asks; not to be changed."""
    path = Path(os.environ[FOLDER_VARIABLE]) / name
    with path.with_name(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            make(path)
    return path
