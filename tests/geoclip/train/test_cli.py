"""`geoclip train` from the command line: configurations, what TensorBoard is given, errors in one sentence."""

import errno
import itertools
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml  # type: ignore[import-untyped]  # not worth a package of stubs
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.tensorflow_stub.io.gfile import LocalFileSystem

from geoclip.cli.model_commands import run_train as run
from geoclip.errors import GeoclipError, InputError
from geoclip.train.checkpoints import config_in, read_checkpoint
from geoclip.train.cli import newest_checkpoint, one_sentence, with_packaged_configs
from geoclip.train.prediction_map import prediction_map
from tests.helpers.commands import geoclip
from tests.helpers.pictures import make_photo
from tests.helpers.small_release import small_release
from tests.helpers.train_world import around, sites, write_features

SMALL = [
    *("--model.start", "scratch", "--model.sigma", "[4.0]", "--model.queue_size", "16"),
    *("--model.optimizer.lr", "0.001", "--data.batch_size", "32"),
    *("--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false", "--trainer.log_every_n_steps", "1"),
]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs without a logger write their configuration into the working folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features of photos around twelve towns."""
    return write_features(tmp_path_factory.mktemp("cached") / "features.parquet", around(sites(12), 160, 0.1, seed=1))


@pytest.fixture(scope="module")
def runs(cached: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run by the packaged configuration for features, two epochs."""
    folder = tmp_path_factory.mktemp("runs")
    run(
        [
            *("fit", "--config", "configs/features.yaml", *SMALL, "--data.train", str(cached)),
            *("--trainer.max_epochs", "2", "--trainer.logger.init_args.save_dir", str(folder)),
        ]
    )
    return folder / "features" / "version_0"


def test_tensorboard_has_the_curves_and_the_map(runs: Path) -> None:
    events = EventAccumulator(str(runs), size_guidance={"images": 0}).Reload()
    scalars = {"train/loss", "train/temperature", "train/learning_rate", "val/median_km"}
    scalars |= {f"val/accuracy_{distance}km" for distance in (1, 25, 200, 750, 2500)}
    assert scalars <= set(events.Tags()["scalars"])
    assert events.Tags()["images"] == ["val/map"]
    assert len(events.Scalars("val/median_km")) == len(events.Images("val/map")) == 2
    picture = events.Images("val/map")[0]
    assert (picture.width, picture.height) == (1200, 600)
    assert events.Scalars("train/temperature")[0].value == pytest.approx(0.07, rel=0.1)
    rates = [event.value for event in events.Scalars("train/learning_rate")]
    assert rates[0] == pytest.approx(0.001)
    assert rates == sorted(rates, reverse=True)  # cosine
    losses = [event.value for event in events.Scalars("train/loss")]
    assert np.mean(losses[-3:]) < np.mean(losses[:3])


