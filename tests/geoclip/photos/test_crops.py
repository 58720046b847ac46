"""Ten-crop against torchvision's own resize and `TenCrop`, byte for byte, and what photos need around it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from torchvision import transforms  # type: ignore[import-untyped]

from geoclip.encoders.preprocess import crops_of, normalised
from geoclip.errors import InputError
from geoclip.photos.decode import CLIP_SIZE, MAX_ASPECT, DecodeLimits, Photo, decode, ten_crops
from geoclip.photos.pool import decode_all
from geoclip.release.config import Preprocess
from tests.helpers.hostile_files import Outcome, encoded, picture, png_file, valid_files

Bytes = NDArray[np.uint8]
TEN = DecodeLimits(crops=10)
RESIZE = transforms.Resize(256, transforms.InterpolationMode.BICUBIC)
TEN_CROP = transforms.TenCrop(224)


def views(photo: Photo, limits: DecodeLimits = TEN) -> Bytes:
    return np.frombuffer(decode(photo, limits), dtype=np.uint8).reshape(10, CLIP_SIZE, CLIP_SIZE, 3)


def torchvisions(image: Image.Image) -> Bytes:
    return np.stack([np.asarray(view) for view in TEN_CROP(RESIZE(image))])


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


@settings(max_examples=40, deadline=None)
@given(width=st.integers(1, 700), height=st.integers(1, 700))
def test_ten_crops_are_torchvisions(width: int, height: int) -> None:
    image = noise(width, height)
    if max(image.size) <= MAX_ASPECT * min(image.size):
        assert np.array_equal(views(encoded(image, "BMP")), torchvisions(image))


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (224, 224), (256, 256), (257, 256), (256, 259), (261, 256)])
def test_at_the_edges(size: tuple[int, int]) -> None:
    assert np.array_equal(views(noise(*size)), torchvisions(noise(*size)))


@pytest.mark.parametrize("size", [(3000, 30), (30, 3000), (100, 1), (1, 100), (1699, 17)])
def test_the_longest_strips_that_are_resized_whole(size: tuple[int, int]) -> None:
    assert max(size) <= MAX_ASPECT * min(size) < max(size) + min(size)
    assert np.array_equal(views(noise(*size)), torchvisions(noise(*size)))


@pytest.mark.parametrize("size", [(3030, 30), (30, 3030), (2021, 17), (17, 2021), (101, 1), (1, 101)])
def test_of_longer_strips_the_same_views_are_read(size: tuple[int, int]) -> None:
    apart = np.abs(views(noise(*size)).astype(int) - torchvisions(noise(*size)))
    # Pillow resizes tall strips in the other order of axes, which clips noise at other places.
    assert (apart.mean(axis=(1, 2, 3)) < 1).all()
    assert (np.percentile(apart, 97, axis=(1, 2, 3)) <= 2).all()


@pytest.mark.parametrize("tall", [False, True])
def test_a_strip_of_a_million_pixels_is_cut_before_it_grows(tall: bool) -> None:
    levels = np.repeat(np.array([10, 90, 250], dtype=np.uint8), [300_000, 400_000, 300_000])
    strip = levels[:, None] if tall else levels[None]
    [decoded] = decode_all([encoded(Image.fromarray(strip), "PNG")], TEN, workers=1)
    assert decoded.pixels is not None, decoded.error  # resized whole it would have 2.6e11 bytes
    ten = np.frombuffer(decoded.pixels, dtype=np.uint8).reshape(10, -1)
    assert (ten == ten[:, :1]).all()
    wide_levels = [10, 250, 10, 250, 90, 250, 10, 250, 10, 90]
    assert ten[:, 0].tolist() == ([10, 10, 250, 250, 90] * 2 if tall else wide_levels)


def test_the_photo_is_upright_and_over_white_before_it_is_cropped() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    rgba = picture("RGBA", (301, 257))
    paper = Image.new("RGBA", rgba.size, "white")
    shown = Image.alpha_composite(paper, rgba).convert("RGB").transpose(Image.Transpose.ROTATE_270)
    apart = views(encoded(rgba, "PNG", exif=exif)).astype(int) - torchvisions(shown)
    assert np.abs(apart).max() <= 1  # the two ways of blending round differently
    as_released = views(encoded(rgba, "PNG", exif=exif), DecodeLimits(crops=10, as_released=True))
    assert np.array_equal(as_released, torchvisions(rgba.convert("RGB")))


def test_views_become_clips_input_in_their_order() -> None:
    photos = [noise(310, 290, seed) for seed in range(2)]
    pixels = [crop for photo in photos for crop in crops_of(decode(photo, TEN), Preprocess())]
    to_clip = transforms.Compose([transforms.ToTensor(), transforms.Normalize(Preprocess().mean, Preprocess().std)])
    wanted = torch.stack([to_clip(view) for photo in photos for view in TEN_CROP(RESIZE(photo))])
    torch.testing.assert_close(normalised(pixels, Preprocess()), wanted, rtol=0, atol=1e-6)
    assert crops_of(decode(photos[0]), Preprocess()) == [decode(photos[0])]


def test_ten_views_are_not_taken_for_one() -> None:
    with pytest.raises(ValueError, match="reshape"):
        normalised([decode(noise(9, 9), TEN)], Preprocess())


def test_other_numbers_of_crops_are_refused() -> None:
    for crops in (0, 2, 5, -10):
        with pytest.raises(InputError, match=rf"crops is {crops}; give 1 .* or 10 "):
            DecodeLimits(crops=crops)


def test_an_image_is_left_as_it_was() -> None:
    image = picture("RGB", (50, 40))
    before = image.tobytes()
    assert len(ten_crops(image)) == 10
    assert (image.size, image.tobytes()) == ((50, 40), before)


@pytest.mark.slow
def test_workers_give_ten_crops_of_everything_that_can_be_read(tmp_path: Path) -> None:
    samples = [sample for sample in valid_files() if sample.outcome is Outcome.ANSWERED][::4]
    bomb = png_file(60_000, 60_000, b"", colour=2)
    photos: list[Any] = [*(sample.content for sample in samples), bomb, tmp_path, b"text"]
    here, there = list(decode_all(photos, TEN)), list(decode_all(photos, TEN, workers=2))
    assert here == there
    assert [decoded.error is None for decoded in here] == [True] * len(samples) + [False] * 3
    assert {len(decoded.pixels) for decoded in here if decoded.pixels} == {10 * CLIP_SIZE * CLIP_SIZE * 3}
