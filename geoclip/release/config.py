"""What a model is: the sizes of its encoders, CLIP's tower behind them, and how photos are prepared for it.

The defaults are the authors' release, whose own `config.json` says no more than `sigma`.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from geoclip.errors import InputError
from geoclip.photos.decode import CLIP_SIZE
from geoclip.schema import Record

Size = Annotated[int, Field(ge=1, le=2**16)]
Layers = Annotated[int, Field(ge=1, le=256)]
Positive = Annotated[float, Field(gt=0)]
Sigmas = Annotated[tuple[Positive, ...], Field(min_length=1, max_length=64)]
Hidden = Annotated[tuple[Size, ...], Field(min_length=1, max_length=64)]
Three = tuple[float, float, float]

RELEASED_REPOSITORY = "openai/clip-vit-large-patch14"


class VisionTower(Record):
    """A vision transformer, in the words of open_clip's `vision_cfg`."""

    image_size: Size
    layers: Layers
    width: Size
    patch_size: Size
    head_width: Size = 64
    mlp_ratio: Annotated[float, Field(gt=0, le=64)] = 4.0


class WordsTower(Record):
    """A transformer over CLIP's tokens, in the words of open_clip's `text_cfg`."""

    width: Size
    heads: Size
    layers: Layers
    context_length: Size = 77
    vocab_size: Annotated[int, Field(ge=49408, le=2**20)] = 49408


class Towers(Record):
    """Both towers of a CLIP model that open_clip has no name for: its model configuration."""

    embed_dim: Size
    vision_cfg: VisionTower
    text_cfg: WordsTower
    quick_gelu: bool = False


class Backbone(Record):
    """The CLIP model whose towers come before the image perceptron."""

    model_config = ConfigDict(extra="ignore")

    open_clip: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")] | Towers = "ViT-L-14-quickgelu"
    """A name as open_clip knows it, or a configuration as open_clip writes it."""
    pretrained: str | None = "openai"
    """open_clip's name of the weights in the model hub; None where they must be given as a file."""
    features: Size = 768
    """Width of what a tower gives."""
    repo_id: str | None = RELEASED_REPOSITORY
    """The same weights in transformers' format: what the authors' package reads."""
    revision: str | None = "main"

    @model_validator(mode="after")
    def _names_the_tower(self) -> Self:
        if "open_clip" not in self.model_fields_set and self.repo_id != RELEASED_REPOSITORY:
            raise ValueError(f"repo_id is {self.repo_id!r}; say with open_clip what open_clip calls that model")
        return self


class Preprocess(Record):
    """From pixels to CLIP's input; the statistics are OpenAI CLIP's (Radford et al. 2021), not ImageNet's."""

    size: Annotated[int, Field(ge=1, le=4096)] = CLIP_SIZE
    """Width and height in pixels; the short side of a photo is resized to it, its middle is taken."""
    mean: Three = (0.48145466, 0.4578275, 0.40821073)
    """Of red, green and blue, of 1."""
    std: tuple[Positive, Positive, Positive] = (0.26862954, 0.26130258, 0.27577711)


class ModelConfig(Record):
    """Everything about a model that its weights do not say."""

    model_config = ConfigDict(extra="ignore")

    sigma: Sigmas = (1.0, 16.0, 256.0)
    """Standard deviations of the Fourier frequencies, one capsule of the location encoder each."""
    dim: Size = 512
    """Dimensions of the space of photos, words and places."""
    frequencies: Size = 256
    """Fourier frequencies of a capsule; it has twice as many features."""
    hidden: Hidden = (1024, 1024, 1024)
    """Hidden layers of a capsule's perceptron."""
    image_hidden: Hidden = (768,)
    """Hidden layers of the image perceptron."""
    backbone: Backbone = Backbone()
    preprocess: Preprocess = Preprocess()

    def with_sigma(self, sigma: Sequence[float]) -> Self:
        """Return the same with other standard deviations.

        Raises:
            InputError: there are none, or one is not above 0.
        """
        scales = tuple(float(scale) for scale in sigma)
        if not scales or not all(0 < scale < math.inf for scale in scales):
            raise InputError(f"sigma is {list(sigma)}; give one or more numbers above 0, such as [1, 16, 256].")
        return self.model_copy(update={"sigma": scales})
