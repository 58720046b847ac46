"""How far a run has come, kept beside its output: a stopped run goes on where it was, and only as the same run."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import Field, NonNegativeInt

from geoclip.errors import InputError
from geoclip.files import written_whole
from geoclip.schema import Record, read_record

T = TypeVar("T")


class Progress(Record):
    """What a journal's file holds."""

    options: dict[str, str]
    """All that the output depends on, beside the inputs."""
    done: NonNegativeInt = 0
    """So many inputs, from the first on."""
    failed: tuple[int, ...] = ()
    """Those of them that failed, and will be tried again."""
    digest: Annotated[str, Field(pattern="^[0-9a-f]{1,64}$")] = "0"
    """Of the names of these inputs, and of the contents of those that did not fail."""
    size: NonNegativeInt = 0
    """Of the output that belongs to them: bytes, or parts."""
    end: str = sha256().hexdigest()
    """Digest of the end of this output, where it is a file."""


class _Given(NamedTuple):
    number: int
    name: int
    """What it adds to the digest if it fails,"""
    whole: int
    """and if it does not."""
    ends_batch: bool


class Journal:
    """Gives out the inputs that are not done, and keeps which are.

    The file is `.NAME.journal` beside the output NAME. It stays there: going on with a complete run does what was added
    at the end of its inputs, and tries again what failed.

    Args:
        output: the file that the run makes.
        options: names and values of all that it depends on beside its inputs.
        resume: go on with what is there; else the run begins anew.

    `kept` is the progress when it was saved last; what else the output holds is of inputs that are not done.

    Raises:
        InputError: what is there was begun with other options, or nobody knows with which.
    """

    def __init__(self, output: Path, options: Mapping[str, Any], *, resume: bool) -> None:
        self._output, self._path = output, output.with_name(f".{output.name}.journal")
        anew = Progress(options={name.replace("_", " "): str(value) for name, value in options.items()})
        self.kept = self._loaded(anew.options) if resume else anew
        self._failed, self._again = set(self.kept.failed), frozenset(self.kept.failed)
        self._digest = int(self.kept.digest, 16)
        self._done = self.kept.done
        self._given: deque[_Given] = deque()
        self._finished: list[tuple[_Given, bool]] = []  # of a batch that has not ended; whether it failed
        self._met, self._met_digest = 0, 0

    def remaining(self, inputs: Iterable[T], key: Callable[[T], tuple[bytes, bytes]], batch: int = 1) -> Iterator[T]:
        """Yield the inputs that are not done, in order, then those that failed in the run that is gone on with.

        Call it again for more inputs. Each that is yielded is to be reported with `finished`, in the same order.

        Args:
            inputs: all of them, from the first on.
            key: name and content of an input, by which it is known again.
            batch: so many are answered together. A run is gone on with at the beginning of a batch, so that its numbers
                are those of an uninterrupted run to the last bit.

        Raises:
            InputError: the inputs that are done are others.
        """
        again = []
        for position, one in enumerate(inputs, 1):
            number, self._met = self._met, self._met + 1
            name, content = key(one)
            given = _Given(number, _term(number, name), _term(number, name, content), position % batch == 0)
            if number >= self.kept.done:
                self._given.append(given)
                yield one
                continue
            self._met_digest += given.name if number in self._again else given.whole
            if self._met == self.kept.done:
                self._check()
            if number in self._again:
                again.append((given._replace(ends_batch=True), one))
        for given, one in again:
            self._given.append(given)
            yield one

    def finished(self, *, failed: bool = False) -> bool:
        """Take note of the earliest input that was yielded; returns whether a batch ends with it, so that it counts.

        What was not among the inputs can be written too, but not gone on with.
        """
        if not self._given:
            return True
        self._finished.append((self._given.popleft(), failed))
        if ends := self._finished[-1][0].ends_batch:
            self._count()
        return ends

    def complete(self) -> None:
        """Count what is finished though no batch ends with it: there are no more inputs.

        Raises:
            InputError: they are fewer than those that are done.
        """
        if self._met < self.kept.done:
            self._check()
        self._count()

    def _count(self) -> None:
        for given, failed in self._finished:
            self._digest += given.name if failed else given.whole
            if given.number < self.kept.done:  # failed before
                self._digest -= given.name
            (self._failed.add if failed else self._failed.discard)(given.number)
            self._done = max(self._done, given.number + 1)
        self._finished = []

    def save(self, size: int, end: str = "") -> None:
        """Keep what counts as finished, with the size and end of its output, which must be on the disk.

        Raises:
            InputError: the disk is full or the place cannot be written.
        """
        now = {"done": self._done, "failed": tuple(sorted(self._failed)), "digest": f"{self._digest % 2**256:x}"}
        progress = self.kept.model_copy(update=now | {"size": size, "end": end})
        with written_whole(self._path) as temporary:
            temporary.write_text(progress.model_dump_json(indent=1) + "\n", encoding="utf-8")

    def remove(self) -> None:
        """Remove the file: there is no output to go on with."""
        self._path.unlink(missing_ok=True)

    def _check(self) -> None:
        if self._met < self.kept.done or self._met_digest % 2**256 != int(self.kept.digest, 16):
            raise InputError(
                f"{self._output} was begun with other inputs: its first {self.kept.done} are not the ones given now. "
                "Give the same, replace it with --overwrite, or choose another name."
            )

    def _loaded(self, options: dict[str, str]) -> Progress:
        advice = "replace it with --overwrite, or choose another name"
        try:
            kept = read_record(self._path, Progress)
        except FileNotFoundError as error:
            raise InputError(
                f"{self._output} cannot be resumed without its {self._path.name}, which is not there; {advice}."
            ) from error
        except (OSError, ValueError) as error:
            raise InputError(f"{self._path} does not say what a run has done ({error}); {advice}.") from error
        for name in sorted(kept.options.keys() | options.keys()):
            before, now = (given.get(name) for given in (kept.options, options))
            if before != now:
                raise InputError(f"{self._output} was begun with {name} {before}, now it is {now}; {advice}.")
        return kept


def _term(number: int, *parts: bytes) -> int:
    """Return what an input adds to the digest: a sum, so that one that failed can be counted otherwise later."""
    digest = sha256(number.to_bytes(8))
    for part in parts:
        digest.update(len(part).to_bytes(8) + part)
    return int.from_bytes(digest.digest())
