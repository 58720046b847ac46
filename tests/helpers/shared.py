"""What is costly to make is made once for all processes of a test session, in the folder that they share."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from geoclip.files import cache_dir
from geoclip.options import Preset

FOLDER_VARIABLE = "GEOCLIP_TESTS_FOLDER"
"""The environment variable with the session's folder."""


@contextmanager
def session_folder() -> Iterator[Path]:
    """Make the folder, with a cache that has what the user's has and stays apart; set the environment to it."""
    folder = Path(tempfile.mkdtemp(prefix="geoclip-tests-"))
    for path in cache_dir().glob("*/*"):
        if path.parent.name in list(Preset):  # an index that every command would search
            continue
        link = folder / "cache" / path.parent.name / path.name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)  # a test that writes it replaces the link, not the user's file
    os.environ |= {
        FOLDER_VARIABLE: str(folder),
        "GEOCLIP_CACHE": str(folder / "cache"),
        "HF_HOME": str(folder / "hub"),
        "HF_HUB_OFFLINE": "1",
        "COLUMNS": "200",
    }
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def made_once(name: str, make: Callable[[Path], object]) -> Path:
    """Return the path of this name in the shared folder, made by the first who asks; not to be changed."""
    path = Path(os.environ[FOLDER_VARIABLE]) / name
    with path.with_name(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            make(path)
    return path
