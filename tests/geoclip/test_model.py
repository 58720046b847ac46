"""`GeoCLIP` as a drop-in, and `Locator`: against the slow way of computing the same."""

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import transforms  # type: ignore[import-untyped]

from geoclip import GeoCLIP, ImageEncoder, Locator, PhotoEmbedder, Words
from geoclip.answers.answer import Answer
from geoclip.answers.answerer import Answerer
from geoclip.answers.source import SearchSource
from geoclip.distance import haversine_km
from geoclip.encoders.embedded_gallery import embedded_gallery
from geoclip.encoders.location import LocationEncoder
from geoclip.encoders.text import TextEncoder
from geoclip.errors import InputError, PhotoError
from geoclip.options import Candidates
from geoclip.photos.decode import DecodeLimits
from geoclip.release.config import Preprocess, Towers
from geoclip.release.directory import Release
from tests.helpers.pictures import make_photo
from tests.helpers.small_release import SmallRelease
from tests.helpers.towers import TinyText

GalleryVectors = tuple[NDArray[np.float64], NDArray[np.float64]]


@pytest.fixture(scope="module")
def images(release: Release, tiny_tower: nn.Module) -> ImageEncoder:
    return ImageEncoder(backbone=tiny_tower, release=release).eval()


@pytest.fixture(scope="module")
def model(release: Release, images: ImageEncoder) -> GeoCLIP:
    return GeoCLIP(image_encoder=images, release=release).eval()


@pytest.fixture(scope="module")
def locator(release: Release, images: ImageEncoder) -> Locator:
    source = SearchSource(release.model_digest, Candidates.GALLERY)
    answerer = Answerer.open(release, source, device="cpu", precision="fp32")
    return Locator(embedder(release, images), answerer)


def embedder(release: Release, images: ImageEncoder, **options: Any) -> PhotoEmbedder:
    made = PhotoEmbedder(release, device="cpu", **options)
    made.image_encoder = images
    return made


@pytest.fixture(scope="module")
def tau(release: Release) -> float:
    return float(release.logit_scale().exp())


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


@pytest.mark.slow
def test_a_release_directory_is_loaded(small_towers: SmallRelease, photo: Path) -> None:
    model = GeoCLIP.from_pretrained(small_towers.weights, clip_path=small_towers.clip)
    assert not model.training
    assert float(model.logit_scale.exp()) == pytest.approx(39.687, abs=1e-3)
    places, probabilities = model.predict(photo, 3)
    assert places.shape == (3, 2)
    assert (probabilities.diff() <= 0).all()
    names = set(model.state_dict())
    assert {"logit_scale", "location_encoder.LocEnc2.capsule.0.b", "image_encoder.mlp.2.bias"} <= names


@pytest.mark.gpu
def test_a_gpu_predicts_what_the_cpu_predicts(release: Release, tiny_tower: nn.Module, photo: Path) -> None:
    make = [
        GeoCLIP(image_encoder=ImageEncoder(backbone=copy.deepcopy(tiny_tower), release=release), release=release)
        for _ in "ab"
    ]
    on_cpu, on_gpu = (
        model.eval().to(device).predict(photo, 5) for model, device in zip(make, ("cpu", "cuda"), strict=True)
    )
    assert torch.equal(on_cpu[0], on_gpu[0])
    torch.testing.assert_close(on_cpu[1], on_gpu[1], rtol=1e-3, atol=0)


@pytest.mark.slow
def test_encoders_train_but_clip_does_not(small_towers: SmallRelease) -> None:
    encoder = ImageEncoder(clip_path=small_towers.clip, release=small_towers.release)
    encoder(torch.zeros(1, 3, 64, 64)).sum().backward()
    assert all(p.grad is not None for p in encoder.mlp.parameters())
    assert not any(p.requires_grad for p in encoder.backbone.parameters())


# -- Locator ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gallery(release: Release, encoder: LocationEncoder) -> GalleryVectors:
    """Distinct places and their vectors."""
    found = embedded_gallery(encoder, release.gallery())
    return found.lat_lng.astype(np.float64), found.vectors.numpy().astype(np.float64)


@pytest.mark.slow
def test_search_equals_float64(
    locator: Locator, encoder: LocationEncoder, release: Release, gallery: GalleryVectors, tau: float
) -> None:
    queries = np.random.default_rng(0).normal(size=(4, 512)).astype(np.float32)
    distinct, vectors = gallery
    assert np.array_equal(np.unique(distinct, axis=0), np.unique(release.gallery(), axis=0))
    some = np.random.default_rng(1).choice(len(distinct), 3000, replace=False)
    np.testing.assert_allclose(vectors[some], encoder.embed(distinct[some].astype(np.float32)), atol=1e-6)
    cosine = (queries / np.linalg.norm(queries, axis=1, keepdims=True)).astype(np.float64) @ vectors.T
    logits = tau * cosine
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


