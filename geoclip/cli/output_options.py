"""Where a command's answers go, what they depend on, and how many there were."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from geoclip.cli.terminal import say
from geoclip.errors import InputError
from geoclip.files import sha256_of
from geoclip.option_groups import Help, Options, Panel
from geoclip.options import IndexOptions, ModelOptions, PhotoOptions, SearchOptions, WordOptions
from geoclip.writers import Format, Output
from index.parts import Part

if TYPE_CHECKING:
    from geoclip.answers.answer import Answer
    from geoclip.locator import Locator


@dataclass(frozen=True)
class OutputOptions(Options):
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

    parts: Annotated[
        Path | None,
        Help(
            "Answer into files of --part-rows rows in this folder, which several processes can share.",
            Panel.OUTPUT,
            metavar="DIR",
        ),
    ] = None
    part: Annotated[
        str | None,
        Help(
            "With --parts: do the I-th of N parts; repeat what was stopped. Default: all.", Panel.OUTPUT, metavar="I/N"
        ),
    ] = None
    part_rows: Annotated[int, Help("Rows of a file of --parts.", Panel.OUTPUT, least=1, most=1_000_000)] = 4096
    finish: Annotated[
        bool, Help("With --parts: check that all files are there, and write their manifest.", Panel.OUTPUT)
    ] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        beside = [self.output, self.format, self.map_file, self.xmp, self.resume or None, self.overwrite or None]
        if self.parts is not None and beside != [None] * len(beside):
            raise InputError(
                "--parts writes files of its own; leave out --output, --format, --map, --xmp and --resume."
            )
        if self.parts is None and (self.part is not None or self.finish):
            raise InputError("--part and --finish need --parts DIR, the folder of all parts.")
        if self.part is not None and self.finish:
            raise InputError("--part and --finish cannot be given together; finish when all parts are done.")

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
    given = asdict(index) | asdict(search) | asdict(photo) | asdict(model) | (asdict(words) if words else {})
    from geoclip.encoders.precision import precision_name

    given |= {"model": locator.answerer.source.model, "index digest": locator.answerer.searcher.index_digest}
    given["precision"] = precision_name(locator.embedder.precision, locator.embedder.device)
    given["region files"] = [
        sha256_of(Path(each))[:12] for each in (*search.region, *search.not_region) if Path(each).is_file()
    ]
    del given["engine"]  # it changes the speed of a run and not its results
    if index.calibration is not None:
        given["calibration"] = f"{index.calibration} ({sha256_of(index.calibration)[:12]})"
    return given


def in_parts(
    output: OutputOptions,
    names: Sequence[str],
    options: Mapping[str, object],
    answers: Callable[[slice], Iterator["Answer"]],
) -> int:
    """Answer the part of a job that is asked for, or finish it; return the exit code.

    Args:
        output: with a folder of parts.
        names: (N,) of what is answered, in order.
        options: all that answers depend on beside it.
        answers: yields an answer for each of some of them, in order.
    """
    from geoclip.cli.terminal import progress
    from geoclip.writers.parts import PartFolder

    assert output.parts is not None
    try:
        part = None if output.part is None else Part.parse(output.part)
    except ValueError as error:
        raise InputError(str(error)) from error
    folder = PartFolder(output.parts, names, options, output.part_rows)
    if output.finish:
        made = folder.finish()
        say(f"{output.parts} is whole: {made.files:,} files, {made.rows:,} rows, {made.failed:,} of them failed.")
        return 1 if made.failed else 0
    left, counts = folder.missing(part), RunCounts()
    known = sum(rows.stop - rows.start for rows in map(folder.rows, left))
    with progress("Answering", known) as update:
        for number in left:
            for answer in folder.write(number, answers(folder.rows(number))):
                counts.count(answer)
                update(counts.answered + counts.failed, known)
    say(f"{len(left)} of {len(folder)} files made here; when all are there, --finish writes the manifest.")
    return counts.exit_code("answered")


@dataclass
class RunCounts:
    """Counts a run and names what failed; `exit_code` is 1 if anything did."""

    answered: int = 0
    failed: int = 0

    def count(self, answer: "Answer") -> bool:
        """Count an answer; say why if there is none. Returns whether there is one."""
        if answer.error is None:
            self.answered += 1
            return True
        self.failed += 1
        say(f"{answer.query}: {answer.error}")
        return False

    def exit_code(self, what: str) -> int:
        """Say how many there were, if it was not just one, and return the exit code."""
        if self.failed or self.answered > 1:
            say(f"{self.answered} {what}, {self.failed} failed.")
        return 1 if self.failed else 0
