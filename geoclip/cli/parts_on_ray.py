"""Files of a job in parts made by actors of Ray. Each loads the model and maps the index once; rows go to storage.

What comes back through Ray is a few numbers a file. A file is made by the function that a shell's part calls, so its
bytes are the same where the arithmetic is: as many threads, the same kind of processor.
"""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from geoclip.cli.run_counts import Outcome
from geoclip.errors import GeoclipError, InputError
from geoclip.long_lived import keep_loaded
from geoclip.on_ray import cluster

if TYPE_CHECKING:
    from geoclip.cli.part_work import Maker, Work
    from geoclip.photos.decode import Photo
    from geoclip.writers.parts import PartFolder

Row = TypeVar("Row", bound=Outcome)
TRIES = 3
"""How often a file is begun again whose process died."""
QUEUED = 2
"""Files that an actor has at once, so that it never waits for the next."""
CORES = 4
"""Of an actor without a GPU, unless the number of actors says otherwise."""
_SHOWN = 20


class MadeFile(NamedTuple):
    """What an actor says of a file."""

    number: int
    answered: int
    failed: int
    reasons: tuple[tuple[str, str], ...]
    """Names and reasons of the first that failed."""


class FileMaker:
    """The actor: makes files of a job.

    Args:
        folder: of the job.
        work: makes the rows.
        cwd: where relative paths begin.
        cores: to compute on.
    """

    def __init__(self, folder: "PartFolder[Any]", work: "Work[Any]", cwd: str, cores: int) -> None:
        self._folder, self._work, self._cwd, self._cores = folder, work, cwd, cores
        self._maker: Maker[Any] | None = None

    def make(self, number: int, inputs: "Sequence[Photo]") -> MadeFile:
        """Make a file, unless it is there already: of an actor that died when all was done.

        Raises:
            GeoclipError: it cannot be made.
        """
        if self._maker is None:  # here and not above, so that what fails is told as it is
            with suppress(OSError):  # another machine may have no such folder
                os.chdir(self._cwd)
            self._maker = self._work.on(self._cores).open()
            keep_loaded()
        rows = self._folder.rows(number)
        if self._folder.path(number).exists():
            return MadeFile(number, rows.stop - rows.start, 0, ())
        answered, failed = 0, list[tuple[str, str]]()
        for row in self._folder.write(number, self._maker(rows, inputs)):
            if row.error is None:
                answered += 1
            else:
                failed.append((row.query, row.error))
        return MadeFile(number, answered, len(failed), tuple(failed[:_SHOWN]))


def made_on_ray(
    folder: "PartFolder[Row]",
    numbers: Sequence[int],
    inputs: "Sequence[Photo]",
    work: "Work[Row]",
    actors: int | None = None,
) -> Iterator[MadeFile]:
    """Make files; yield what is said of each, as they are done.

    Args:
        folder: of the job, which all machines see.
        numbers: of the files.
        inputs: of the whole job.
        work: makes the rows.
        actors: how many; None is one a GPU or, without, one for every four cores.

    Raises:
        InputError: files could not be made, though their actors were started again; the others are there.
        GeoclipError: what made rows of one failed, as it would in the shell.
    """
    with cluster():
        import ray

        there = ray.cluster_resources()
        gpus = 0 if work.machine.device == "cpu" else int(there.get("GPU", 0))
        cpus = max(1, int(there.get("CPU", 1)))
        count = min(actors or gpus or max(1, cpus // CORES), len(numbers))
        cores = max(1, cpus // count)
        wanted = {"num_cpus": cores, "num_gpus": 1 if gpus >= count else gpus / count}
        remote = ray.remote(FileMaker).options(**wanted, max_restarts=-1, max_task_retries=TRIES)
        makers = [remote.remote(folder, work, os.getcwd(), cores) for _ in range(count)]  # noqa: PTH109 - a plain text
        try:
            yield from _shared_out(folder, numbers, inputs, makers)
        finally:
            for maker in makers:
                ray.kill(maker)


def _shared_out(
    folder: "PartFolder[Row]", numbers: Sequence[int], inputs: "Sequence[Photo]", makers: Sequence[Any]
) -> Iterator[MadeFile]:
    import ray
    from ray.exceptions import RayError, RayTaskError

    left, running, lost = deque(numbers), dict[Any, tuple[Any, int]](), dict[int, str]()

    def begin(maker: Any) -> None:
        if left:
            number = left.popleft()
            running[maker.make.remote(number, list(inputs[folder.rows(number)]))] = maker, number

    for _ in range(QUEUED):
        for maker in makers:
            begin(maker)
    while running:
        (done,), _ = ray.wait(list(running), num_returns=1)
        maker, number = running.pop(done)
        begin(maker)
        try:
            yield ray.get(done)
        except RayTaskError as error:
            if isinstance(error.cause, GeoclipError):
                raise error.cause from None
            lost[number] = f"{type(error.cause).__name__}: {error.cause}"
        except RayError as error:
            lost[number] = type(error).__name__
    if lost:
        number = min(lost)
        raise InputError(
            f"{len(lost)} files could not be made, first {folder.path(number).name} ({lost[number]}); all others are "
            "there, and the same command tries these again."
        )
