"""Where a command's answers go: stdout, a device, a file written whole, or one that a stopped run goes on with."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from hashlib import sha256
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO, TypeVar

import index.files
from geoclip.answers.answer import Answer
from geoclip.errors import InputError
from geoclip.files import STDOUT, check_output, is_stream, saying
from geoclip.writers.formats import Format, Writer

if TYPE_CHECKING:
    from geoclip.journal import Journal

T = TypeVar("T")

SAVE_SECONDS = 2.0
"""A file that a stopped run can go on with is synced so often; what a killed run did since is done again."""

_END_BYTES = 4096


class Output:
    """Writes answers in one format to one place. Nothing is touched before the first answer, or the end.

    Args:
        path: a file; a device or FIFO, which is written into; None or `-` is stdout.
        kind: the format; None goes by the suffix, and to stdout writes tables.
        resume: go on with the file of a stopped run; `describe` it before the first answer.
        overwrite: replace an existing file.

    `resumes` says whether there is such a file.

    Raises:
        InputError: no format fits, an existing file would be lost, or there is nothing to resume.
    """

    def __init__(
        self, path: Path | None, kind: Format | None = None, *, resume: bool = False, overwrite: bool = False
    ) -> None:
        self._path = path or STDOUT
        kind = kind or (Format.TABLE if self._path == STDOUT else _format_of(self._path))
        if kind is None or (kind is Format.TABLE and self._path != STDOUT):
            known = ", ".join(suffix for each in Format for suffix in each.suffixes)
            raise InputError(f"{path} has no format that a program reads; name it {known}, or add --format.")
        self._format, self.resumes = kind, resume and self._path.exists()
        advice = "continue it with --resume, or replace it with --overwrite" if kind.resumable else ""
        check_output(self._path, overwrite=overwrite or self.resumes, advice=advice)
        self._streams = is_stream(self._path)
        if resume and self._streams:
            raise InputError("--resume needs --output, the file of the stopped run.")
        if resume and not kind.resumable:
            suffixes = " or ".join(each.suffixes[0] for each in Format if each.resumable)
            raise InputError(f"{path} is written whole or not at all; --resume needs {suffixes}.")
        self._journal: Journal | None = None
        self._writer: Writer | None = None
        self._stream: TextIO
        self._stack = ExitStack()
        self._saved_at = time.monotonic()

    @property
    def to_stdout(self) -> bool:
        """Whether answers go to stdout."""
        return self._path == STDOUT

    def describe(self, options: Mapping[str, Any]) -> None:
        """Say what the answers depend on beside their inputs, where a stopped run can go on with the file.

        Raises:
            InputError: `resume` was asked for and the file was made with other options.
        """
        if self._format.resumable and not self._streams:
            from geoclip.journal import Journal

            self._journal = Journal(self._path, options, resume=self.resumes)
            if self.resumes and self._end(self._journal.kept.size) != self._journal.kept.end:
                raise InputError(
                    f"{self._path} is not as its run left it; replace it with --overwrite, or choose another name."
                )

    def remaining(self, inputs: Iterable[T], key: Callable[[T], tuple[bytes, bytes]], batch: int = 1) -> Iterator[T]:
        """Yield the inputs that are not answered yet; see `Journal.remaining`."""
        return iter(inputs) if self._journal is None else self._journal.remaining(inputs, key, batch)

    @property
    def done(self) -> int:
        """How many inputs were done before this run went on with the file."""
        return 0 if self._journal is None else self._journal.kept.done

    def write(self, answer: Answer) -> None:
        """Write the answer to the next input; one without predictions is only taken note of.

        Raises:
            InputError: the disk is full or the place cannot be written.
        """
        with saying(self._path):
            writer = self._writer or self._opened()
            if answer.error is None:
                writer.write(answer)
                self._stream.flush()
            if (
                self._journal is not None
                and self._journal.finished(failed=answer.error is not None)
                and time.monotonic() - self._saved_at > SAVE_SECONDS
            ):
                self._save(self._journal)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            with suppress(OSError):  # of closing what could not be written; `error` says it
                self._stack.__exit__(kind, error, trace)
            return
        with saying(self._path), self._stack:
            if self._journal is not None:
                self._journal.complete()
            self._writer = self._writer or self._opened()
            if self._journal is not None:
                self._save(self._journal)

    def _opened(self) -> Writer:
        self._stream = self._open_stream()
        self._writer = self._format.writer(self._stream)
        if self._journal is None or self._journal.kept.size == 0:
            self._writer.begin()
        self._stack.push(self._writer)
        return self._writer

    def _open_stream(self) -> TextIO:
        enter = self._stack.enter_context
        if self._streams:
            file = enter(index.files.open_stream(self._path))
            if self._path == STDOUT and isinstance(sys.stdout, TextIOWrapper):
                sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")  # names of any bytes, unchanged
                return sys.stdout
        else:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._journal is None:
                if self.resumes:
                    raise ValueError("The run was not described; only as the same run can it go on.")
                file = enter(enter(index.files.written_whole(self._path)).open("wb"))
            else:
                self._journal.save(self._journal.kept.size, self._journal.kept.end)  # no longer that of an older run
                file = enter(self._path.open("ab"))
                file.truncate(self._journal.kept.size)
        return enter(TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline=""))

    def _save(self, journal: "Journal") -> None:
        os.fsync(self._stream.fileno())
        size = self._path.stat().st_size
        journal.save(size, self._end(size))
        self._saved_at = time.monotonic()

    def _end(self, size: int) -> str:
        """Return a digest of the last bytes of the first `size` bytes of the file."""
        with self._path.open("rb") as file:
            file.seek(max(size - _END_BYTES, 0))
            return sha256(file.read(min(size, _END_BYTES))).hexdigest()


def _format_of(path: Path) -> Format | None:
    """Return the format by the suffix of a file; the longest counts."""
    known = {suffix: each for each in Format for suffix in each.suffixes}
    fits = [suffix for suffix in known if path.name.lower().endswith(suffix)]
    return known[max(fits, key=len)] if fits else None
