"""What an index says about itself: the manifest and the list of digests, and what both may say."""

import re
from pathlib import PurePosixPath
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass
from typing_extensions import TypedDict

from index.schema import first_problem

FORMAT = 3
KIND = "geoclip-planet index"
MANIFEST, SUMS = "manifest.json", "SHA256SUMS"
CARD = "README.md"
"""May stand beside the files of an index, for people; it is not sealed."""

_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
_SUM = re.compile(r"([0-9a-f]{64})  ([^/\0\n]+)")

Count = Annotated[int, Field(ge=0, le=1 << 62)]
Positive = Annotated[float, Field(gt=0, lt=1e9)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Resolution = Annotated[int, Field(ge=0, le=15)]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


class BadIndexError(ValueError):
    """A directory is not an index, or a damaged one, or one of another format or model."""


class RegionAbout(TypedDict):
    """The region that a grid is restricted to."""

    name: str
    digest: Digest


class GalleryAbout(TypedDict):
    """Where a gallery came from, and how large it is."""

    source: str
    digest: Digest
    places: Count
    photos: Count


class PriorParameters(TypedDict):
    """What `Prior.restore` needs beside arrays and gallery."""

    format: int
    resolution: Resolution
    kappas: Annotated[list[Positive], Field(min_length=16, max_length=16)]
    distinct: bool
    places: Count
    photos: Count


class PriorAbout(PriorParameters):
    """The prior of an index, with the digest of its masses."""

    digest: Digest


@dataclass(frozen=True, config=_STRICT)
class Manifest:
    """What an index is made of; saved beside it."""

    model: str
    """Digest of the model whose location encoder made the vectors."""
    tau: Annotated[float, Field(gt=0, le=10_000)]
    """Inverse temperature of the model's scores."""
    dim: Annotated[int, Field(ge=32, le=65_536, multiple_of=32)]
    encoder: dict[str, str]
    """Arithmetic and device that the vectors were made with."""
    least_cosine: Annotated[float, Field(ge=-1, le=1)]
    """Between vectors that it was built with and exact ones, on a sample of its places."""
    smooth_res: Annotated[int, Field(ge=1, le=11)]
    """From this resolution on, vectors of siblings tell those of their children as well as rounding to bf16 leaves
    them."""
    coarse_res: Annotated[int, Field(ge=3, le=8)]
    start_res: Resolution
    cells: Annotated[int, Field(ge=1, le=1 << 31)]
    """Coarse cells."""
    encodings: Count
    rests: bool
    """Whether what the slopes leave of children's vectors is stored."""
    nodes: Annotated[int, Field(ge=0, le=1 << 31)]
    """At which the encoder's smooth part is stored."""
    grid: Digest
    """Of the coarse cells."""
    region: RegionAbout | None
    gallery: GalleryAbout
    prior: PriorAbout
    parameters: dict[str, int]
    """How the build was cut into blocks."""
    versions: dict[str, str]
    """Of the software that made it."""
    files: dict[FileName, Count] = Field(default_factory=dict)
    """Bytes of every other file."""

    @model_validator(mode="after")
    def _levels_and_files(self) -> Self:
        if self.start_res >= self.coarse_res:
            raise ValueError(f"its start level {self.start_res} is not coarser than {self.coarse_res}")
        if {MANIFEST, SUMS} & set(self.files):
            raise ValueError("it lists itself among its files")
        return self

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Read a manifest.

        Raises:
            ValueError: it is of another kind or format, or says what cannot be; half a sentence.
        """
        try:
            content = TypeAdapter(dict[str, Any]).validate_json(text)
            kind, version = content.pop("kind", None), content.pop("format", None)
            if kind != KIND:
                raise ValueError(f"describes {kind!r}, not a {KIND}; give the folder of an index")
            if version != FORMAT:
                raise ValueError(f"has format {version!r}, this version reads {FORMAT}; build it again or update")
            return cls(**content)
        except ValidationError as error:
            raise ValueError(f"is not a manifest: {first_problem(error)}; build the index again") from error


def parse_sums(text: bytes) -> dict[str, str]:
    """Return the digest of each file that a list of digests names.

    Raises:
        ValueError: a line is not a digest and a plain name of a file in the same folder.
    """
    lines = text.decode("utf-8").removesuffix("\n").split("\n")  # splitlines would take other characters for ends, too
    found = [_SUM.fullmatch(line) for line in lines]
    sums = {match[2]: match[1] for match in found if match and PurePosixPath(match[2]).name == match[2] != ".."}
    if len(sums) != len(lines):
        raise ValueError("it is not a list of digests and names")
    return sums
