"""Run by the released package's environment: write down what it answers, for `benchmarks.parity`.

Written into the folder: `photos/`, `tower/` (a random CLIP image tower in transformers' layout), `answers.npz` and
`about.json`.
"""

import argparse
import importlib
import importlib.metadata
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.parity.random_tower import randomise
from benchmarks.parity.sample_photos import draw_samples
from benchmarks.results import versions

RELEASED = "1.3.0"
SHEER_BELOW_180 = float(np.nextafter(np.float32(180), np.float32(0)))


def main() -> None:
    """Compute and write everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    geoclip = released_package()
    torch.set_grad_enabled(False)
    torch.manual_seed(arguments.seed)
    model = geoclip.GeoCLIP(clip_pretrained=False).eval()
    write_tower(model, folder / "tower", arguments.seed)
    photos = write_photos(Path(geoclip.__file__).parent / "images" / "Kauai.png", folder / "photos", arguments.seed)
    answers = places(model, arguments.seed) | pictures(model, photos)
    np.savez(folder / "answers.npz", **answers)  # type: ignore[arg-type]  # the stub takes **kwds for a flag
    names = ("geoclip", "torch", "torchvision", "transformers", "pillow", "numpy")
    about = {
        "seed": arguments.seed,
        "photos": [photo.name for photo in photos],
        "versions": versions(names),
    }
    (folder / "about.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def released_package() -> Any:
    """Return the released package, which shares its import name with the project's.

    Raises:
        RuntimeError: another package answers to that name.
    """
    try:
        version = importlib.metadata.version("geoclip")
    except importlib.metadata.PackageNotFoundError:
        version = "none"
    if version != RELEASED:
        raise RuntimeError(
            f"This environment has geoclip {version}; geoclip=={RELEASED} of the package index is needed."
        )
    package: Any = importlib.import_module("geoclip")
    if not hasattr(package, "train"):
        raise RuntimeError(f"{package.__file__} is not the released package; unset PYTHONPATH.")
    return package


def write_tower(model: Any, folder: Path, seed: int) -> None:
    """Randomise the model's image tower, and save it as transformers saves one."""
    from transformers import CLIPVisionModelWithProjection
    from transformers.utils import logging

    logging.disable_progress_bar()
    clip = model.image_encoder.CLIP
    randomise(clip.vision_model, clip.visual_projection, seed)
    tower = CLIPVisionModelWithProjection(clip.config.vision_config)
    tower.vision_model.load_state_dict(clip.vision_model.state_dict())
    tower.visual_projection.load_state_dict(clip.visual_projection.state_dict())
    tower.save_pretrained(folder)


def write_photos(example: Path, folder: Path, seed: int) -> list[Path]:
    """Write nineteen drawn pictures and the package's example photo."""
    folder.mkdir()
    shutil.copy(example, folder / example.name)
    return [folder / example.name, *draw_samples(folder, seed)]


def places(model: Any, seed: int) -> dict[str, NDArray[Any]]:
    """Embed the gallery, both poles, both sides of the antimeridian, and points anywhere on the sphere."""
    random = np.random.default_rng(seed)
    longitudes = (-180.0, -90.0, 0.0, 45.0, SHEER_BELOW_180)
    poles = [(lat, lng) for lat in (90.0, -90.0, 89.9999, -89.9999) for lng in longitudes]
    sides = [(lat, lng) for lat in range(-85, 86, 5) for lng in (-180.0, -179.9999, 179.9999, SHEER_BELOW_180)]
    anywhere = np.stack((np.degrees(np.arcsin(random.uniform(-1, 1, 2000))), random.uniform(-180, 180, 2000)), axis=1)
    found: dict[str, NDArray[Any]] = {}
    for name, points in (
        ("gallery", model.gps_gallery.numpy()),
        ("poles", np.array(poles, dtype=np.float32)),
        ("antimeridian", np.array(sides, dtype=np.float32)),
        ("anywhere", anywhere.astype(np.float32)),
    ):
        found[f"{name}_lat_lng"] = points
        found[f"{name}_vectors"] = model.location_encoder(torch.from_numpy(points)).numpy()
    return found


def pictures(model: Any, photos: list[Path]) -> dict[str, NDArray[Any]]:
    """Return pixels under both of transformers' processors, features, and the top 5 of the gallery."""
    from transformers import CLIPImageProcessor, CLIPImageProcessorPil

    images = [Image.open(photo).convert("RGB") for photo in photos]  # as the released `predict` opens them
    pil, default = CLIPImageProcessorPil(), CLIPImageProcessor()
    pixels = torch.cat([pil(images=image, return_tensors="pt")["pixel_values"] for image in images])
    default_pixels = torch.cat([default(images=image, return_tensors="pt")["pixel_values"] for image in images])
    features, default_features = model.image_encoder(pixels), model.image_encoder(default_pixels)
    model.image_encoder = torch.nn.Identity()  # the features are known; the rest of `forward` is as released
    top = model(features, model.gps_gallery).softmax(dim=-1).topk(5, dim=1)
    return {
        "pixels": pixels.numpy(),
        "default_pixels": default_pixels.numpy(),
        "features": features.numpy(),
        "default_features": default_features.numpy(),
        "top_lat_lng": model.gps_gallery[top.indices].numpy(),
        "top_probabilities": top.values.numpy(),
    }


if __name__ == "__main__":
    main()
