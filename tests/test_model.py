"""`GeoCLIP` as a drop-in, and `Locator`: against the slow way of computing the same."""

import copy
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from geoclip import GeoCLIP, ImageEncoder, Locator
from geoclip.decode import DecodeLimits
from geoclip.errors import InputError, PhotoError
from geoclip.gallery import embedded_gallery
from geoclip.location_encoder import LocationEncoder
from geoclip.precision import pick_device
from geoclip.release import Release, released_path
from geoclip.search import GallerySearch
from tests.conftest import make_photo


@pytest.fixture(scope="module")
def images(release: Release, tiny_tower: nn.Module) -> ImageEncoder:
    return ImageEncoder(backbone=tiny_tower, release=release).eval()


@pytest.fixture(scope="module")
def model(release: Release, images: ImageEncoder) -> GeoCLIP:
    return GeoCLIP(image_encoder=images, release=release).eval()


def _searcher(encoder: LocationEncoder, release: Release) -> GallerySearch:
    gallery = embedded_gallery(encoder, release.gallery())
    return GallerySearch(gallery, float(release.logit_scale().exp()), pick_device("cpu"))


@pytest.fixture(scope="module")
def locator(release: Release, encoder: LocationEncoder, images: ImageEncoder) -> Locator:
    locator = Locator(release, _searcher(encoder, release), device=pick_device("cpu"))
    locator._images = images
    return locator


def test_predict_is_the_softmax_over_the_whole_gallery(model: GeoCLIP, photo: Path) -> None:
    """The released package's own recipe, gallery encoded in full, on every hundredth row to keep it quick."""
    rows = torch.arange(0, 100_000, 100)
    whole, model.gps_gallery = model.gps_gallery, model.gps_gallery[rows]
    try:
        with torch.no_grad():
            logits = model(model.image_encoder.preprocess_image(photo), model.gps_gallery)
        expected = torch.topk(logits.softmax(dim=-1)[0], 7)
        places, probabilities = model.predict(photo, 7)
    finally:
        model.gps_gallery = whole
    assert torch.equal(places, whole[rows][expected.indices])
    torch.testing.assert_close(probabilities, expected.values, rtol=1e-4, atol=0)


def test_predict_gives_duplicates_as_often_as_the_gallery_has_them(model: GeoCLIP, photo: Path) -> None:
    whole = model.gps_gallery
    model.gps_gallery = torch.tensor([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]])
    try:
        places, probabilities = model.predict(photo, 3)
    finally:
        model.gps_gallery = whole
    assert sorted(map(tuple, places.tolist())) == [(1, 2), (1, 2), (3, 4)]
    assert float(probabilities.sum()) == pytest.approx(1)


def test_predict_follows_changed_weights(release: Release, images: ImageEncoder, photo: Path) -> None:
    model = GeoCLIP(image_encoder=images, release=release).eval()
    model.gps_gallery = model.gps_gallery[:50]
    before = model.gallery_features()[0].clone()
    assert model.gallery_features()[0] is model.gallery_features()[0]
    with torch.no_grad():
        next(model.location_encoder.parameters()).mul_(1.01)
    assert not torch.equal(model.gallery_features()[0], before)


@pytest.mark.parametrize("top_k", [0, 100_001])
def test_top_k_out_of_range_is_refused(model: GeoCLIP, photo: Path, top_k: int) -> None:
    with pytest.raises(InputError, match="between 1 and 100000"):
        model.predict(photo, top_k)


def test_predict_refuses_what_is_no_photo(model: GeoCLIP, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("no photo")
    with pytest.raises(PhotoError):
        model.predict(tmp_path / "a.jpg", 1)


def test_rotation_is_honoured_unless_the_released_behaviour_is_asked_for(
    release: Release, images: ImageEncoder, model: GeoCLIP, tmp_path: Path
) -> None:
    upright = Image.open(make_photo(tmp_path / "upright.png", seed=3)).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise for display
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "untagged.png")
    released = GeoCLIP(image_encoder=images, release=release, as_released_photos=True).eval()
    assert torch.equal(model.predict(tmp_path / "turned.png", 5)[0], model.predict(tmp_path / "upright.png", 5)[0])
    assert torch.equal(released.predict(tmp_path / "turned.png", 5)[0], model.predict(tmp_path / "untagged.png", 5)[0])
    assert not torch.equal(
        images.preprocess_image(tmp_path / "turned.png"),
        images.preprocess_image(tmp_path / "turned.png", DecodeLimits(as_released=True)),
    )


def test_a_release_directory_is_loaded(release: Release, clip_checkpoint: Path, photo: Path) -> None:
    model = GeoCLIP.from_pretrained(released_path(), clip_path=clip_checkpoint)
    assert not model.training
    assert float(model.logit_scale.exp()) == pytest.approx(39.687, abs=1e-3)
    places, probabilities = model.predict(photo, 3)
    assert places.shape == (3, 2)
    assert (probabilities.diff() <= 0).all()
    names = set(model.state_dict())
    assert {"logit_scale", "location_encoder.LocEnc2.capsule.0.b", "image_encoder.mlp.2.bias"} <= names


