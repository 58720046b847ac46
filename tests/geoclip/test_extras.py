"""Packages that only some commands need are asked for in a sentence, before any work, and with their cure."""

import subprocess
import sys
import tomllib
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import geoclip
from geoclip import extras
from tests.helpers.commands import assert_refused
from tests.helpers.commands import geoclip as command

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("missing", "arguments"),
    [
        ("matplotlib", ["locate", "--text", "snow", "--map", "map.png"]),
        ("matplotlib", ["evaluate", "labels.csv", "vectors.npy", "--plots", "plots"]),
        ("lightning", ["train", "fit"]),
        ("lightning", ["export", "last.ckpt", "-o", "release"]),
        ("pip", ["fetch"]),
        ("ray", ["build", "new", "--engine", "ray"]),
    ],
)
def test_a_missing_package_is_named_with_its_cure(
    missing: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEOCLIP_CACHE", str(tmp_path / "cache"))
    np.save("vectors.npy", np.zeros((1, 512), np.float32))
    Path("labels.csv").write_text("photo,lat,lng\na,1,2\n")
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == missing else find_spec(name))
    extra = next(extra for extra, names in extras.EXTRAS.items() if missing in names)
    assert_refused(command(*arguments), f"needs {missing}, which this installation lacks; run `pip install")
    assert f"geoclip-planet[{extra}]" in command(*arguments).stderr


def test_the_extras_are_those_of_the_distribution() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra, names in extras.EXTRAS.items():
        wanted = " ".join(project["optional-dependencies"][extra])
        assert all(name.replace("_", "-") in wanted or "geoclip-planet[map]" in wanted for name in names)
    always = " ".join(project["dependencies"])
    assert not any(name in always for name in ("matplotlib", '"pip', "lightning"))


def test_the_version_is_said_once() -> None:
    assert "version" in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dynamic"]
    assert version("geoclip-planet") == geoclip.__version__


@pytest.mark.slow
def test_commands_other_than_maps_load_no_map() -> None:
    code = (
        "import sys; sys.modules['matplotlib'] = sys.modules['pip'] = None\n"
        "import geoclip.locator, geoclip.cli.locate, geoclip.evaluation, geoclip.release.fetch, geoclip.index_builder"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
