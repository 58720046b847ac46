"""Weights as others publish them, made into releases with digests."""

from pathlib import Path

import numpy as np
import pytest
import torch

from geoclip.errors import InputError, WeightsError
from geoclip.release.directory import CONFIG, WEIGHTS, Release, write_description
from geoclip.release.layouts import file_name, read_layout
from tests.helpers.commands import assert_refused, geoclip
from tests.helpers.small_release import small_release


class Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, ("__import__('pathlib').Path('ran').touch()",)


def as_package(release: Release, folder: Path) -> Path:
    """Write a release as the released package keeps its weights; return `geoclip/model`."""
    (folder / "weights").mkdir(parents=True)
    (folder / "gps_gallery").mkdir()
    torch.save(release.location_encoder(), folder / "weights" / file_name("location_encoder"))
    torch.save(release.image_mlp(), folder / "weights" / file_name("image_encoder_mlp"))
    torch.save(release.logit_scale(), folder / "weights" / file_name("logit_scale"))
    rows = "".join(f"{lat},{lng}\n" for lat, lng in [(47.1, 8.2), (-33.9, 18.4), (47.1, 8.2)])
    (folder / "gps_gallery" / "coordinates_100K.csv").write_text(f"LAT,LON\n{rows}")
    return folder


@pytest.mark.slow
def test_the_released_package_s_layout(release: Release, tmp_path: Path) -> None:
    package = as_package(release, tmp_path / "model")
    for given in (package, package / "weights"):
        done = geoclip("export", given, "-o", tmp_path / "made", "--overwrite")
        assert done.exit_code == 0, done.stderr
        made = Release.open(tmp_path / "made")
        assert made.model_digest == release.model_digest  # the same tensors give the same file
        assert made.gallery().tolist() == np.array([(47.1, 8.2), (-33.9, 18.4), (47.1, 8.2)], np.float32).tolist()


def test_a_release_without_digests_gets_them(tmp_path: Path) -> None:
    model = small_release(tmp_path / "model")
    described = {"model_type": "geoclip-geolocation", "format_version": 1, "gallery_file": "gallery.parquet"}
    write_description(model.weights, described | model.release.config.model_dump(mode="json"))
    done = geoclip("export", model.weights, "-o", tmp_path / "made")
    assert done.exit_code == 0, done.stderr
    made = Release.open(tmp_path / "made")
    assert made.config == model.release.config
    assert np.array_equal(made.gallery(), model.release.gallery())
    assert (made.path / WEIGHTS).stat().st_size == (model.weights / WEIGHTS).stat().st_size
    (made.path / WEIGHTS).write_bytes(b"")
    with pytest.raises(WeightsError, match="is damaged"):
        Release.open(made.path)


def test_folders_of_something_else(release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"is neither a release .* nor weights of the released package"):
        read_layout(tmp_path)
    package = as_package(release, tmp_path / "model")
    for name, content in (
        (file_name("location_encoder"), Code()),
        (file_name("logit_scale"), {"a": 1}),
        (CONFIG, None),
    ):
        path, before = package / "weights" / name, (package / "weights" / file_name("logit_scale")).read_bytes()
        kept = path.read_bytes() if path.exists() else b""
        torch.save(content, path)
        done = geoclip("export", package / "weights", "-o", tmp_path / "made")
        assert_refused(done, str(package / "weights"))
        assert not (tmp_path / "made").exists()
        assert not Path("ran").exists()
        path.write_bytes(kept)
        assert before
    (package / "weights" / CONFIG).unlink()
    torch.save({"capsule.0.b": torch.zeros(3)}, package / "weights" / file_name("location_encoder"))
    done = geoclip("export", package, "-o", tmp_path / "made")
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert not (tmp_path / "made").exists()
