"""A job in parts, as commands run it: the part that is asked for, and its end."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from geoclip.cli.part_options import PartOptions
from geoclip.cli.part_work import Maker, Work
from geoclip.cli.run_counts import Outcome, RunCounts
from geoclip.cli.terminal import progress, say
from geoclip.errors import InputError
from geoclip.long_lived import kept_loaded
from geoclip.on_ray import Runner
from geoclip.photos.decode import Photo, name_of
from index.parts import Part

if TYPE_CHECKING:
    from geoclip.photos.elsewhere import Elsewhere
    from geoclip.writers.parts import PartFolder, PartKind

Row = TypeVar("Row", bound=Outcome)


@dataclass(frozen=True)
class PartJob(Generic[Row]):
    """What a job makes."""

    kind: "PartKind[Row]"
    inputs: Sequence[Photo]
    """(N,) in order."""
    options: Mapping[str, object]
    """All that rows depend on beside the inputs."""
    work: Work[Row]
    """Makes the rows, in whichever process."""
    maker: Callable[[], Maker[Row]]
    """Loads what makes rows in this one."""
    done: str
    """What a row is when it is made: `answered`."""


def run_parts(options: PartOptions, job: PartJob[Row]) -> int:
    """Do the part of a job that is asked for; return the exit code.

    Raises:
        InputError: there is no such part, or the folder is of another job.
    """
    from geoclip.writers.parts import PartFolder

    assert options.parts is not None
    part = _part(options)
    names = [name_of(each, at) for at, each in enumerate(job.inputs)]
    folder = PartFolder(options.parts, job.kind, names, job.options, options.part_rows)
    left, counts = folder.missing(part), RunCounts()
    known = sum(rows.stop - rows.start for rows in map(folder.rows, left))
    with progress(job.done.capitalize(), known) as update:
        if left and options.on is Runner.RAY:
            _on_ray(options, job, folder, left, counts, lambda: update(counts.answered + counts.failed, known))
        elif left:
            make = job.maker()
            with kept_loaded():
                for number in left:
                    rows = folder.rows(number)
                    for row in folder.write(number, make(rows, job.inputs[rows])):
                        counts.count(row)
                        update(counts.answered + counts.failed, known)
    lacking = len(folder.missing())
    then = f"{lacking} are missing" if lacking else "all are there, and --finish writes the manifest"
    say(f"{len(left)} of {len(folder)} files made here; {then}.")
    return counts.exit_code(job.done)


def part_inputs(options: PartOptions, photos: Iterable[Photo]) -> list[Photo]:
    """Return all photos of a job. Tar files at addresses, given as `TarAt`, are listed once for all its parts.

    Raises:
        InputError: there is no such part, the folder is not of a job, or a tar file cannot be listed at the moment.
    """
    from geoclip.remote.listings import listed
    from geoclip.remote.tar import TarAt
    from geoclip.writers.parts import check_folder

    given = list(photos)
    shards = [each for each in given if isinstance(each, TarAt)]
    if not shards or options.parts is None:
        return given
    part = _part(options)
    check_folder(options.parts)
    first = 0 if part is None else (part.number - 1) * len(shards) // part.of
    with progress("Listing tar files", len(shards)) as update:
        found = listed(shards, options.parts / LISTINGS, first, update)
        return [photo for each in given for photo in (next(found) if isinstance(each, TarAt) else (each,))]


def unlisted(address: str) -> "list[Elsewhere]":
    """Return what stands for the photos of a tar file at an address until `part_inputs` lists them."""
    from geoclip.remote.tar import TarAt

    return [TarAt(address)]


LISTINGS = "_listings"
"""In the folder of a job; readers of folders of Parquet pass over such names."""


def _part(options: PartOptions) -> Part | None:
    try:
        return None if options.part is None else Part.parse(options.part)
    except ValueError as error:
        raise InputError(str(error)) from error


def finish_parts(folder: Path, kind: str) -> int:
    """Finish the job that a folder's plan describes; return the exit code. Its inputs need not be there any more.

    Raises:
        InputError: there is no such job, or it is not complete.
    """
    from geoclip.writers.parts import PartFiles

    made = PartFiles.begun(folder, kind).finish()
    say(f"{folder} is whole: {made.files:,} files, {made.rows:,} rows, {made.failed:,} of them failed.")
    return 1 if made.failed else 0


def _on_ray(
    options: PartOptions,
    job: PartJob[Row],
    folder: "PartFolder[Row]",
    numbers: Sequence[int],
    counts: RunCounts,
    update: Callable[[], object],
) -> None:
    from geoclip.cli.parts_on_ray import made_on_ray

    for made in made_on_ray(folder, numbers, job.inputs, job.work, options.actors):
        counts.add(made.answered, made.failed, made.reasons)
        update()
