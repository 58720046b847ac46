"""Where a command's answers go, and what they depend on."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from geoclip.cli.part_options import PartOptions
from geoclip.errors import InputError
from geoclip.files import sha256_of
from geoclip.option_groups import Help, Panel
from geoclip.options import IndexOptions, ModelOptions, PhotoOptions, SearchOptions, WordOptions
from geoclip.writers import Format, Output

if TYPE_CHECKING:
    from geoclip.locator import Locator
    from geoclip.release.directory import Release


@dataclass(frozen=True)
class OutputOptions(PartOptions):
    """How answers are written."""

    output: Annotated[
        Path | None,
        Help(
            "Write here in place of stdout: .jsonl, .csv, .exiftool.csv (for `exiftool -csv=`), .parquet, .geojson or "
            ".kml; the last three are written whole.",
            names=("--output", "-o"),
            metavar="FILE",
        ),
    ] = None
    format: Annotated[
        Format | None,
        Help("How to write answers. Default: by the suffix of --output, else table.", names=("--format", "-f")),
    ] = None
    map_file: Annotated[
        Path | None, Help("Also draw a map: .html, which needs no network, or .png.", names=("--map",), metavar="FILE")
    ] = None
    xmp: Annotated[
        Path | None,
        Help(
            "Also write an XMP sidecar IMG.jpg.xmp for each photo without a position, marked as an estimate: "
            "beside the photos, or in a folder.",
            Panel.OUTPUT,
            metavar="beside|DIR",
        ),
    ] = None
    resume: Annotated[bool, Help("Go on with a stopped run of the same inputs and options.", Panel.OUTPUT)] = False
    overwrite: Annotated[bool, Help("Replace --output if it exists.", Panel.OUTPUT)] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        beside = [self.output, self.format, self.map_file, self.xmp, self.resume or None, self.overwrite or None]
        if self.parts is not None and beside != [None] * len(beside):
            raise InputError(
                "--parts writes files of its own; leave out --output, --format, --map, --xmp, --resume and --overwrite."
            )

    def checked(self) -> Output:
        """Return the place they stand for, before anything is written there.

        Raises:
            InputError: an existing file would be lost, or there is nothing to resume from.
        """
        return Output(self.output, self.format, resume=self.resume, overwrite=self.overwrite)


def options_of(
    locator: "Locator",
    index: IndexOptions,
    search: SearchOptions,
    photo: PhotoOptions,
    model: ModelOptions,
    words: WordOptions | None = None,
) -> dict[str, object]:
    """Return what answers depend on beside the inputs, by name: a stopped run goes on with the same only."""
    from geoclip.answers.source import GALLERY_INDEX
    from geoclip.encoders.precision import precision_name

    given = asdict(index) | asdict(search) | asdict(photo) | (asdict(words) if words else {})
    given |= described_model(locator.embedder.release, model)
    given["index"] = locator.answerer.searcher.index_digest or GALLERY_INDEX
    given["precision"] = precision_name(locator.embedder.precision, locator.embedder.device)
    given["region"], given["not_region"] = (
        [_content(each) for each in regions] for regions in (search.region, search.not_region)
    )
    given["calibration"] = None if index.calibration is None else _content(index.calibration)
    del given["engine"]  # it changes the speed of a run and not its results
    return given


def described_model(release: "Release", model: ModelOptions) -> dict[str, object]:
    """Return what the model options stand for: the model's content and not where it lies, which may be secret."""
    from geoclip.encoders.backbone import named_checkpoint
    from geoclip.encoders.clip_checkpoint import checkpoint_key
    from geoclip.release.directory import CONFIG

    clip = model.clip_path or named_checkpoint()
    return asdict(model) | {
        "weights": sha256_of(release.path / CONFIG),
        "model": release.model_digest,
        "clip_path": None if clip is None else checkpoint_key(clip),
    }


def _content(words: str | Path) -> str:
    """Return the sha256 of a file; what names none as it is."""
    return sha256_of(Path(words)) if Path(words).is_file() else str(words)