def test_one_vector_is_searched_like_many(locator: Locator) -> None:
    queries = np.random.default_rng(2).normal(size=(3, 512)).astype(np.float32)
    one, many = locator.search(queries[0], 4), locator.search(queries, 4)
    np.testing.assert_array_equal(one.cells, many.cells[:1])
    assert one.lat_lng.shape == (1, 4, 2)
    assert repr(many).startswith(f"<4 places for each of 3 queries; best: ({many.lat_lng[0, 0, 0]:.5f}, ")
    assert "\n" not in repr(many)


@pytest.mark.slow
def test_options_have_the_names_of_the_flags(locator: Locator) -> None:
    queries = np.random.default_rng(2).normal(size=(2, 512)).astype(np.float32)
    found = locator.search(queries, 5, near=(48.86, 2.35, 300), not_country="FR")
    away = haversine_km(found.lat_lng, (48.86, 2.35))
    assert (away <= 301).all()
    expected = locator.asked(5, near="48.86,2.35,300", not_country=["FR"])
    np.testing.assert_array_equal(locator.search(queries, asked=expected).cells, found.cells)
    assert (locator.search(queries, 5, country="JP").lat_lng[..., 0] > 20).all()
    with pytest.raises(InputError, match="no option 'contry'; did you mean country"):
        locator.search(queries, contry="JP")
    with pytest.raises(InputError, match="no country 'Atlantis'"):
        locator.search(queries, country="Atlantis")


def test_search_ignores_length_and_refuses_what_has_none(locator: Locator) -> None:
    queries = np.random.default_rng(1).normal(size=(2, 512)).astype(np.float32)
    np.testing.assert_allclose(locator.search(queries).scores, locator.search(queries * 1e-3).scores, atol=1e-6)
    with pytest.raises(InputError, match="Vector 1"):
        locator.search(queries * [[1.0], [0.0]])
    with pytest.raises(InputError, match="Vector 0"):
        locator.search(np.full((1, 512), np.inf))
    with pytest.raises(InputError, match=r"\(2, 100\)"):
        locator.search(queries[:, :100])
    with pytest.raises(InputError, match=r"0 is not allowed for k \(--top\); choose at least 1"):
        locator.search(queries, 0)


@pytest.mark.slow
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


class Pointer:
    """What has a path, as objects of other libraries do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)


@pytest.mark.slow
def test_one_photo_is_taken_as_people_give_it(locator: Locator, tmp_path: Path) -> None:
    path = make_photo(tmp_path / "a.png", seed=3)
    (expected,) = locator.locate([path], k=2)
    with path.open("rb") as file, Image.open(path) as picture:
        for given in (str(path), path, Pointer(path), path.read_bytes(), file, picture, [Pointer(path)], (path,)):
            (answer,) = locator.locate(given, k=2)
            assert answer.predictions == expected.predictions
    assert locator.locate_together(str(path), 2)[0].predictions == expected.predictions
    assert locator.locate([]) == []


def test_answers_are_dicts_for_programs_and_a_line_for_people(locator: Locator, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    good, bad = locator.locate([make_photo(tmp_path / "a.png", seed=3), tmp_path / "bad.jpg"], k=2)
    record = good.to_dict()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["predictions"][0]["place"]["code"] == good.best.name.code if good.best.name else False
    assert (record["searched"]["candidates"], len(record["predictions"])) == ("gallery", 2)
    for answer in (good, bad):
        assert answer.query in repr(answer)
        assert len(repr(answer)) < 300
    assert f"{good.best.lat:.5f}, {good.best.lng:.5f}" in repr(good)
    assert str(bad.error) in repr(bad)


@pytest.mark.slow
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


@pytest.mark.slow
def test_words_are_located_with_the_text_tower_alone(small_towers: SmallRelease, locator: Locator) -> None:
    words = Locator(PhotoEmbedder(small_towers.release, device="cpu"), locator.answerer)
    (answer,) = words.locate_text(["a red double-decker bus"], k=2)
    assert len(answer.predictions) == 2
    assert "image_encoder" not in vars(words.embedder)
    towers = small_towers.release.config.backbone.open_clip
    assert isinstance(towers, Towers)
    whole = open_clip.CLIP(**towers.model_dump()).eval()
    whole.load_state_dict({name: tensor.float() for name, tensor in load_file(small_towers.clip).items()}, strict=False)
    with torch.no_grad():
        feature = whole.encode_text(open_clip.tokenize([answer.query]))
        vector = F.normalize(locator.embedder.image_encoder.mlp(feature), dim=1).numpy()
    assert locator.search(vector, 2).scores[0] == pytest.approx([p.score for p in answer.predictions], abs=1e-4)
    with pytest.raises(InputError, match="empty"):
        words.locate_text([" "])


# -- Albums, crops, words, EXIF --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def texts(release: Release) -> TextEncoder:
    return TextEncoder(tower=TinyText(), release=release).eval()


def vector_of(images: ImageEncoder, pixels: Tensor) -> NDArray[np.float64]:
    """Unit vectors (N, 512) the plain way: tower, perceptron, length 1."""
    with torch.no_grad():
        features = images.mlp(images.backbone(pixels))
    return np.asarray(F.normalize(features, dim=1).double())


def check_logits(answer: Answer, logits: NDArray[np.float64], tau: float, gallery: GalleryVectors) -> None:
    """The answer's predictions are the best of the softmax of these logits over the gallery."""
    probabilities = np.exp(logits - logits.max())
    probabilities /= probabilities.sum()
    order = np.argsort(-logits)[: len(answer.predictions)]
    np.testing.assert_allclose([(p.lat, p.lng) for p in answer.predictions], gallery[0][order])
    np.testing.assert_allclose([p.score for p in answer.predictions], logits[order] / tau, atol=1e-5)
    np.testing.assert_allclose([p.probability for p in answer.predictions], probabilities[order], atol=1e-5)


