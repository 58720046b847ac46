"""`geoclip locate`."""

from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from geoclip.answers.answer import Answer
from geoclip.cli.map_file import MapFile
from geoclip.cli.output_options import OutputOptions, options_of
from geoclip.cli.part_work import LocateWork
from geoclip.cli.parts import PartJob, finish_parts, part_inputs, run_parts, unlisted
from geoclip.cli.photo_inputs import only_files, photo_inputs
from geoclip.cli.run_counts import RunCounts
from geoclip.cli.session import open_embedder, open_locator
from geoclip.cli.terminal import progress, say
from geoclip.embedder import Words
from geoclip.errors import InputError
from geoclip.options import IndexOptions, MachineOptions, ModelOptions, PhotoOptions, SearchOptions, WordOptions
from geoclip.photos.decode import SUFFIXES
from geoclip.photos.key import photo_key
from geoclip.photos.taken import scenes
from geoclip.writers import Output
from geoclip.writers.sidecars import Sidecars

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geoclip.answers.source import Asked
    from geoclip.locator import Locator
    from geoclip.photos.decode import Photo


def run(
    photos: list[str],
    from_list: Path | None,
    column: str | None,
    together: bool,
    by_time: float | None,
    words: WordOptions,
    output: OutputOptions,
    index: IndexOptions,
    search: SearchOptions,
    photo: PhotoOptions,
    model: ModelOptions,
    machine: MachineOptions,
) -> None:
    """Answer for words or photos as they come; exit 1 if some photos could not be read."""
    if output.parts is not None and output.finish:
        raise typer.Exit(finish_parts(output.parts, "answers"))
    target = output.checked()
    beside_photos = bool(photos or from_list)
    _check(photos, beside_photos, together, by_time, words, output, target)
    answer_map, sidecars = MapFile(output.map_file, photo, machine), Sidecars(output.xmp, say)
    inputs: Iterator[Photo] = iter(())
    if beside_photos or not words.text:
        tars = unlisted if output.parts else None
        inputs = _some(photo_inputs(photos, from_list, photo.exclude, column, tars=tars))
    if output.parts is not None:
        work = LocateWork(words, index, search, photo, model, machine)
        raise typer.Exit(_in_parts(output, list(_some(iter(part_inputs(output, inputs)))), work))
    embedder = open_embedder(photo, model, machine)
    locator = open_locator(embedder, index, search, machine, photos=beside_photos, words=bool(words.text))
    asked = locator.answerer.asked(search)
    said = Words(words.text[0], words.text_weight) if words.text and beside_photos else None
    if together:
        with progress("Reading photos"):
            answer, failed = locator.locate_together(inputs, workers=machine.processes, words=said, asked=asked)
        raise typer.Exit(_written(answer, failed, target, answer_map))
    if by_time is not None:
        groups = scenes(only_files(inputs, "--by-time"), by_time, limits=photo.limits(), workers=machine.processes)
        of_scenes = _of_scenes(groups, locator, machine.processes, said, asked)
        raise typer.Exit(_streamed(of_scenes, None, target, answer_map, sidecars))
    options = options_of(locator, index, search, photo, model, words if beside_photos else None)
    target.describe(options)
    if words.text and not beside_photos:
        fresh = list(target.remaining(words.text, lambda text: (text.encode(), b""), len(words.text)))
        answers = locator.locate_text(fresh, asked=asked) if fresh else []
        with target:
            for answer in answers:
                target.write(answer)
                answer_map.add(answer)
        answer_map.finish()
        return
    known = len(photos) if from_list is None and all(Path(each).suffix.lower() in SUFFIXES for each in photos) else None
    inputs = target.remaining(inputs, photo_key, locator.embedder.batch)
    stream = locator.stream(inputs, workers=machine.processes, words=said, asked=asked)
    raise typer.Exit(_streamed(stream, known, target, answer_map, sidecars))


def _in_parts(output: OutputOptions, inputs: "list[Photo]", work: LocateWork) -> int:
    from geoclip.writers.parts import ANSWERS

    locator = work.locator()
    options = options_of(locator, work.index, work.search, work.photo, work.model, work.words)
    return run_parts(
        output,
        PartJob(ANSWERS, inputs, options, work, partial(work.maker, locator), "answered"),
    )


def _check(
    photos: list[str],
    beside_photos: bool,
    together: bool,
    by_time: float | None,
    words: WordOptions,
    output: OutputOptions,
    target: Output,
) -> None:
    """Refuse options that exclude each other, before anything is opened."""
    if beside_photos and len(words.text) > 1:
        raise InputError(f"{len(words.text)} --text are given beside photos; give one, about all of them.")
    if together and not beside_photos:
        raise InputError("--together needs photos; name those of one place.")
    if by_time is not None and (together or not beside_photos or "-" in photos or not by_time > 0 or target.resumes):
        raise InputError(
            f"--by-time {by_time:g} needs photos in files and minutes above 0, without --together and --resume."
        )
    if together and target.resumes:
        raise InputError("--together gives one answer, which cannot be resumed; leave --resume out.")
    if output.xmp and (together or by_time is not None or not beside_photos):
        raise InputError("--xmp writes a sidecar a photo; it needs photos, and an answer for each of them.")
    if output.parts and (together or by_time is not None or not beside_photos or "-" in photos):
        raise InputError(
            "--parts needs photos in files, the same for every part and for --finish, and an answer for each of them."
        )
    if output.xmp and str(output.xmp).startswith("-"):  # the next option, taken for the folder
        raise InputError(f"--xmp needs a folder, or the word beside; it was given {output.xmp}.")
    if output.xmp and output.xmp.is_file():
        raise InputError(f"--xmp {output.xmp} is a file; give a folder, or the word beside.")


def _of_scenes(
    groups: list[list[str]], locator: "Locator", workers: int, said: Words | None, asked: "Asked"
) -> "Iterator[Answer]":
    """Yield one answer for each group of photos, and one with an error for each that could not be read."""
    for group in groups:
        try:
            answer, failed = locator.locate_together(group, workers=workers, words=said, asked=asked)
        except InputError as error:
            yield Answer(group[0], error=str(error))
            continue
        yield from failed
        yield answer


def _some(photos: "Iterator[Photo]") -> "Iterator[Photo]":
    """Return the photos.

    Raises:
        InputError: there is none.
    """
    if (first := next(photos, None)) is None:
        raise InputError("No photos were found there; files are recognised by suffixes such as .jpg, .png and .heic.")
    return chain([first], photos)


def _streamed(
    stream: "Iterator[Answer]", known: int | None, target: Output, answer_map: MapFile, sidecars: Sidecars
) -> int:
    """Write answers as they come, `known` in number; return the exit code."""
    counts = RunCounts()
    with target, progress("Locating", known, beside_answers=target.to_stdout) as update:
        for answer in stream:
            sidecars.add(answer)  # first: a run that is stopped in between answers for the photo again
            target.write(answer)
            if counts.count(answer):
                answer_map.add(answer)
            update(counts.answered + counts.failed, known)
    answer_map.finish()
    return max(counts.exit_code("answered"), 1 if sidecars.left else 0)


def _written(answer: Answer, failed: list[Answer], target: Output, answer_map: MapFile) -> int:
    """Write the one answer for all photos; return the exit code."""
    counts = RunCounts()
    for photo in failed:
        counts.count(photo)
    with target:
        target.write(answer)
    answer_map.add(answer)
    answer_map.finish()
    return 1 if failed else 0
