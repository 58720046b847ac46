"""`geoclip locate`."""

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from geoclip.cli.map_file import MapFile
from geoclip.cli.session import Encoding, RunCounts, Search, open_locator, options_of, photo_inputs, photo_key
from geoclip.cli.terminal import progress
from geoclip.errors import InputError
from geoclip.writers import Output

if TYPE_CHECKING:
    from collections.abc import Iterable

    from geoclip.locator import Locator, Words
    from geoclip.photos.decode import Photo


def run(
    photos: list[str],
    *,
    texts: list[str],
    text_weight: float,
    together: bool,
    from_list: Path | None,
    top: int,
    output: Output,
    map_file: Path | None,
    encoding: Encoding,
    search: Search,
) -> None:
    """Answer for words or photos as they come; exit 1 if some photos could not be read."""
    beside_photos = bool(photos or from_list)
    if beside_photos and len(texts) > 1:
        raise InputError(f"{len(texts)} --text are given beside photos; give one, about all of them.")
    if together and not beside_photos:
        raise InputError("--together needs photos; name those of one place.")
    if together and output.resumes:
        raise InputError("--together gives one answer, which cannot be resumed; leave --resume out.")
    drawn = MapFile(map_file)
    inputs = photo_inputs(photos, from_list) if beside_photos or not texts else iter(())
    locator = open_locator(encoding, search)
    said = (tuple(texts), text_weight) if beside_photos else None
    if not together:
        output.describe(options_of(locator, encoding, search, top=top, text=said))
    if texts and not beside_photos:
        with progress("Loading CLIP"):
            fresh = list(output.remaining(texts, lambda text: (text.encode(), b""), len(texts)))
            answers = locator.locate_text(fresh, top) if fresh else []
        with output:
            for answer in answers:
                output.write(answer)
                drawn.add(answer)
        drawn.finish(encoding)
        return
    from geoclip.locator import Words

    words = Words(texts[0], text_weight) if texts else None
    if together:
        raise typer.Exit(_together(inputs, top, words, output, drawn, encoding, locator))
    tally = RunCounts()
    known = len(photos) if from_list is None and all(Path(photo).is_file() for photo in photos) else None
    inputs = output.remaining(inputs, photo_key, locator.batch)
    stream = locator.stream(inputs, top, workers=encoding.processes, words=words)
    with progress("Loading CLIP"):
        first = next(stream, None)  # the output is touched only once there is an answer
    if first is not None:
        with output, progress("Locating", known, beside_answers=output.to_stdout) as update:
            for answer in chain([first], stream):
                output.write(answer)
                if tally.count(answer):
                    drawn.add(answer)
                update(tally.answered + tally.failed, known)
    if tally.answered + tally.failed + output.done == 0:
        raise InputError("No photos were found there; files are recognised by suffixes such as .jpg, .png and .heic.")
    drawn.finish(encoding)
    raise typer.Exit(tally.exit_code("answered"))


def _together(
    inputs: "Iterable[Photo]",
    top: int,
    words: "Words | None",
    output: Output,
    drawn: MapFile,
    encoding: Encoding,
    locator: "Locator",
) -> int:
    """Answer once for all photos; return the exit code."""
    tally = RunCounts()
    with progress("Reading photos"):
        answer, failed = locator.locate_together(inputs, top, workers=encoding.processes, words=words)
    for photo in failed:
        tally.count(photo)
    with output:
        output.write(answer)
    drawn.add(answer)
    drawn.finish(encoding)
    return 1 if failed else 0
