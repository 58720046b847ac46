"""Augmentation against torchvision's, which the released training code used; and photos as they really are."""

import io
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import RandomResizedCrop  # type: ignore[import-untyped]
from torchvision.transforms import functional as F

from geoclip.errors import PhotoError
from geoclip.photos.decode import DecodeLimits, decode, upright
from geoclip.train.data.augment import augmented, jittered, random_part, turned_hue, views
from tests.helpers.pictures import make_photo


def picture(seed: int = 0, size: tuple[int, int] = (90, 70)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


class Fixed(Random):
    """Random numbers that are given; a shuffle changes nothing."""

    def __init__(self, numbers: list[float]) -> None:
        super().__init__(0)
        self._numbers = numbers

    def uniform(self, a: float, b: float) -> float:
        number = self._numbers.pop(0)
        assert a <= number <= b
        return number

    def shuffle(self, x: object) -> None:
        pass


@pytest.mark.parametrize("seed", range(5))
def test_jitter_equals_torchvisions(seed: int) -> None:
    image = picture(seed)
    rng = np.random.default_rng(seed)
    brightness, contrast, saturation = rng.uniform(0.6, 1.4, 3).tolist()
    hue = float(rng.uniform(-0.1, 0.1))
    expected = F.adjust_brightness(image, brightness)
    expected = F.adjust_saturation(F.adjust_contrast(expected, contrast), saturation)
    expected = F.adjust_hue(expected, hue)
    ours = jittered(image, Fixed([brightness, contrast, saturation, hue]))
    assert ours.tobytes() == expected.tobytes()


@pytest.mark.parametrize("turns", [-0.5, -0.1, -0.001, 0.0, 0.06, 0.5])
def test_hue_equals_torchvisions(turns: float) -> None:
    assert turned_hue(picture(), turns).tobytes() == F.adjust_hue(picture(), turns).tobytes()


def test_parts_are_spread_like_torchvisions() -> None:
    torch.manual_seed(0)
    random, image = Random(0), Image.new("RGB", (400, 300))
    crop = RandomResizedCrop(224)
    theirs = np.array([crop.get_params(image, list(crop.scale), list(crop.ratio)) for _ in range(8000)], dtype=float)
    ours = np.array([random_part(400, 300, random) for _ in range(8000)], dtype=float)[:, [1, 0, 3, 2]]
    for one, other in zip(ours.T, theirs.T, strict=True):  # top, left, height, width
        error = np.sqrt((one.var() + other.var()) / 8000)
        assert abs(one.mean() - other.mean()) < 4 * error
        assert abs(one.std() - other.std()) < 6 * error
        assert np.abs(np.quantile(one, [0.1, 0.5, 0.9]) - np.quantile(other, [0.1, 0.5, 0.9])).max() < 12


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(0, 2**32))
def test_a_part_lies_within_the_photo(width: int, height: int, seed: int) -> None:
    left, top, w, h = random_part(width, height, Random(seed))
    assert 0 <= left <= left + w <= width
    assert 0 <= top <= top + h <= height
    assert min(w, h) >= 1


def test_the_whole_chain_without_luck_is_crop_and_resize() -> None:
    """With numbers that switch everything off, what is left is torchvision's resized crop."""

    class Off(Random):
        def random(self) -> float:
            return 0.99

    image = picture(1, (300, 200))
    left, top, w, h = random_part(300, 200, Off(3))
    expected = F.resized_crop(image, top, left, h, w, [224, 224], F.InterpolationMode.BILINEAR, antialias=True)
    assert augmented(image, Off(3)).tobytes() == expected.tobytes()


@pytest.mark.slow
def test_chances_are_the_papers() -> None:
    """Of a picture that is one red to the left and one blue to the right: mirrored, grey, of another colour."""
    image = Image.new("RGB", (64, 64), (200, 40, 40))
    grey = same = 0
    for seed in range(400):
        view = np.asarray(augmented(image, Random(seed)))[0, 0].astype(int)
        grey += bool(view.max() == view.min())
        same += bool(np.abs(view - (200, 40, 40)).max() <= 1)
    assert abs(grey / 400 - 0.2) < 0.07
    assert abs(same / 400 - 0.2 * 0.8) < 0.07
    sides = Image.new("RGB", (64, 64), (255, 0, 0))
    sides.paste((0, 0, 255), (32, 0, 64, 64))
    left = [np.asarray(augmented(sides, Random(seed)), dtype=int)[:, [0, -1], 0].mean(axis=0) for seed in range(200)]
    mirrored = np.mean([one < other for one, other in left if abs(one - other) > 60])
    assert abs(mirrored - 0.5) < 0.15


def test_views_are_the_plain_one_and_others(tmp_path: Path) -> None:
    photo = make_photo(tmp_path / "a.jpg", seed=3)
    size = 224 * 224 * 3
    three = views(photo, DecodeLimits(), count=3, seed=1)
    assert len(three) == 3 * size
    assert three[:size] == decode(photo)
    assert len({three[i * size : (i + 1) * size] for i in range(3)}) == 3
    assert views(photo, DecodeLimits(), count=2, seed=1) == three[: 2 * size]
    assert views(photo, DecodeLimits(), count=2, seed=2)[size:] != three[size : 2 * size]


def test_photos_are_turned_upright_and_bad_ones_refused(tmp_path: Path) -> None:
    image = picture(2, (40, 20))
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    image.save(out, "PNG", exif=exif)
    assert (
        upright(out.getvalue(), DecodeLimits()).image.tobytes() == image.transpose(Image.Transpose.ROTATE_270).tobytes()
    )
    with pytest.raises(PhotoError, match="not a photo in a known format"):
        upright(b"noise", DecodeLimits())
    with pytest.raises(PhotoError, match="megapixels"):
        upright(out.getvalue(), DecodeLimits(max_pixels=100))
    with pytest.raises(PhotoError, match="cannot be opened"):
        upright(tmp_path / "gone.jpg", DecodeLimits())
    with pytest.raises(PhotoError, match="cannot be read"):
        upright(out.getvalue()[:200], DecodeLimits())
