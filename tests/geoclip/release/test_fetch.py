"""Fetching, checking and opening the released weights; what goes wrong is one sentence and leaves no half file."""

import errno
import json
import math
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import geoclip.release.fetch as module
from geoclip.errors import WeightsError
from geoclip.files import sha256_of
from geoclip.release.config import ModelConfig
from geoclip.release.directory import CONFIG, GALLERY, WEIGHTS, Release, released_path, write_release
from geoclip.release.fetch import WHEEL_SHA256, fetch, released


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The authors' wheel, downloaded with pip as a user would to carry it to another machine."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), module.REQUIREMENT]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip(f"pip cannot download {module.REQUIREMENT} here")
    return next(folder.glob("*.whl"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of this test's own."""
    monkeypatch.setenv("GEOCLIP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def released_with(**other: object) -> str:
    return json.dumps({"model_type": "geoclip-geolocation", "format_version": 1, "sigma": [1]} | other)


def no_leftovers(cache: Path) -> bool:
    return not cache.exists() or [p.name for p in cache.iterdir()] in ([], ["released-1.3.0"])


@pytest.mark.slow
def test_a_wheel_on_disk_becomes_a_release(wheel: Path, cache: Path) -> None:
    release = fetch(wheel)
    assert release.path == released_path()
    assert no_leftovers(cache)
    with zipfile.ZipFile(wheel) as archive:
        state = torch.load(
            archive.open("geoclip/model/weights/location_encoder_weights.pth"), weights_only=True, map_location="cpu"
        )
        text = archive.read("geoclip/model/gps_gallery/coordinates_100K.csv").decode().splitlines()
    ours = release.location_encoder()
    assert ours.keys() == state.keys()
    assert all(torch.equal(ours[name], state[name]) for name in state)
    assert float(release.logit_scale().exp()) == pytest.approx(39.687, abs=1e-3)
    gallery = release.gallery()
    assert gallery.shape == (100_000, 2)
    expected = np.array([[float(v) for v in line.split(",")] for line in text[1:]], dtype=np.float32)
    assert np.array_equal(gallery, expected)


@pytest.mark.slow
def test_it_works_again_without_a_network(wheel: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fetch(wheel)
    monkeypatch.setattr(module, "_download", lambda _: pytest.fail("tried to download"))
    assert fetch() == first == released()


def test_no_network_is_one_sentence(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(WeightsError, match=r"pip could not download geoclip==1.3.0 .*--from FILE"):
        fetch()
    assert no_leftovers(cache)


def test_another_file_is_refused(wheel: Path, cache: Path, tmp_path: Path) -> None:
    other = tmp_path / "geoclip-1.3.0-py3-none-any.whl"
    content = bytearray(wheel.read_bytes())
    content[len(content) // 2] ^= 1
    other.write_bytes(content)
    with pytest.raises(WeightsError, match=WHEEL_SHA256[:12]):
        fetch(other)
    with pytest.raises(WeightsError, match="is not a file"):
        fetch(tmp_path / "absent.whl")
    assert no_leftovers(cache)


def test_no_space_is_one_sentence(wheel: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10 * 2**20))
    with pytest.raises(WeightsError, match="10 MB free and 200 MB are needed"):
        fetch(wheel)
    assert no_leftovers(cache)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_interruption_leaves_nothing(
    wheel: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def interrupted(folder: Path, **_: Any) -> None:
        (folder / WEIGHTS).write_bytes(b"half")
        raise error

    monkeypatch.setattr(module, "write_release", interrupted)
    with pytest.raises((KeyboardInterrupt, WeightsError)) as raised:
        fetch(wheel)
    assert isinstance(raised.value, KeyboardInterrupt) or "No space left" in str(raised.value)
    assert no_leftovers(cache)


@pytest.mark.slow
def test_a_full_disk_while_converting_is_one_sentence(
    wheel: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(path: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", no_space)
    with pytest.raises(WeightsError, match=r"No space left while writing .*released"):
        fetch(wheel)
    assert no_leftovers(cache)


@pytest.mark.slow
def test_what_a_killed_fetch_left_is_removed(wheel: Path, cache: Path) -> None:
    for name, age_s in (("killed", 7200), ("running", 60)):
        (cache / f".fetch-{name}" / "release").mkdir(parents=True)
        os.utime(cache / f".fetch-{name}", (time.time() - age_s,) * 2)
    fetch(wheel)
    assert sorted(path.name for path in cache.iterdir()) == [".fetch-running", "released-1.3.0"]


@pytest.mark.slow
@pytest.mark.parametrize("name", [WEIGHTS, GALLERY])
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_a_damaged_release_is_refused_and_mended(wheel: Path, cache: Path, name: str, damage: str) -> None:
    file = fetch(wheel).path / name
    if damage == "remove":
        file.unlink()
    else:
        content = bytearray(file.read_bytes())
        content[-100] ^= 1
        file.write_bytes(content if damage == "flip" else content[:-1])
    with pytest.raises(WeightsError, match=name):
        Release.open(released_path())
    assert Release.open(fetch(wheel).path).model_digest
    assert no_leftovers(cache)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("{", r"does not describe .* Invalid JSON"),
        ('{"model_type": "other"}', r"model_type: .*it is 'other'"),
        (released_with(format_version=2), r"format_version: Input should be 1 \(it is 2\)"),
        (released_with(sigma=[]), "sigma: "),
        (released_with(sigma="16"), r"sigma: .*it is '16'"),
        (released_with(dim=512.5), r"dim: .*it is 512.5"),
        (released_with(dim=-1), r"dim: .*it is -1"),
        (released_with(sigma=[math.nan]), r"sigma.0: .*it is nan"),
        (released_with(gallery_file="../places.csv"), "plain name of a file"),
        (released_with(sha256={"/etc/passwd": "0" * 64}), "plain name of a file"),
        (released_with(backbone={"repo_id": "openai/clip-vit-base-patch32"}), "say with open_clip"),
        (released_with(backbone={"open_clip": "hf-hub:someone/else"}), "backbone.open_clip"),
        (released_with(backbone={"open_clip": {"timm_model_name": "resnet50"}}), "backbone.open_clip"),
        ("[" * 100_000, "does not describe"),
    ],
)
def test_other_formats_are_refused(tmp_path: Path, config: str, words: str) -> None:
    with pytest.raises(WeightsError, match="holds no release"):
        Release.open(tmp_path)
    (tmp_path / CONFIG).write_text(config)
    with pytest.raises(WeightsError, match=words):
        Release.open(tmp_path)


def test_the_authors_own_layout_is_read(tmp_path: Path) -> None:
    """A CSV gallery, no digests, as their `from_pretrained` expects."""
    tensors = {"logit_scale": torch.tensor(3.0), "location_encoder.LocEnc0.capsule.0.b": torch.ones(2, 2)}
    write_release(tmp_path, tensors=tensors, lat_lng=np.zeros((1, 2), np.float32), config=ModelConfig(sigma=(4.0,)))
    config = json.loads((tmp_path / CONFIG).read_text())
    del config["sha256"], config["digest"]
    (tmp_path / "places.csv").write_text("LAT,LON\n1.5,-2.25\n3,4\n")
    (tmp_path / CONFIG).write_text(json.dumps(config | {"gallery_file": "places.csv"}))
    release = Release.open(tmp_path)
    assert release.config.sigma == (4.0,)
    assert release.model_digest == sha256_of(tmp_path / WEIGHTS)
    assert release.gallery().tolist() == [[1.5, -2.25], [3, 4]]
    assert torch.equal(release.location_encoder()["LocEnc0.capsule.0.b"], torch.ones(2, 2))
