"""Samples of any depth, transparent pixels and other colour spaces to the 8-bit sRGB that CLIP was trained on.

Colour spaces are those of ICC profiles, such as Display P3 and Adobe RGB. What marks one otherwise (gAMA and cHRM of a
PNG, nclx of a HEIF, R03 of EXIF) is not read.
"""

import io
from collections.abc import Callable
from functools import lru_cache

from PIL import Image, ImageChops, ImageCms

from geoclip.errors import PhotoError

Conversion = Callable[[Image.Image], Image.Image]

MAX_PROFILE_BYTES = 4 * 2**20
BAND_ROWS = 256
_SAME_LEVELS = 2
"""A profile whose colours are nowhere farther from sRGB's is sRGB by another name: nothing is converted."""
_STEPS = tuple(range(0, 256, 15))


def as_it_is(image: Image.Image) -> Image.Image:
    """Return an image unchanged."""
    return image


def srgb_conversion(image: Image.Image) -> Conversion:
    """Return what brings RGB pixels of a loaded image to sRGB; nothing is done where it has no profile that is known.

    The profile is that of the image's RGB form; see `srgb_of` for others.
    """
    profile = image.info.get("icc_profile") or b""
    if image.mode not in ("RGB", "RGBA", "RGBX", "P", "PA") or not 0 < len(profile) <= MAX_PROFILE_BYTES:
        return as_it_is
    transform = _transform(profile, "RGB")
    return as_it_is if transform is None else lambda pixels: ImageCms.applyTransform(pixels, transform) or pixels


def srgb_of(image: Image.Image) -> Image.Image:
    """Return a loaded image for a printer (CMYK), or in grey, as RGB by its profile; others as they are."""
    profile = image.info.get("icc_profile") or b""
    if image.mode not in ("L", "CMYK") or not 0 < len(profile) <= MAX_PROFILE_BYTES:
        return image
    transform = _transform(profile, image.mode)
    return image if transform is None else ImageCms.applyTransform(image, transform) or image


@lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform to sRGB; None where it changes nothing, or the profile is damaged or of another mode."""
    try:
        given, srgb = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(given, srgb, mode, "RGB")
        if mode == "RGB":
            samples = bytes(level for r in _STEPS for g in _STEPS for b in _STEPS for level in (r, g, b))
            grid = Image.frombytes("RGB", (len(_STEPS), len(_STEPS) ** 2), samples)
            changed = ImageChops.difference(grid, ImageCms.applyTransform(grid, transform) or grid)
            if max(high for _, high in changed.getextrema()) <= _SAME_LEVELS:  # type: ignore[misc]
                return None
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return transform


def eight_bits(image: Image.Image, *, deep: bool) -> Image.Image:
    """Bring 16-bit, 32-bit and floating-point grey, and colour that uses part of 16 bits, to 8 bits.

    Files do not say what white is, and many of 16 bits come from a camera or a scanner of 10 or 12. It is the first of
    1 (floating point only), 255, 1023, 4095 and 65535 that no sample exceeds, else the largest sample. Of 16-bit colour
    Pillow keeps the high byte alone, so there white is the first of 3, 15 and 255.

    Args:
        image: a loaded image; others than these are returned as they are.
        deep: whether its file has 16 bits a sample.

    Raises:
        PhotoError: a sample is infinite or not a number.
    """
    if deep and image.mode in ("RGB", "RGBA"):
        colours = image.convert("RGB") if image.mode == "RGBA" else image
        brightest = max(int(most) for _, most in colours.getextrema())  # type: ignore[misc]
        step = next(step for step in (85, 17, 1) if brightest * step <= 255)
        table = [min(255, level * step) for level in range(256)]
        return image if step == 1 else image.point(table * 3 + list(range(256)) * (len(image.mode) - 3))
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return image
    import numpy as np  # not at the top: hardly a photo needs it, and every worker would load it

    samples = np.asarray(image)
    high = float(samples.max())
    if image.mode.startswith("I;16"):
        shift = next((shift for shift in (0, 2, 4) if high < 256 << shift), 8)
        return Image.fromarray((samples >> shift).astype(np.uint8))
    if not np.isfinite(samples).all():
        raise PhotoError("The image holds values that are not finite.")
    whites = [255.0, 1023.0, 4095.0, 65535.0]
    whites = [1.0, *whites] if image.mode == "F" else whites
    white = next((white for white in whites if high <= white), high)
    levels = samples.clip(0, white)
    scaled = np.rint(levels * (255 / white)) if image.mode == "F" else levels * (256 / (white + 1))
    return Image.fromarray(scaled.astype(np.uint8))


def over_white(image: Image.Image) -> Image.Image:
    """Return RGB, transparent parts over white as a browser shows them."""
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    paper = Image.new("RGB", image.size, "white")
    for top in range(0, image.height, BAND_ROWS):  # in bands: another whole copy might exceed a worker's memory
        band = image.crop((0, top, image.width, min(top + BAND_ROWS, image.height))).convert("RGBA")
        paper.paste(band, (0, top), band)
    return paper
