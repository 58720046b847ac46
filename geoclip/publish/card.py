"""The card of an index (`README.md`): what it holds, of what, under which licences, how good it is, its limits."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ConfigDict, ValidationError
from pydantic.dataclasses import dataclass

from geoclip.errors import InputError
from geoclip.files import written_whole
from geoclip.release.fetch import RELEASED_MODEL
from index.schema import first_problem
from index.storage.directory import read_manifest
from index.storage.manifest import CARD, Manifest

_MOST_BYTES = 1 << 24  # of a file of results
_RELEASED_GALLERY = "released with GeoCLIP"  # how the sources of such galleries begin


class _Source(NamedTuple):
    what: str
    where: str
    licence: str


_LAND = (
    _Source(
        "land, a 1 km raster (GLOBE)", "https://pypi.org/project/global-land-mask", "MIT; from elevation data of NOAA"
    ),
    _Source("inhabited places (GeoNames)", "https://www.geonames.org", "CC BY 4.0"),
)
_MODEL = _Source("location encoder of GeoCLIP", "https://github.com/VicenteVivan/geo-clip", "MIT")
_GALLERY = _Source("gallery of 100,000 places of GeoCLIP", "https://github.com/VicenteVivan/geo-clip", "MIT")


@dataclass(frozen=True, config=ConfigDict(extra="ignore"))
class _Parameters:
    table: str = ""
    effort: str = ""
    kind: str = ""
    queries: int = 0
    resolution: int = 0
    index_cells: int = 0
    coarse_resolution: int = 0
    simulated: bool = False


@dataclass(frozen=True, config=ConfigDict(extra="ignore"))
class _Values:
    found_1: float | None = None
    found_10: float | None = None
    encodings: float | None = None


@dataclass(frozen=True, config=ConfigDict(extra="ignore"))
class _Measured:
    """A line of what `python -m benchmarks.recall` writes."""

    benchmark: str
    parameters: _Parameters
    values: _Values
    date: str = ""


def write_card(folder: Path, output: Path | None = None, **about: Any) -> Path:
    """Write the card of an index; into its folder unless said otherwise. Arguments and errors as of `index_card`."""
    text = index_card(folder, **about)
    with written_whole(output or folder / CARD) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return output or folder / CARD


def index_card(folder: Path, *, results: Path | None = None, licence: str | None = None) -> str:
    """Return the card of an index, Markdown with the hub's YAML before it.

    Args:
        folder: of the index.
        results: JSON Lines of `python -m benchmarks.recall` for this index; its numbers stand in the card.
        licence: of the whole, as the hub calls it; `cc-by-4.0`, which GeoNames asks for, unless said otherwise where
            model and gallery are the released ones, else `other`.

    Raises:
        InputError: there is no index, or the results are not of this index.
    """
    try:
        manifest = read_manifest(folder)
    except ValueError as error:
        raise InputError(str(error)) from error
    name = folder.resolve().name
    measured = [] if results is None else _measured(results, manifest)
    sections = [
        _head(manifest, licence),
        f"# {_plain(name)}",
        "An index of places for geoclip-planet: vectors of photos in, places on Earth out.",
        "\n".join(_use(name)),
        "\n".join(_contents(manifest)),
        "\n".join(_licences(manifest)),
        "\n".join(_quality(manifest, measured)),
        "\n".join(_limits(manifest)),
    ]
    return "\n\n".join(sections) + "\n"


def _head(manifest: Manifest, licence: str | None) -> str:
    """Return the hub's metadata; JSON strings are YAML's, too."""
    ours = manifest.model == RELEASED_MODEL and _is_released(manifest)
    lines = [f"license: {json.dumps(licence or ('cc-by-4.0' if ours else 'other'))}", "library_name: geoclip-planet"]
    tags = ["geolocation", "geoclip", "h3", "vector-search"]
    return "\n".join(["---", *lines, "tags:", *(f"- {tag}" for tag in tags), "---"])


def _use(name: str) -> Iterator[str]:
    yield "```bash"
    yield "pip install 'geoclip-planet[remote]'"
    yield f"geoclip fetch-index hf://OWNER/{_plain(name)} {_plain(name)}"
    yield f"geoclip locate photo.jpg --index {_plain(name)}"
    yield "```"


def _contents(manifest: Manifest) -> Iterator[str]:
    size = sum(manifest.files.values())
    region = manifest.region["name"] if manifest.region else "all land"
    gallery = manifest.gallery
    yield "## What it holds"
    yield ""
    yield "| | |"
    yield "|---|---|"
    yield f"| cells | {manifest.cells:,} of [H3](https://h3geo.org) resolution {manifest.coarse_res} |"
    yield f"| region | {_plain(region)} |"
    yield f"| vectors | {manifest.dim} dimensions, means of the cells' children ({manifest.encodings:,} encodings) |"
    yield f"| gallery | {_plain(gallery['source'])}: {gallery['places']:,} places, {gallery['photos']:,} photos |"
    yield f"| model | `{_plain(manifest.model)}` (sha256 of its weights) |"
    arithmetic = _plain(", ".join(manifest.encoder.values()))
    yield f"| arithmetic | {arithmetic}; least cosine to exact vectors {manifest.least_cosine:.6f} |"
    yield f"| grid | `{manifest.grid}` |"
    yield f"| size | {size / 1e6:,.1f} MB in {len(manifest.files)} files, each with its sha256 in `SHA256SUMS` |"
    yield f"| made with | {_plain(', '.join(f'{name} {version}' for name, version in manifest.versions.items()))} |"


def _licences(manifest: Manifest) -> Iterator[str]:
    gallery = manifest.gallery
    yield "## Sources and licences"
    yield ""
    yield "| of what | from where | licence |"
    yield "|---|---|---|"
    released = manifest.model == RELEASED_MODEL
    model = _MODEL if released else _Source("location encoder, of another model", "not known here", "**say it here**")
    places = _GALLERY if _is_released(manifest) else None
    if places is None and gallery["places"]:
        places = _Source(f"gallery: {gallery['source']}", "not known here", "**say it here**")
    for source in (model, *((places,) if places else ()), *_LAND):
        yield f"| {_plain(source.what)} | {source.where} | {source.licence} |"


def _quality(manifest: Manifest, measured: list[_Measured]) -> Iterator[str]:
    yield "## Measured"
    yield ""
    if not measured:
        yield "Nothing was measured for this card; `python -m benchmarks.recall` of geoclip-planet's source does."
        return
    about = measured[0].parameters
    kind = "simulated " if any(each.parameters.simulated for each in measured) else ""
    yield f"{about.queries:,} {kind}queries of each kind against exhaustive answers at resolution {about.resolution}:"
    yield "the share of the first 1 / 10 hits that score as high as theirs, and the encodings a query."
    yield ""
    yield "| effort | queries | first 1 | first 10 | encodings |"
    yield "|---|---|--:|--:|--:|"
    for each in measured:
        values = [each.values.found_1, each.values.found_10, each.values.encodings]
        shown = [
            "" if value is None else f"{value:.{digits}f}" for value, digits in zip(values, (3, 3, 0), strict=True)
        ]
        yield f"| {_plain(each.parameters.effort)} | {_plain(each.parameters.kind)} | {' | '.join(shown)} |"


def _limits(manifest: Manifest) -> Iterator[str]:
    yield "## Limits"
    yield ""
    yield "- It finds the places whose vectors are nearest to a photo's. Whether the photo was taken there is up to the"
    yield "  model: most photos are placed in a wrong town, many in a wrong country."
    yield "- It answers vectors of the model named above and refuses those of others."
    if not manifest.gallery["places"]:
        yield "- It has no gallery: before a photo is seen, places are as likely as their land is large."
    else:
        yield "- What is likely before a photo is seen follows its gallery, which knows some countries best."
    if manifest.region:
        yield "- It knows nothing outside of its region, and answers with a place inside whatever a photo shows."
    yield "- The sea and uninhabited islands below 1 km are not in it."
    yield "- Digests find damage, not intent: take an index from people whom you trust."


def _is_released(manifest: Manifest) -> bool:
    return manifest.gallery["source"].startswith(_RELEASED_GALLERY)


def _measured(results: Path, manifest: Manifest) -> list[_Measured]:
    try:
        if not results.is_file() or results.stat().st_size > _MOST_BYTES:
            raise InputError(f"{results} is not a file of results; give one of `python -m benchmarks.recall`.")
        lines = results.read_text(encoding="utf-8").splitlines()
        found = [_Measured(**json.loads(line)) for line in lines if line.strip()]
    except ValidationError as error:
        raise InputError(f"{results} is not a file of results: {first_problem(error)}.") from error
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{results} cannot be read as results ({error}).") from error
    found = [each for each in found if each.benchmark == "recall" and each.parameters.table == "effort"]
    if not found:
        raise InputError(f"{results} has no lines of recall by effort; give a file of `python -m benchmarks.recall`.")
    for each in found:
        own = (each.parameters.index_cells, each.parameters.coarse_resolution)
        if own != (manifest.cells, manifest.coarse_res):
            raise InputError(
                f"{results} was measured with {own[0]:,} cells of resolution {own[1]}; this index has "
                f"{manifest.cells:,} of resolution {manifest.coarse_res}."
            )
    return found


def _plain(words: str) -> str:
    """Return words that Markdown takes for words, on one line, in a table too."""
    printed = "".join(c if c.isprintable() else " " for c in words)
    return "".join(f"\\{c}" if c in "\\`*_[]<>|#" else c for c in printed)
