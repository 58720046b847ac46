"""Where the cache is, and folders to work in."""

import os
import pwd
import time
from pathlib import Path
from typing import Any

import pytest

from geoclip.errors import InputError
from geoclip.files import cache_dir, workspace


def test_a_cache_without_a_home_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEOCLIP_CACHE", "~nosuchuser/x")
    with pytest.raises(InputError, match="'~nosuchuser/x', and there is no such user"):
        cache_dir()

    def nobody(_: int) -> Any:
        raise KeyError("uid not found")

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    for name in ("GEOCLIP_CACHE", "HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="There is no home folder; name a folder by its whole path in GEOCLIP_CACHE"):
        cache_dir()


def test_a_workspace_goes_and_takes_old_ones_of_killed_processes_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    for name, age_s in ((".work-old", 7200), (".work-new", 60), (".other-old", 7200)):
        (folder / name / "deep").mkdir(parents=True)
        os.utime(folder / name, (time.time() - age_s,) * 2)
    with pytest.raises(KeyboardInterrupt), workspace(folder, ".work-") as work:
        (work / "half").touch()
        raise KeyboardInterrupt
    assert sorted(path.name for path in folder.iterdir()) == [".other-old", ".work-new"]
