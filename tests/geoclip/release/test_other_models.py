"""A model of another size, with other scales and another CLIP tower, through every command: all from its release."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch.nn import functional as F
from torchvision import transforms  # type: ignore[import-untyped]

from geoclip import GeoCLIP, ImageEncoder, LocationEncoder, Locator
from geoclip.encoders.backbone import image_tower, text_tower
from geoclip.errors import InputError, WeightsError
from geoclip.release.config import Backbone, ModelConfig, Towers
from geoclip.release.directory import CONFIG, Release, write_description
from geoclip.train.checkpoints import config_in
from index.storage.directory import read_manifest
from tests.helpers.commands import geoclip
from tests.helpers.pictures import make_photo
from tests.helpers.small_release import SMALL, SmallRelease, small_release

WIDE = SMALL.model_copy(update={"dim": 256})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SmallRelease:
    """A release with 256 dimensions."""
    return small_release(tmp_path_factory.mktemp("wide"), WIDE, seed=1)


@pytest.fixture(scope="module")
def planet(model: SmallRelease, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of it."""
    folder = tmp_path_factory.mktemp("index") / "alps"
    done = geoclip("build", folder, "--region", "bbox:46,7,47,8", "--coarse-res", "5", "--weights", model.weights)
    assert done.exit_code == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six photos."""
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(6):
        make_photo(folder / f"{seed}.png", seed, (320, 256))  # no odd surplus, which torchvision crops otherwise
    return folder


def by_hand(model: SmallRelease, photo: Path) -> np.ndarray[Any, Any]:
    """A photo's vector from open_clip's tower, torchvision's preprocessing and plain tensors."""
    towers = WIDE.backbone.open_clip
    assert isinstance(towers, Towers)
    clip = open_clip.CLIP(**towers.model_dump())
    from safetensors.torch import load_file

    clip.load_state_dict({n: t.float() for n, t in load_file(model.clip).items()}, strict=False)
    prepare = transforms.Compose(
        [
            transforms.Resize(64, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(64),
            transforms.ToTensor(),
            transforms.Normalize(WIDE.preprocess.mean, WIDE.preprocess.std),
        ]
    )
    weights = load_file(model.weights / "model.safetensors")
    with torch.inference_mode(), Image.open(photo) as image:
        x = clip.eval().visual(prepare(image.convert("RGB"))[None])
        x = F.linear(x, weights["image_encoder.mlp.0.weight"], weights["image_encoder.mlp.0.bias"]).relu()
        x = F.linear(x, weights["image_encoder.mlp.2.weight"], weights["image_encoder.mlp.2.bias"])
        return F.normalize(x, dim=1)[0].numpy()


@pytest.mark.slow
def test_photos_and_places_become_vectors_of_its_own_size(model: SmallRelease, photos: Path, tmp_path: Path) -> None:
    done = geoclip("embed", photos, "-o", tmp_path / "photos.parquet", "--precision", "fp32", *model.options)
    assert done.exit_code == 0, done.stderr
    table = pq.read_table(tmp_path / "photos.parquet")
    vectors = np.array(table["vector"].to_pylist())
    assert vectors.shape == (6, 256)
    for name, vector in zip(table["photo"].to_pylist(), vectors, strict=True):
        np.testing.assert_allclose(vector, by_hand(model, Path(name)), atol=2e-5)
    locations = LocationEncoder.from_pretrained(model.weights, precision="fp32").embed([[46.5, 7.5]])
    assert locations.shape == (1, 256)
    images = ImageEncoder(release=model.release, clip_path=model.clip).eval()
    with torch.inference_mode():
        tensor = images.preprocess_image(photos / "0.png")
        assert tensor.shape == (1, 3, 64, 64)
        np.testing.assert_allclose(F.normalize(images(tensor))[0], by_hand(model, photos / "0.png"), atol=2e-5)


def test_an_index_has_its_dimensions_and_finds_its_places(model: SmallRelease, planet: Path, tmp_path: Path) -> None:
    assert read_manifest(planet).dim == 256
    np.save(tmp_path / "v.npy", LocationEncoder.from_pretrained(model.weights, precision="fp32").embed([[46.5, 7.5]]))
    done = geoclip(
        *("search", planet, tmp_path / "v.npy", "--weights", model.weights, "-f", "jsonl", "-k", "1"),
        *("--prior-weight", "0"),
    )
    assert done.exit_code == 0, done.stderr
    best = json.loads(done.stdout)["predictions"][0]
    assert abs(best["lat"] - 46.5) < 0.1
    assert abs(best["lng"] - 7.5) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("crops", ["1", "10"])
def test_photos_and_words_are_located(model: SmallRelease, planet: Path, photos: Path, crops: str) -> None:
    done = geoclip("locate", photos, "--index", planet, *model.options, "-f", "jsonl", "--crops", crops)
    assert done.exit_code == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [Path(answer["query"]).name for answer in answers] == [f"{n}.png" for n in range(6)]
    assert all(45.7 < answer["predictions"][0]["lat"] < 47.3 for answer in answers)  # cells reach over the box
    locator = Locator.open(release=model.release, clip_path=model.clip, device="cpu")
    [answer] = locator.locate_text(["a red bus"], k=3)
    with torch.inference_mode():
        tower = text_tower(WIDE, model.clip)
        feature = tower(open_clip.SimpleTokenizer()(["a red bus"]))
        vector = F.normalize(locator.embedder.text_encoder.mlp(feature), dim=1)[0].numpy()
    best = (LocationEncoder.from_pretrained(model.weights).embed(model.release.gallery()) @ vector).argmax()
    np.testing.assert_allclose((answer.best.lat, answer.best.lng), model.release.gallery()[best], atol=1e-5)


def test_the_released_class_takes_it(model: SmallRelease, photos: Path) -> None:
    whole = GeoCLIP.from_pretrained(model.weights, clip_path=model.clip)
    places, shares = whole.predict(photos / "0.png", top_k=3)
    gallery = model.release.gallery()
    logits = (
        39.6464
        * LocationEncoder.from_pretrained(model.weights, precision="fp32").embed(gallery)
        @ by_hand(model, photos / "0.png")
    )
    expected = np.argsort(-logits)[:3]
    np.testing.assert_array_equal(places, gallery[expected])
    np.testing.assert_allclose(shares, np.exp(logits)[expected] / np.exp(logits).sum(), rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("start", ["weights", "scratch"])
@pytest.mark.parametrize("cached", [True, False])
def test_it_is_trained_and_exported(
    model: SmallRelease, photos: Path, tmp_path: Path, start: str, cached: bool
) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("photo,lat,lng\n" + "".join(f"{n}.png,{10 * n - 25},{20 * n}\n" for n in range(6)))
    data = ["--data.train", str(labels), "--data.images", str(photos), "--data.workers", "1", "--data.batch_size", "3"]
    if cached:
        features = tmp_path / "features.parquet"
        done = geoclip("embed", photos, "--features", "--views", "2", "-o", features, *model.options)
        assert done.exit_code == 0, done.stderr
        assert len(pq.read_table(features)["feature"][0]) == 48
        data = ["--data.train", str(features), "--data.labels", str(labels), "--data.images", str(photos)]
    begin = ["--model.start", start, "--model.like"] if start == "scratch" else ["--model.start"]
    done = geoclip(
        "train",
        "fit",
        *data,
        *begin,
        model.weights,
        *("--model.clip_checkpoint", model.clip, "--model.queue_size", "4", "--model.gallery", "train"),
        *("--trainer.max_steps", "1", "--trainer.accelerator", "cpu", "--trainer.logger", "false"),
        *("--trainer.default_root_dir", tmp_path / "run", "--trainer.enable_progress_bar", "false"),
    )
    assert done.exit_code == 0, done.stderr
    [checkpoint] = (tmp_path / "run").rglob("*.ckpt")
    gallery = tmp_path / "gallery.csv"
    gallery.write_text("lat,lng\n46,7\n10,20\n")
    done = geoclip("export", checkpoint, "-o", tmp_path / "tuned", "--gallery", gallery)
    assert done.exit_code == 0, done.stderr
    tuned = Release.open(tmp_path / "tuned")
    assert tuned.config == WIDE
    first, after = (release.location_encoder()["LocEnc1.capsule.3.weight"] for release in (model.release, tuned))
    moved = float((first - after).abs().max())
    assert 0 < moved < 1e-3 if start == "weights" else moved > 0.05


def test_a_checkpoint_from_before_there_were_other_models_is_the_released_one_of_its_sigmas() -> None:
    assert config_in({"geoclip": {"sigma": [4.0]}}) == ModelConfig(sigma=(4.0,))


def test_what_does_not_fit_is_one_sentence(model: SmallRelease, tmp_path: Path) -> None:
    def changed(**other: Any) -> Release:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        for file in model.weights.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        config = json.loads((folder / CONFIG).read_text())
        write_description(folder, config | other)
        return Release.open(folder)

    with pytest.raises(WeightsError, match="location encoder's weights do not fit"):
        LocationEncoder.of(changed(dim=65536, hidden=[65536] * 8))  # far more memory than there is, if it were taken
    with pytest.raises(WeightsError, match=r"image perceptron .* does not fit"):
        ImageEncoder(release=changed(image_hidden=[41]), clip_path=model.clip)
    preprocess = WIDE.preprocess.model_dump() | {"size": 224}
    with pytest.raises(WeightsError, match="64 x 64 pixels into 48 features, not 224 x 224 into 48"):
        ImageEncoder(release=changed(preprocess=preprocess), clip_path=model.clip)
    with pytest.raises(WeightsError, match=r"no weights of a CLIP of the release's own shape.*--clip-checkpoint"):
        ImageEncoder(release=model.release)
    with pytest.raises(WeightsError, match="open_clip does not know"):
        image_tower(ModelConfig(backbone=Backbone(open_clip="ViT-Q-7")), model.clip)
    with pytest.raises(WeightsError, match="is not a checkpoint of CLIP ViT-L-14"):
        image_tower(ModelConfig(), model.clip)
    with pytest.raises(InputError, match="256"):
        Locator.open(release=model.release, device="cpu").search(np.ones((1, 512), np.float32))


@pytest.mark.slow
def test_a_named_tower_of_open_clip_is_built(tmp_path: Path) -> None:
    """ViT-S-16, which is neither the released one nor described in the release, against open_clip's own model."""
    config = ModelConfig(backbone=Backbone(open_clip="ViT-S-16", pretrained=None, features=384))
    torch.manual_seed(1)
    whole = open_clip.create_model("ViT-S-16").eval()
    torch.save(whole.state_dict(), tmp_path / "clip.pt")
    pixels = torch.randn(1, 3, 224, 224)
    tokens = open_clip.get_tokenizer("ViT-S-16")(["snow"])
    with torch.inference_mode():
        torch.testing.assert_close(image_tower(config, tmp_path / "clip.pt")(pixels), whole.encode_image(pixels))
        torch.testing.assert_close(text_tower(config, tmp_path / "clip.pt")(tokens), whole.encode_text(tokens))
