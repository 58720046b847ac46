"""Rows of a large job in files of some thousand, which any number of processes make side by side.

The folder holds `_plan.json` (what is done and how, compared by every process), `part-00000.parquet` and so on,
each written whole, and at the end `_manifest.json`: files with sha256 and counts. A file that is there is done.
What a file holds does not depend on who made it, or in which order. A row is an answer, or what another kind of part
has; an input that failed is a row with a reason in its column `error`.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO, Generic, NamedTuple, Protocol, TypeVar

import pyarrow.parquet as pq

from geoclip.answers.answer import Answer
from geoclip.errors import InputError
from geoclip.files import sha256_of, written_whole
from geoclip.writers.formats import Format
from index.parts import Part, ranges

PLAN, MANIFEST = "_plan.json", "_manifest.json"  # readers of folders of Parquet pass over such names
Row = TypeVar("Row")
Taken_contra = TypeVar("Taken_contra", contravariant=True)


class RowWriter(Protocol[Taken_contra]):
    """Writes rows one by one."""

    def write(self, row: Taken_contra, /) -> object:
        """Write one row."""


@dataclass(frozen=True)
class PartKind(Generic[Row]):
    """What the rows of a job are. Files have a column `error`, null where a row is sound."""

    name: str
    """In the plan and in the manifest: `answers`, `vectors`."""
    writer: Callable[[BinaryIO], AbstractContextManager[RowWriter[Row]]]
    """Opens a writer of Parquet to a file, which stays open."""


@contextmanager
def _answer_writer(file: BinaryIO) -> Iterator[RowWriter[Answer]]:
    stream = TextIOWrapper(file, encoding="utf-8")
    with Format.PARQUET.writer(stream) as writer:
        yield writer
    stream.detach()


ANSWERS = PartKind("answers", _answer_writer)


class Finished(NamedTuple):
    """What all parts made."""

    files: int
    rows: int
    failed: int
    """Rows with an error in place of an answer."""


class PartFiles:
    """The files of a job, made or not.

    Args:
        folder: of the job.
        kind: what the rows are, as its plan names it.
        count: of the inputs.
        rows: of a file.
    """

    def __init__(self, folder: Path, kind: str, count: int, rows: int) -> None:
        self.folder, self._kind, self._count, self._rows = folder, kind, count, rows

    @classmethod
    def begun(cls, folder: Path, kind: str) -> "PartFiles":
        """Return the files of the job that a folder's plan names; neither inputs nor options are looked at.

        Raises:
            InputError: there is no job of this kind.
        """
        path = folder / PLAN
        try:
            plan = json.loads(path.read_text(encoding="utf-8"))
            count, rows = int(plan["inputs"].partition(",")[0]), int(plan["part_rows"])
            if count < 0 or rows < 1:
                raise ValueError
        except FileNotFoundError as error:
            raise InputError(f"{folder} holds no {PLAN}, so no job was begun there; run its parts first.") from error
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise InputError(f"{path} is damaged; begin again with another --parts.") from error
        if plan.get("kind") != kind:
            raise InputError(f"{folder} holds a job of {plan.get('kind')}, not of {kind}; finish it as it was begun.")
        return cls(folder, kind, count, rows)

    def __len__(self) -> int:
        """Return the number of files."""
        return (self._count + self._rows - 1) // self._rows

    def missing(self, part: Part | None = None) -> list[int]:
        """Return the numbers of the files that are not there, of a part or of all."""
        numbers = range(len(self)) if part is None else part.numbers(len(self))
        return [number for number in numbers if not self.path(number).exists()]

    def path(self, number: int) -> Path:
        """Return where a file is."""
        return self.folder / f"part-{number:05d}.parquet"

    def rows(self, number: int) -> slice:
        """Return which of the inputs a file has."""
        return slice(number * self._rows, min((number + 1) * self._rows, self._count))

    def finish(self) -> Finished:
        """Check that all files are there and whole, and nothing beside them, and write the manifest.

        Raises:
            InputError: some are missing or damaged, or the folder holds something else; the sentence says which.
        """
        if lacking := self.missing():
            raise InputError(
                f"{len(lacking)} of {len(self)} files are missing in {self.folder}: {ranges(lacking)}; run their parts "
                "again."
            )
        own = {self.path(number).name for number in range(len(self))}
        if other := min((path.name for path in _content(self.folder) if path.name not in own), default=None):
            raise InputError(
                f"{self.folder} holds {other}, which is not of this job and would be read with it; move it away."
            )
        files, failed = [], 0
        for number in range(len(self)):
            path, (rows, errors) = self.path(number), self._checked(number)
            failed += errors
            files.append({"name": path.name, "rows": rows, "failed": errors, "sha256": sha256_of(path)})
        record = {"kind": f"geoclip-planet {self._kind}", "rows": self._count, "failed": failed, "files": files}
        with written_whole(self.folder / MANIFEST) as temporary:
            temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        return Finished(len(files), self._count, failed)

    def _checked(self, number: int) -> tuple[int, int]:
        """Return the rows of a file, and how many of them have an error."""
        wanted = self.rows(number)
        try:
            errors = pq.read_table(self.path(number), columns=["error"])["error"]
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{self.path(number)} is damaged; remove it and run its part again.") from error
        if len(errors) != wanted.stop - wanted.start:
            raise InputError(
                f"{self.path(number)} has {len(errors)} rows and should have {wanted.stop - wanted.start}; remove it "
                "and run its part again."
            )
        return len(errors), len(errors) - errors.null_count


class PartFolder(PartFiles, Generic[Row]):
    """The folder of a job. It can be pickled, for processes that write its files.

    Args:
        folder: is made.
        kind: what the rows are.
        names: (N,) of the inputs, in order.
        options: all that rows depend on beside them.
        rows: of a file.

    Raises:
        InputError: the folder is of another job, or holds something else.
    """

    def __init__(
        self, folder: Path, kind: PartKind[Row], names: Sequence[str], options: Mapping[str, Any], rows: int
    ) -> None:
        super().__init__(folder, kind.name, len(names), rows)
        self.kind = kind
        digest = hashlib.sha256()
        for name in names:
            digest.update(name.encode("utf-8", "surrogateescape") + b"\0")
        wanted = {"kind": kind.name, "inputs": f"{len(names)}, {digest.hexdigest()}", "part_rows": rows}
        self._claim(wanted | {name: str(value) for name, value in sorted(options.items())})

    def write(self, number: int, rows: Iterable[Row]) -> Iterator[Row]:
        """Write a file whole; yield the rows as they come, those with an error too.

        Raises:
            InputError: there are more rows or fewer than inputs, or the disk is full; then nothing is written.
        """
        wanted, count = self.rows(number), 0
        with (
            written_whole(self.path(number)) as temporary,
            temporary.open("wb") as file,
            self.kind.writer(file) as writer,
        ):
            for row in rows:
                writer.write(row)
                count += 1
                yield row
            if count != wanted.stop - wanted.start:
                raise InputError(
                    f"{count} {self.kind.name} came for {wanted.stop - wanted.start} inputs; the inputs changed "
                    "meanwhile, so begin again with another --parts."
                )

    def _claim(self, wanted: dict[str, Any]) -> None:
        path = self.folder / PLAN
        check_folder(self.folder)
        if not path.exists():
            with written_whole(path) as temporary:
                temporary.write_text(json.dumps(wanted, indent=1) + "\n", encoding="utf-8")
        try:
            begun = json.loads(path.read_text(encoding="utf-8"))
            differing = [name for name in {**wanted, **begun} if begun.get(name) != wanted.get(name)]
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"{path} is damaged; begin again with another --parts.") from error
        if differing:
            words = ", ".join(name.replace("_", " ") for name in differing)
            raise InputError(
                f"{self.folder} holds a job that differs in {words}; give the inputs and options that it was begun "
                "with, or another --parts."
            )


def check_folder(folder: Path) -> None:
    """Refuse a folder that is not of a job, nor can be.

    Raises:
        InputError: it is a file, or holds something and no plan.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; give a folder with --parts.")
    if not (folder / PLAN).exists() and (other := next(_content(folder), None)):
        raise InputError(f"{folder} holds {other.name} and no {PLAN}; give an empty folder with --parts.")


def _content(folder: Path) -> Iterator[Path]:
    """Yield what a reader of a folder would read."""
    return folder.glob("[!._]*")


def files_of(path: str) -> list[str]:
    """Return the files of the finished job in a folder, in order; of everything else the path as it is.

    Raises:
        InputError: the job is not finished.
    """
    folder = Path(path)
    if not (folder / PLAN).is_file():
        return [path]
    if not (folder / MANIFEST).is_file():
        raise InputError(f"{folder} holds a job that is not finished; run it once more with --finish first.")
    return sorted(str(each) for each in folder.glob("part-*.parquet"))
