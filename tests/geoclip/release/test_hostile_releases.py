"""Releases from strangers: refused in a sentence or answered from; no NaN, nothing read outside, nothing waited for."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmarks.faults.damaged import flipped_release
from geoclip.errors import GeoclipError
from geoclip.files import sha256_of
from geoclip.release.directory import CONFIG, GALLERY, WEIGHTS, write_description, write_release
from tests.helpers.commands import assert_refused, geoclip
from tests.helpers.pictures import make_photo
from tests.helpers.small_release import SMALL, SmallRelease, small_release


@pytest.fixture
def model(tmp_path: Path) -> SmallRelease:
    return small_release(tmp_path / "model")


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working folder, with a photo and a table of places."""
    monkeypatch.chdir(tmp_path)
    make_photo(Path("photo.png"), 1)
    Path("places.csv").write_text("lat,lng\n1,2\n")


def sealed(model: SmallRelease, **config: Any) -> None:
    """Write the digests of a release anew, as a stranger would."""
    described = json.loads((model.weights / CONFIG).read_text()) | config
    described["sha256"] = {name: sha256_of(model.weights / name) for name in described["sha256"]}
    write_description(model.weights, described)


POISONED = [
    ("location_encoder.LocEnc0.capsule.0.b", torch.nan, ["embed", "places.csv", "-o", "out.parquet"]),
    ("location_encoder.LocEnc1.head.0.bias", torch.inf, ["locate", "photo.png", "--index", "none"]),
    ("location_encoder.LocEnc1.head.0.bias", torch.nan, ["build", "out", "--region", "bbox:46,7,46.5,7.5"]),
    ("image_encoder.mlp.0.weight", torch.nan, ["embed", "photo.png", "-o", "out.parquet"]),
    ("image_encoder.mlp.2.bias", -torch.inf, ["locate", "--text", "snow", "--index", "none"]),
    ("logit_scale", torch.nan, ["locate", "photo.png", "--index", "none"]),
    ("logit_scale", 700.0, ["locate", "photo.png", "--index", "none"]),
]


@pytest.mark.parametrize(("name", "value", "arguments"), POISONED)
def test_weights_that_are_no_numbers_give_no_answer(
    model: SmallRelease, inputs: None, name: str, value: float, arguments: list[str]
) -> None:
    tensors = load_file(model.weights / WEIGHTS)
    tensors[name].view(-1)[0] = value
    save_file(tensors, model.weights / WEIGHTS)
    sealed(model)
    clip = [] if arguments[0] == "build" or "places.csv" in arguments else ["--clip-checkpoint", str(model.clip)]
    done = geoclip(*arguments, "--weights", model.weights, *clip)
    assert_refused(done, "has logit_scale" if value == 700 else "not finite")
    assert not any(Path().glob("out*"))


@pytest.mark.parametrize(
    ("rows", "words"),
    [("10,720", "longitude"), ("95,3", "latitude"), ("nan,3", "finite"), ("x,3", "number"), ("", "no rows")],
)
def test_a_gallery_of_no_places_gives_no_answer(model: SmallRelease, inputs: None, rows: str, words: str) -> None:
    (model.weights / "gallery.csv").write_text(f"LAT,LON\n{rows}\n")
    sealed(model, gallery_file="gallery.csv")
    done = geoclip("locate", "photo.png", "--index", "none", *model.options)
    assert_refused(done, words)


def test_pipes_and_folders_in_place_of_files_are_not_waited_for(model: SmallRelease, inputs: None) -> None:
    for name in (GALLERY, WEIGHTS, CONFIG):
        whole = (model.weights / name).read_bytes()
        (model.weights / name).unlink()
        os.mkfifo(model.weights / name)
        done = geoclip("locate", "photo.png", "--index", "none", *model.options)
        assert_refused(done, "not an ordinary file")
        (model.weights / name).unlink()
        (model.weights / name).mkdir()
        assert_refused(geoclip("locate", "photo.png", "--index", "none", *model.options), "not an ordinary file")
        (model.weights / name).rmdir()
        (model.weights / name).write_bytes(whole)
    assert geoclip("locate", "photo.png", "--index", "none", *model.options).exit_code == 0


@pytest.mark.slow
def test_a_flipped_bit_is_named(tmp_path: Path) -> None:
    """Also one in `config.json`, where another number would be another model."""
    outcome = flipped_release(60, tmp_path)
    assert outcome.wrong == []
    assert outcome.counts["named"] > 45


def test_what_was_trained_to_no_numbers_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(GeoclipError, match="not finite"):
        write_release(
            tmp_path,
            tensors={"logit_scale": torch.tensor(torch.nan)},
            lat_lng=np.zeros((1, 2), np.float32),
            config=SMALL,
        )
    assert not any(tmp_path.iterdir())