def test_run_leaves_checkpoints_and_its_configuration(runs: Path) -> None:
    assert sorted(path.name for path in (runs / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
    config = yaml.safe_load((runs / "config.yaml").read_text())
    assert config["model"]["queue_size"] == 16
    assert config["model"]["noise_m"] == 150


def test_the_last_checkpoint_is_that_of_the_last_step(runs: Path) -> None:
    """Ten steps, and nothing is saved between the validation of the second epoch and the hundredth."""
    last, best = (read_checkpoint(runs / "checkpoints" / f"{name}.ckpt") for name in ("last", "best"))
    assert last["global_step"] == 2 * 5
    assert best["global_step"] <= last["global_step"]


@pytest.mark.slow
def test_validate_takes_a_checkpoint_and_another_gallery(
    runs: Path, cached: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gallery = tmp_path / "gallery.csv"
    rows = "".join(f"{lat},{lng}\n" for lat, lng in sites(12))
    gallery.write_text("lat,lng\n" + rows)
    arguments = ["validate", "--config", str(runs / "config.yaml"), "--data.val", str(cached)]
    run([*arguments, "--model.gallery", str(gallery), "--ckpt_path", str(runs / "checkpoints" / "last.ckpt")])
    assert "val/accuracy_200km" in capsys.readouterr().out


def small_model(folder: Path) -> list[str]:
    """Options of a model behind a small CLIP."""
    small = small_release(folder / "model")
    return ["--model.like", str(small.weights), "--model.clip_checkpoint", str(small.clip)]


def labelled_photos(folder: Path) -> Path:
    """Write seven photos, one of them unreadable, and labels of these, of a missing one and of two bad places."""
    for number in range(6):
        make_photo(folder / f"{number}.jpg", seed=number, size=(32, 24))
    (folder / "6.jpg").write_text("no photo")
    rows = [f"{number}.jpg,{10 * number},{number + 1}" for number in range(8)] + ["8.jpg,91,0", "9.jpg,north,0"]
    (folder / "labels.csv").write_text("\n".join(["IMG_FILE,LAT,LON", *rows, ""]))
    return folder / "labels.csv"


@pytest.mark.slow
@pytest.mark.parametrize(("command", "split"), [("validate", "val"), ("test", "test")])
def test_photos_are_validated_tested_and_counted_at_the_end(
    command: str, split: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labels = str(labelled_photos(tmp_path))
    tower = [*small_model(tmp_path), "--data.workers", "2"]
    with caplog.at_level("INFO"):
        run([command, *SMALL, *tower, f"--data.{split}", labels, "--model.gallery", labels])
    assert [line for line in caplog.messages if "rows read" in line] == [
        f"{split}: 10 rows read, 6 used, 2 bad, 1 missing, 1 unreadable."
    ]
    assert caplog.messages[-1].startswith(split)


@pytest.mark.slow
def test_counts_of_fitting_add_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    options = [*small_model(tmp_path), "--data.train", str(labelled_photos(tmp_path))]
    options += ["--data.val_fraction", "0.4", "--model.gallery", "train", "--trainer.max_epochs", "2"]
    with caplog.at_level("INFO"):
        run(["fit", *SMALL, "--data.workers", "2", "--trainer.logger", "false", *options])
    lines = [line for line in caplog.messages if "rows read" in line]
    assert [line.split(":")[0] for line in lines] == ["train", "val"]
    (train, val) = ([int(number) for number in re.findall(r"\d+", line)] for line in lines)
    for rows, *parts in (train, val):
        assert rows == sum(parts) == 10
    assert (train[1] + val[1], train[3] + val[3], train[4] + val[4]) == (6, 1, 1)


def test_photos_in_another_folder_are_noticed_before_training(tmp_path: Path) -> None:
    labels = str(labelled_photos(tmp_path))
    options = ["--trainer.logger", "false", "--data.images", "elsewhere", "--data.train", labels]
    with pytest.raises(InputError, match=r"None of 8 photos.*elsewhere/0\.jpg.*data\.images"):
        run(["fit", *SMALL, *options])


@pytest.mark.parametrize("name", ["best", "last"])
def test_best_and_last_are_those_of_the_newest_run(name: str, runs: Path, cached: Path, tmp_path: Path) -> None:
    logger = SimpleNamespace(init_args={"save_dir": str(runs.parent.parent), "name": "features"})
    assert newest_checkpoint(logger, name) == runs / "checkpoints" / f"{name}.ckpt"
    config = ["--config", "configs/features.yaml", "--trainer.logger.init_args.save_dir", str(runs.parent.parent)]
    with pytest.raises(InputError, match=r"sigma \(4\.0,\) and the configuration \(2\.0,\)"):  # so it was read
        run(["validate", *config, *SMALL, "--model.sigma", "[2.0]", "--data.train", str(cached), "--ckpt_path", name])


@pytest.mark.slow
def test_full_disk_while_tensorboard_writes_is_one_sentence_and_leaves_the_checkpoint(
    cached: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    best = tmp_path / "features" / "version_0" / "checkpoints" / "best.ckpt"
    write: Any = LocalFileSystem.append

    def full(self: Any, *arguments: Any) -> None:
        if best.exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, *arguments)

    monkeypatch.setattr(LocalFileSystem, "append", full)
    logger = ["--trainer.logger.init_args.save_dir", str(tmp_path), "--trainer.max_epochs", "2"]
    with pytest.raises(InputError, match="No space left"):
        run(["fit", "--config", "configs/features.yaml", *SMALL, *logger, "--data.train", str(cached)])
    assert "Traceback" not in capfd.readouterr().err
    assert config_in(read_checkpoint(best)).sigma == (4.0,)


def curve(folder: Path) -> dict[int, float]:
    events = EventAccumulator(str(folder)).Reload()
    return {event.step: event.value for event in events.Scalars("train/loss")}


@pytest.mark.slow
def test_resumed_in_the_middle_of_an_epoch_the_curve_is_the_same(cached: Path, tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    keep = {"filename": "{step}", "every_n_train_steps": 3, "save_top_k": -1}
    checkpoints = {"class_path": "lightning.pytorch.callbacks.ModelCheckpoint", "init_args": keep}
    config.write_text(yaml.safe_dump({"trainer": {"callbacks": [checkpoints], "max_epochs": 2}}))
    arguments = ["fit", "--config", "configs/features.yaml", "--config", str(config), *SMALL, "--data.train"]
    arguments += [str(cached), "--trainer.logger.init_args.save_dir", str(tmp_path)]
    run(arguments)
    whole = tmp_path / "features" / "version_0"
    run([*arguments, "--ckpt_path", str(whole / "checkpoints" / "step=6.ckpt")])  # 5 batches an epoch
    first, again = curve(whole), curve(tmp_path / "features" / "version_1")
    assert list(first) == list(range(10))
    assert again == {step: pytest.approx(loss, rel=1e-6) for step, loss in first.items() if step >= 6}


@pytest.mark.parametrize("name", ["mp16", "finetune", "features"])
def test_packaged_configurations_are_found_and_fit_the_classes(name: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    config = f"configs/{name}.yaml"
    (flag, path), (equals,) = with_packaged_configs(["-c", config]), with_packaged_configs([f"--config={config}"])
    assert flag == "-c"
    assert equals == f"--config={path}"
    assert Path(path).is_file()
    options = ["--model.start", "scratch", "--data.train", "none.csv", "--trainer.precision", "32-true"]
    options += ["--data.val", "none.csv"]
    logger = ["--trainer.logger.init_args.save_dir", str(tmp_path)]
    with pytest.raises(InputError, match=r"none\.csv"):  # everything but the data is accepted
        run(["fit", "--config", config, *options, *logger, "--trainer.accelerator", "cpu"])


def test_a_file_of_ones_own_comes_before_the_packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "mp16.yaml").write_text("model:\n")
    assert with_packaged_configs(["--config", "configs/mp16.yaml"]) == ["--config", "configs/mp16.yaml"]


def test_an_unknown_key_is_one_sentence_with_the_nearest_and_exit_code_2(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("model:\n  quee_size: 5\n")
    done = geoclip("train", "fit", "--config", config)
    assert done.exit_code == 2
    assert done.stderr.strip() == (
        "geoclip: The configuration has no key 'model.quee_size'; the nearest is 'model.queue_size'. "
        "See `geoclip train fit --help`."
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--trainr.max_epochs", "3"], "no key 'trainr.max_epochs'; the nearest is 'trainer.max_epochs'"),
        (["--model.queue_size", "many"], "model.queue_size"),
        (["--model.optimizer.name", "sgd"], "model.optimizer.name"),
        (["--model.optimizer.lr", "-1"], "optimizer.lr"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
        (["--ckpt_path", "nowhere.ckpt"], "nowhere.ckpt does not exist"),
        (["--trainer.accelerator", "mps"], "MPSAccelerator"),
        (["--model.start", "nowhere"], "nowhere"),
        (["--model.start", "here.ckpt"], "`geoclip export here.ckpt"),
        (["--model.gallery", "nowhere.csv"], "nowhere.csv does not exist"),
        (["--trainer.strategy", "nope"], "strategy='nope'"),
        (["--trainer.precision", "bf16-true"], "trainer.precision is bf16-true"),
        (["--trainer.precision", "nope"], "trainer.precision cannot be nope"),
        (["--trainer.callbacks", "nope"], "trainer.callbacks cannot be nope"),
        (["--ckpt_path", "last"], "needs a logger"),
        (["--ckpt_path", "here.ckpt"], "another kind of file"),
        (["--trainer.val_check_interval", "1000"], "val_check_interval"),
        (["--trainer.accumulate_grad_batches", "0"], "must be 1 or more"),
        (["--data.train", "nowhere.csv"], "nowhere.csv"),
        (["--data.seed", "-1"], "seed of the data is -1"),
        (["--config", "here.ckpt"], "no keys with values"),
    ],
)
def test_wrong_arguments_are_one_sentence(arguments: list[str], message: str, cached: Path) -> None:
    Path("here.ckpt").write_text("no checkpoint")
    with pytest.raises(GeoclipError) as caught:
        run(["fit", *SMALL, "--trainer.logger", "false", "--data.train", str(cached), *arguments])
    text = str(caught.value)
    assert message in text
    assert "\n" not in text
    assert text.endswith(".")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data.val_fraction", "0"], "EarlyStopping monitors val/median_km, and nothing is validated"),
        (["--ckpt_path", "best"], r"no runs/features/version_\*/checkpoints/best\.ckpt"),
        (["--trainer.logger.init_args.save_dir", "here.ckpt"], r"Cannot write .*here\.ckpt"),
    ],
)
def test_a_packaged_configuration_says_what_is_wrong_before_training(
    arguments: list[str], message: str, cached: Path
) -> None:
    Path("here.ckpt").write_text("no checkpoint")
    with pytest.raises(InputError, match=message):
        run(["fit", "--config", "configs/features.yaml", *SMALL, "--data.train", str(cached), *arguments])


@pytest.mark.slow
def test_without_data_it_is_said_what_is_missing(cached: Path) -> None:
    with pytest.raises(InputError, match="no train data"):
        run(["fit", *SMALL, "--trainer.logger", "false"])
    with pytest.raises(InputError, match=r"model\.gallery is train.*no train data"):
        run(["validate", *SMALL, "--model.gallery", "train", "--data.val", str(cached)])


def test_empty_data_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("IMG_FILE,LAT,LON\n")
    with pytest.raises(InputError, match="no rows"):
        run(["fit", *SMALL, "--trainer.logger", "false", "--data.train", str(tmp_path / "labels.csv")])


def test_other_complaints_pass_on_one_line() -> None:
    assert one_sentence('Parser key "a":\n  Expected b', []) == 'Parser key "a": Expected b.'


def test_map_of_no_photos_and_across_the_antimeridian() -> None:
    empty = prediction_map(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0))
    far = prediction_map(np.array([[0.0, 179.0]]), np.array([[0.0, -179.0]]), np.array([222.0]))
    assert empty.shape == far.shape == (600, 1200, 3)
    changed = (empty[:500] != far[:500]).any(axis=(0, 2))  # above the legend
    assert changed[1190:].any()
    assert not changed[300:900].any()  # not the long way around


def test_map_tells_the_classes_apart_in_grey() -> None:
    truth = np.zeros((3, 2))
    pictures = [
        prediction_map(truth[:1], np.array([[0.0, degrees]]), np.array([111.2 * degrees]))
        for degrees in (1.0, 10.0, 60.0)
    ]
    greys = [picture[300, 600] @ (0.299, 0.587, 0.114) for picture in pictures]  # the middle of the marker
    assert min(a - b for a, b in itertools.pairwise(greys)) > 40
