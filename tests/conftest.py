"""Where a session of tests reads and writes, which test needs what, and fixtures that every room uses."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from geoclip.files import cache_dir
from tests.helpers.shared import FOLDER_VARIABLE


def _session_folder() -> Path:
    """Make a folder for all processes of this session, with a cache that has what the user's has and stays apart."""
    folder = Path(tempfile.mkdtemp(prefix="geoclip-tests-"))
    cache = folder / "cache"
    for path in cache_dir().glob("*/*"):  # links: what a test writes replaces them, and not what they point to
        (cache / path.parent.name).mkdir(parents=True, exist_ok=True)
        (cache / path.parent.name / path.name).symlink_to(path)
    os.environ |= {
        FOLDER_VARIABLE: str(folder),
        "GEOCLIP_CACHE": str(cache),
        "HF_HOME": str(folder / "hub"),
        "HF_HUB_OFFLINE": "1",
        "COLUMNS": "200",
    }
    return folder


# Before anything else is imported: some packages read the environment then.
_FOLDER = None if FOLDER_VARIABLE in os.environ else _session_folder()  # None in the workers of pytest-xdist
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"  # the workers are the threads

import torch  # noqa: E402
from torch import nn  # noqa: E402

from geoclip.encoders.location import LocationEncoder  # noqa: E402
from geoclip.errors import WeightsError  # noqa: E402
from geoclip.release.directory import Release, released_path  # noqa: E402
from tests.helpers.pictures import make_photo  # noqa: E402
from tests.helpers.towers import TinyTower  # noqa: E402


def pytest_unconfigure() -> None:
    """Remove what the session wrote."""
    if _FOLDER is not None:
        shutil.rmtree(_FOLDER)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what reads the released weights."""
    if "release" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.weights)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine cannot run."""
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("no CUDA GPU here")


@pytest.fixture(scope="session")
def release() -> Release:
    """The authors' release, as fetched."""
    try:
        return Release.open(released_path())
    except WeightsError as error:
        pytest.skip(f"the released weights are not in the cache: {error}")


@pytest.fixture(scope="session")
def encoder(release: Release) -> LocationEncoder:
    """The released location encoder in float32."""
    encoder = LocationEncoder(release.sigma, from_pretrained=False, precision="fp32")
    encoder.load_released(release.location_encoder())
    return encoder.eval()


@pytest.fixture(scope="session")
def tiny_tower() -> nn.Module:
    """CLIP's image tower, small."""
    return TinyTower()


@pytest.fixture(scope="session")
def clip_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file of random weights in the shape of CLIP ViT-L/14, both towers, float16, open_clip's layout."""
    from safetensors.torch import save_file

    from geoclip.encoders.backbone import image_tower, text_tower

    torch.manual_seed(0)
    state = {f"visual.{k}": v.half() for k, v in image_tower(pretrained=False).state_dict().items()}
    state |= {k: v.half() for k, v in text_tower(pretrained=False).state_dict().items()}
    state["logit_scale"] = torch.tensor(4.6052)
    path = tmp_path_factory.mktemp("clip") / "random-vit-l-14.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    yield path
    path.unlink()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A small photo with some content."""
    return make_photo(tmp_path / "photo.jpg", seed=1)