@pytest.mark.gpu
def test_a_gpu_predicts_what_the_cpu_predicts(release: Release, tiny_tower: nn.Module, photo: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA GPU here")
    make = [
        GeoCLIP(image_encoder=ImageEncoder(backbone=copy.deepcopy(tiny_tower), release=release), release=release)
        for _ in "ab"
    ]
    on_cpu, on_gpu = (
        model.eval().to(device).predict(photo, 5) for model, device in zip(make, ("cpu", "cuda"), strict=True)
    )
    assert torch.equal(on_cpu[0], on_gpu[0])
    torch.testing.assert_close(on_cpu[1], on_gpu[1], rtol=1e-3, atol=0)


def test_encoders_train_but_clip_does_not(release: Release, clip_checkpoint: Path) -> None:
    encoder = ImageEncoder(clip_path=clip_checkpoint, release=release)
    encoder(torch.zeros(1, 3, 224, 224)).sum().backward()
    assert all(p.grad is not None for p in encoder.mlp.parameters())
    assert not any(p.requires_grad for p in encoder.backbone.parameters())


# -- Locator ---------------------------------------------------------------------------------------------------------


def test_search_equals_float64(locator: Locator, encoder: LocationEncoder, release: Release) -> None:
    queries = np.random.default_rng(0).normal(size=(4, 512)).astype(np.float32)
    distinct = np.unique(release.gallery(), axis=0)
    vectors = encoder.embed(distinct).astype(np.float64)
    cosine = (queries / np.linalg.norm(queries, axis=1, keepdims=True)).astype(np.float64) @ vectors.T
    logits = locator.tau * cosine
    posterior = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
    order = np.argsort(-cosine, axis=1)[:, :6]
    found = locator.search(queries, 6)
    np.testing.assert_array_equal(found.lat_lng, distinct[order])
    np.testing.assert_allclose(found.scores, np.take_along_axis(cosine, order, 1), atol=1e-6)
    np.testing.assert_allclose(found.probabilities, np.take_along_axis(posterior, order, 1), rtol=1e-4)


def test_search_returns_each_place_once(locator: Locator, encoder: LocationEncoder, release: Release) -> None:
    gallery = release.gallery()
    _, first, counts = np.unique(gallery, axis=0, return_index=True, return_counts=True)
    crowded = gallery[first[counts.argmax()]]
    assert counts.max() > 1
    found = locator.search(encoder.embed([crowded]), 50).lat_lng[0]
    assert len(np.unique(found, axis=0)) == 50
    assert np.array_equal(found[0], crowded)


def test_search_ignores_length_and_refuses_what_has_none(locator: Locator) -> None:
    queries = np.random.default_rng(1).normal(size=(2, 512)).astype(np.float32)
    np.testing.assert_allclose(locator.search(queries).scores, locator.search(queries * 1e-3).scores, atol=1e-6)
    with pytest.raises(InputError, match="Vector 1"):
        locator.search(queries * [[1.0], [0.0]])
    with pytest.raises(InputError, match="Vector 0"):
        locator.search(np.full((1, 512), np.inf))
    with pytest.raises(InputError, match=r"\(2, 100\)"):
        locator.search(queries[:, :100])
    with pytest.raises(InputError, match="k is 0"):
        locator.search(queries, 0)


def test_locate_answers_each_photo_in_order_and_names_the_bad(locator: Locator, model: GeoCLIP, tmp_path: Path) -> None:
    photos = [make_photo(tmp_path / f"{i}.png", seed=i) for i in range(9)]
    (tmp_path / "4.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    answers = locator.locate(photos, k=3)
    assert [answer.query for answer in answers] == [str(photo) for photo in photos]
    assert [answer.error is None for answer in answers] == [i != 4 for i in range(9)]
    for i in (0, 8):
        best = model.predict(photos[i], 1)[0][0]
        assert (answers[i].predictions[0].lat, answers[i].predictions[0].lng) == pytest.approx(best.tolist())
    with_workers = locator.locate(photos, k=3, workers=2)
    assert [a.query for a in with_workers] == [a.query for a in answers]
    for one, other in zip(answers, with_workers, strict=True):
        assert [p.cell for p in one.predictions] == [p.cell for p in other.predictions]
        ours, theirs = ([p[:4] for p in a.predictions] for a in (one, other))
        np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def test_streaming_reads_only_a_little_ahead(locator: Locator, photo: Path) -> None:
    taken = 0

    def endless() -> Iterator[Path]:
        nonlocal taken
        while True:
            taken += 1
            yield photo

    stream = locator.stream(endless(), 1)
    assert next(stream).error is None
    assert taken <= 8


def test_words_are_located_with_the_text_tower_alone(release: Release, locator: Locator, clip_checkpoint: Path) -> None:
    words = Locator(
        release,
        _searcher(LocationEncoder(precision="fp32"), release),
        device=pick_device("cpu"),
        clip_path=clip_checkpoint,
    )
    (answer,) = words.locate_text(["a red double-decker bus"], k=2)
    assert len(answer.predictions) == 2
    assert words._images is None
    import open_clip

    whole = open_clip.create_model("ViT-L-14-quickgelu", pretrained=str(clip_checkpoint)).float().eval()
    with torch.no_grad():
        feature = whole.encode_text(open_clip.tokenize([answer.query]))
        vector = F.normalize(locator.image_encoder.mlp(feature), dim=1).numpy()
    assert locator.search(vector, 2).scores[0] == pytest.approx([p.score for p in answer.predictions], abs=1e-4)
    with pytest.raises(InputError, match="empty"):
        words.locate_text([" "])
