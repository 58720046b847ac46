"""Exported releases: read by this package, by the authors' layout rules, and used from end to end."""

import csv
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from geoclip.distance import haversine_km
from geoclip.encoders.embedded_gallery import distinct_rows
from geoclip.encoders.image import image_mlp
from geoclip.encoders.location import LocationEncoder
from geoclip.errors import GeoclipError, InputError, WeightsError
from geoclip.locator import Locator
from geoclip.release.directory import Release
from geoclip.train.checkpoints import WholeCheckpoints
from geoclip.train.export import export
from geoclip.train.module import GeoModule
from tests.helpers.commands import geoclip
from tests.helpers.small_release import small_description
from tests.helpers.train_world import WorldData, around, features, scratch, sites, trainer, write_features

Trained = tuple[GeoModule, Path]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A module after one step, and its checkpoint."""
    places = sites(24)
    data = WorldData((features(places), places), (features(places), places), 24)
    like = small_description(tmp_path_factory.mktemp("like"), features=768)
    module = scratch(like=str(like), sigma=[1.0, 2.5])
    path = tmp_path_factory.mktemp("run") / "last.ckpt"
    fit = trainer(max_steps=1, plugins=[WholeCheckpoints()])
    fit.fit(module, datamodule=data)
    fit.save_checkpoint(path)
    return module, path


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    """A small gallery with a duplicate."""
    path = tmp_path / "places.csv"
    places = np.concatenate((sites(30, seed=5), sites(30, seed=5)[:1]))
    path.write_text("latitude,longitude\n" + "".join(f"{lat},{lng}\n" for lat, lng in places))
    return path


def test_release_holds_the_trained_weights(trained: Trained, gallery: Path, tmp_path: Path) -> None:
    module, checkpoint = trained
    release = export(checkpoint, tmp_path / "release", gallery=gallery)
    encoder = LocationEncoder.from_pretrained(release.path, precision="fp32")
    places = sites(10, seed=9)
    np.testing.assert_array_equal(encoder.embed(places), module.location_encoder.embed(places))
    for name, tensor in module.mlp.state_dict().items():
        torch.testing.assert_close(release.image_mlp()[name], tensor, rtol=0, atol=0)
    assert release.logit_scale().item() == module.logit_scale.item()
    assert release.config.sigma == (1.0, 2.5)
    assert len(release.gallery()) == 31
    assert len(distinct_rows(release.gallery())[0]) == 30


def test_layout_is_what_the_authors_package_reads(trained: Trained, gallery: Path, tmp_path: Path) -> None:
    """The checks of `geoclip.model._hub` in geoclip 1.3.0, and its reading of the gallery."""
    _, checkpoint = trained
    export(checkpoint, tmp_path / "release", gallery=gallery)
    config = json.loads((tmp_path / "release" / "config.json").read_text())
    assert config["model_type"] == "geoclip-geolocation"
    assert type(config["format_version"]) is int
    assert config["format_version"] == 1
    assert config["sigma"] == [1, 2.5]
    assert {"repo_id", "revision"} <= config["backbone"].keys()
    assert config["gallery_file"].endswith(".csv")
    with (tmp_path / "release" / config["gallery_file"]).open() as file:
        rows = [(np.float32(row["LAT"]), np.float32(row["LON"])) for row in csv.DictReader(file)]
    np.testing.assert_array_equal(np.array(rows), Release.open(tmp_path / "release").gallery())
    capsule = {f"{part}.{kind}" for part in ("capsule.1", "capsule.3", "capsule.5") for kind in ("weight", "bias")}
    capsule |= {"capsule.0.b", "head.0.weight", "head.0.bias"}
    expected = {f"location_encoder.LocEnc{i}.{name}" for i in (0, 1) for name in capsule} | {"logit_scale"}
    expected |= {f"image_encoder.mlp.{i}.{kind}" for i in (0, 2) for kind in ("weight", "bias")}
    tensors = load_file(tmp_path / "release" / "model.safetensors")
    assert tensors.keys() == expected
    assert tensors["logit_scale"].shape == ()
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}


def test_damage_to_the_gallery_is_noticed(trained: Trained, gallery: Path, tmp_path: Path) -> None:
    release = export(trained[1], tmp_path / "release", gallery=gallery)
    with (release.path / "gallery.csv").open("a") as file:
        file.write("0,0\n")
    with pytest.raises(WeightsError, match="damaged"):
        Release.open(release.path)


def test_nothing_is_replaced_by_accident(trained: Trained, gallery: Path, tmp_path: Path) -> None:
    target = tmp_path / "release"
    first = export(trained[1], target, gallery=gallery)
    with pytest.raises(InputError, match="--overwrite"):
        export(trained[1], target, gallery=gallery)
    assert export(trained[1], target, gallery=gallery, overwrite=True).model_digest == first.model_digest
    (tmp_path / "photos").mkdir()
    with pytest.raises(InputError, match="not a release"):
        export(trained[1], tmp_path / "photos", gallery=gallery, overwrite=True)
    with pytest.raises(InputError, match="does not exist"):
        export(tmp_path / "none.ckpt", tmp_path / "other", gallery=gallery)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos", "places.csv", "release"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [("", "no rows"), ("91,0\n", "1 latitude is not within"), ("a,b\n", "1 a coordinate is not a num")],
)
def test_galleries_that_are_none_are_refused(trained: Trained, tmp_path: Path, rows: str, message: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(f"lat,lng\n{rows}")
    with pytest.raises(InputError, match=message):
        export(trained[1], tmp_path / "release", gallery=path)
    assert [file.name for file in tmp_path.iterdir()] == ["bad.csv"]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_bad_rows_of_a_gallery_are_counted_and_left_out(
    trained: Trained, tmp_path: Path, caplog: pytest.LogCaptureFixture, suffix: str
) -> None:
    path = tmp_path / f"labels.{suffix}"
    if suffix == "csv":
        path.write_text("IMG_FILE,LAT,LON\na.jpg,10,200\nb.jpg,95,3\nc.jpg,,4\nd.jpg,north,4\ne.jpg,-5.5,6\n")
    else:
        columns = {"LAT": [10.0, 95.0, None, np.inf, -5.5], "LON": [200.0, 3.0, 4.0, 4.0, 6.0]}
        pq.write_table(pa.table(columns), path)
    release = export(trained[1], tmp_path / "release", gallery=path)
    np.testing.assert_array_equal(release.gallery(), np.array([[10, -160], [-5.5, 6]]))
    (line,) = caplog.messages
    assert "3 of 5 rows cannot be used" in line


@pytest.mark.slow
def test_the_command_line_uses_the_weights_and_indexes_refuse_others(
    trained: Trained, gallery: Path, tmp_path: Path
) -> None:
    module, checkpoint = trained
    release, index = tmp_path / "release", tmp_path / "alps"
    assert geoclip("export", checkpoint, "-o", release, "--gallery", gallery).exit_code == 0
    built = geoclip("build", index, "--region", "bbox:46,7,47,8", "--coarse-res", "5", "--weights", release)
    assert built.exit_code == 0, built.stderr
    vectors = tmp_path / "vectors.npy"
    np.save(vectors, module.location_encoder.embed([[46.5, 7.5]]))
    found = geoclip("search", index, vectors, "--weights", release, "-f", "jsonl", "-k", "1", "--prior-weight", "0")
    assert found.exit_code == 0, found.stderr
    best = json.loads(found.stdout)["predictions"][0]
    assert abs(best["lat"] - 46.5) < 0.1
    assert abs(best["lng"] - 7.5) < 0.1
    other = export(checkpoint_of(scratch(sigma=[3.0]), tmp_path), tmp_path / "other", gallery=gallery).path
    with pytest.raises(InputError, match=r"model"):
        Locator.open(index, release=Release.open(other))


def test_a_pipe_in_place_of_a_checkpoint_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "last.ckpt")
    for path in (tmp_path / "last.ckpt", tmp_path / ("x" * 300)):
        with pytest.raises(InputError, match="is not a file"):
            export(path, tmp_path / "release")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"geoclip": 5}, "no checkpoint of"),
        ({"state_dict": [1]}, "no checkpoint of"),
        ({"geoclip": {"format": 2}}, "of format 2"),
        ({"geoclip": {"format": 1}}, "does not say what model"),
        ({"geoclip": {"format": 1, "config": "{}]"}}, "does not say what model"),
        ({"geoclip": {"format": 1, "sigma": ["x"]}}, "does not say what model"),
        ({"geoclip": {"format": 1, "sigma": [1.0]}}, "do not fit sigma"),
        ({"state_dict": {}}, "do not fit sigma"),
        ({"state_dict": {"logit_scale": torch.tensor(torch.nan)}}, "not finite"),
        ({"state_dict": {"logit_scale": "none", 5: 6}}, "do not fit sigma"),
    ],
)
def test_hostile_checkpoints_are_one_sentence_and_leave_nothing(
    trained: Trained, gallery: Path, tmp_path: Path, changed: dict[str, Any], words: str
) -> None:
    torch.save(torch.load(trained[1], weights_only=True) | changed, tmp_path / "hostile.ckpt")
    with pytest.raises(GeoclipError, match=words):
        export(tmp_path / "hostile.ckpt", tmp_path / "release", gallery=gallery)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hostile.ckpt", "places.csv"]


def checkpoint_of(module: GeoModule, folder: Path) -> Path:
    """Return a checkpoint of an untrained module."""
    content: dict[str, Any] = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(content)
    torch.save(content, folder / "untrained.ckpt")
    return folder / "untrained.ckpt"


@pytest.mark.slow
@pytest.mark.weights
def test_fine_tuning_the_released_encoder_from_fit_to_answers(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cached features of a made-up world -> fit -> export -> build -> search, as a user does it."""
    monkeypatch.chdir(tmp_path)
    towns = np.array(
        [[46.5, 7.5], [41.9, 12.5], [52.4, 13.4], [40.4, -3.7], [-1.3, 36.8], [35.7, 139.7], [-33.4, -70.7]]
    )
    train, held = around(towns, 320, 0.1, seed=1), around(towns, 80, 0.1, seed=2)
    write_features(Path("train.parquet"), train, seed=11)
    write_features(Path("held.parquet"), held, seed=12)
    data = ["--data.train", "train.parquet", "--data.val", "held.parquet", "--data.test", "held.parquet"]
    options = [*data, "--data.batch_size", "64", "--trainer.accelerator", "cpu", "--model.queue_size", "64"]
    options += ["--trainer.max_epochs", "2", "--model.optimizer.lr", "5e-4", "--trainer.enable_progress_bar", "false"]

    def tested(*more: str) -> float:
        done = geoclip("train", "test", "--config", "configs/features.yaml", *options, *more)
        assert done.exit_code == 0, done.stderr
        found = re.search(r"accuracy_200km\W+([\d.]+)", done.stdout)
        assert found is not None
        return float(found[1])

    before = tested("--trainer.logger", "false")
    fitted = geoclip("train", "fit", "--config", "configs/features.yaml", *options)
    assert fitted.exit_code == 0, fitted.stderr
    after = tested("--ckpt_path", "best")
    assert before < 0.5
    assert after > 0.9

    best = Path("runs/features/version_0/checkpoints/best.ckpt")
    refused = geoclip("build", "alps", "--weights", best, "--region", "bbox:46,7,47,8")
    assert refused.exit_code == 2
    assert f"geoclip export {best}" in refused.stderr
    Path("towns.csv").write_text("lat,lng\n" + "".join(f"{lat},{lng}\n" for lat, lng in towns))
    assert geoclip("export", best, "-o", "release", "--gallery", "towns.csv").exit_code == 0
    fine = Release.open("release")
    where = ["--region", "bbox:46,7,47,8", "--coarse-res", "5", "--gallery", "towns.csv"]
    built = geoclip("build", "alps", *where, "--weights", "release")
    assert built.exit_code == 0, built.stderr

    mlp = image_mlp(fine.config)
    mlp.load_state_dict(fine.image_mlp())
    alpine = held[np.abs(held - towns[0]).max(axis=1) < 0.4]
    with torch.no_grad():
        np.save("photos.npy", mlp(torch.from_numpy(features(alpine, seed=13))).numpy())
    asked = ["photos.npy", "-f", "jsonl", "-k", "1", "--prior-weight", "0"]
    found = geoclip("search", "alps", *asked, "--weights", "release")
    assert found.exit_code == 0, found.stderr
    best_of = [json.loads(line)["predictions"][0] for line in found.stdout.splitlines()]
    km = haversine_km(np.array([[place["lat"], place["lng"]] for place in best_of]), alpine)
    assert len(km) == len(alpine) > 5
    assert np.median(km) < 25

    other = geoclip("search", "alps", *asked)
    assert other.exit_code == 2
    assert release.model_digest[:12] in other.stderr
    assert fine.model_digest[:12] in other.stderr
    assert len(other.stderr.strip().splitlines()) == 1