def test_an_album_is_answered_by_the_mean_of_its_photos_logits(
    locator: Locator, images: ImageEncoder, gallery: GalleryVectors, tau: float, tmp_path: Path
) -> None:
    photos = [make_photo(tmp_path / f"{i}.png", seed=i) for i in (1, 5, 8)]
    logits = [tau * (vector_of(images, images.preprocess_image(p)) @ gallery[1].T)[0] for p in photos]
    answer, failed = locator.locate_together(photos, 6)
    assert failed == []
    assert answer.query == f"{photos[0]} and 2 more"
    check_logits(answer, np.mean(logits, axis=0), tau, gallery)
    one, _ = locator.locate_together(photos[:1], 6)
    assert one.query == str(photos[0])
    check_logits(one, logits[0], tau, gallery)


def test_a_long_album_weighs_all_its_photos_alike(
    locator: Locator, images: ImageEncoder, gallery: GalleryVectors, tau: float, tmp_path: Path
) -> None:
    """More photos than are encoded at once."""
    photos = [make_photo(tmp_path / f"{i}.png", seed=i) for i in range(9)]
    vectors = np.concatenate([vector_of(images, images.preprocess_image(photo)) for photo in photos])
    answer, _ = locator.locate_together(photos, 4)
    check_logits(answer, tau * (vectors @ gallery[1].T).mean(axis=0), tau, gallery)


def test_what_an_album_has_that_cannot_be_read_is_named(locator: Locator, tmp_path: Path) -> None:
    good = [make_photo(tmp_path / f"{i}.png", seed=i) for i in range(2)]
    bad = [tmp_path / "broken.jpg", tmp_path / "text.png"]
    for path in bad:
        path.write_bytes(b"no photo")
    answer, failed = locator.locate_together([bad[0], good[0], bad[1], good[1]], 3)
    assert [f.query for f in failed] == [str(path) for path in bad]
    assert all(f.error and not f.predictions for f in failed)
    assert answer.query == f"{good[0]} and 1 more"
    alone, _ = locator.locate_together(good, 3)
    np.testing.assert_allclose([p[:4] for p in answer.predictions], [p[:4] for p in alone.predictions], rtol=1e-4)
    with pytest.raises(InputError, match=r"None of the 2 photos could be read; the first: This is not a photo"):
        locator.locate_together(bad)
    with pytest.raises(InputError, match="no photos"):
        locator.locate_together([])


@pytest.mark.slow
@pytest.mark.parametrize("size", [(320, 240), (231, 400)])
def test_ten_crops_are_answered_by_the_mean_of_the_crops_logits(
    locator: Locator, images: ImageEncoder, gallery: GalleryVectors, tau: float, tmp_path: Path, size: tuple[int, int]
) -> None:
    photos = [make_photo(tmp_path / f"{i}.png", seed=i, size=size) for i in range(2)]
    recipe = transforms.Compose(
        [
            transforms.Resize(256, transforms.InterpolationMode.BICUBIC),
            transforms.TenCrop(224),
            transforms.Lambda(lambda crops: torch.stack([transforms.functional.to_tensor(crop) for crop in crops])),
            transforms.Normalize(Preprocess().mean, Preprocess().std),
        ]
    )
    crops = Locator(embedder(locator.embedder.release, images, limits=DecodeLimits(crops=10)), locator.answerer)
    answers = crops.locate(photos, 5)
    means = []
    for photo, answer in zip(photos, answers, strict=True):
        logits = tau * (vector_of(images, recipe(Image.open(photo).convert("RGB"))) @ gallery[1].T)
        assert logits.shape[0] == 10
        means.append(logits.mean(axis=0))
        check_logits(answer, means[-1], tau, gallery)
    together, _ = crops.locate_together(photos, 5)
    check_logits(together, np.mean(means, axis=0), tau, gallery)
    vectors = [vector for _, vector in crops.embedder.embed(photos) if vector is not None]
    assert all(0.1 < np.linalg.norm(vector) < 0.9999 for vector in vectors)
    assert crops.locate(photos, 1)[0].predictions[0].score != locator.locate(photos, 1)[0].predictions[0].score


@pytest.mark.slow
@pytest.mark.parametrize("weight", [0.0, 0.3, 0.75, 1.0])
def test_words_are_mixed_into_the_logits(
    locator: Locator,
    images: ImageEncoder,
    texts: TextEncoder,
    gallery: GalleryVectors,
    tau: float,
    tmp_path: Path,
    weight: float,
) -> None:
    photos = [make_photo(tmp_path / f"{i}.png", seed=i) for i in range(2)]
    spoken = Locator(embedder(locator.embedder.release, images), locator.answerer)
    spoken.embedder.text_encoder = texts
    text = "a red double-decker bus"
    with torch.no_grad():
        feature = texts.mlp(texts.tower(open_clip.tokenize([text])))
    said = tau * (np.asarray(F.normalize(feature, dim=1).double()) @ gallery[1].T)[0]
    seen = [tau * (vector_of(images, images.preprocess_image(p)) @ gallery[1].T)[0] for p in photos]
    answers = spoken.locate(photos, 5, words=Words(text, weight))
    for answer, logits in zip(answers, seen, strict=True):
        check_logits(answer, (1 - weight) * logits + weight * said, tau, gallery)
    together, _ = spoken.locate_together(photos, 5, words=Words(text, weight))
    check_logits(together, (1 - weight) * np.mean(seen, axis=0) + weight * said, tau, gallery)
    assert [p.cell for p in spoken.locate_text([text], 5)[0].predictions] == [
        p.cell for p in spoken.locate(photos, 5, words=Words(text, 1.0))[1].predictions
    ]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_what_exif_says_stands_beside_the_answer_and_does_not_change_it(
    locator: Locator, tmp_path: Path, workers: int
) -> None:
    picture = Image.open(make_photo(tmp_path / "picture.png", seed=6))
    exif = Image.Exif()
    exif[0x8825] = {1: "S", 2: (33.0, 51.0, 24.408), 3: "E", 4: (151.0, 12.0, 55.08)}  # 33.85678 S, 151.2153 E
    picture.save(tmp_path / "a.png")
    picture.save(tmp_path / "b.png", exif=exif)
    (tmp_path / "c.jpg").write_bytes(b"no photo")
    (without,) = locator.locate([tmp_path / "a.png"], 3, workers=workers)
    (tagged,) = locator.locate([tmp_path / "b.png"], 3, workers=workers)
    assert without.gps is None
    assert tagged.gps is not None
    assert tagged.gps[:2] == pytest.approx((-33.85678, 151.2153), abs=1e-6)
    best = (tagged.best.lat, tagged.best.lng)
    assert tagged.gps.distance_km == pytest.approx(float(haversine_km((-33.85678, 151.2153), best)), abs=0.01)
    assert replace(tagged, query="", gps=None).to_dict() == replace(without, query="").to_dict()
    both = locator.locate([tmp_path / "c.jpg", tmp_path / "b.png", tmp_path / "a.png"], 1, workers=workers)
    assert [answer.gps is None for answer in both] == [True, False, True]


def test_a_given_tower_keeps_its_arithmetic(release: Release, tiny_tower: nn.Module, photo: Path) -> None:
    """On a CPU with bf16 units `auto` is bf16, which a tower of float32 weights cannot multiply."""
    encoder = ImageEncoder(backbone=tiny_tower, release=release, precision="bf16").eval()
    pixels = encoder.preprocess_image(photo)
    with torch.no_grad():
        assert torch.equal(encoder(pixels), ImageEncoder(backbone=tiny_tower, release=release).eval()(pixels))
