"""`geoclip locate`."""

from itertools import chain
from pathlib import Path

import typer

from geoclip.cli.session import Encoding, Search, Tally, Target, open_locator, photo_inputs
from geoclip.cli.terminal import progress
from geoclip.errors import InputError


def run(
    photos: list[str],
    *,
    texts: list[str],
    from_list: Path | None,
    top: int,
    target: Target,
    encoding: Encoding,
    search: Search,
) -> None:
    """Answer for words or photos as they come; exit 1 if some photos could not be read."""
    if texts and (photos or from_list):
        raise InputError("Give photos or --text, not both.")
    if search.index is None:
        search.question()  # complains of options that need an index before anything is loaded
    inputs = iter(()) if texts else photo_inputs(photos, from_list, target.done)
    locator = open_locator(encoding, search)
    if texts:
        with progress("Loading CLIP"):
            answers = locator.locate_text(texts, top)
        with target.open() as writer:
            for answer in answers:
                writer.write(answer)
        return
    tally = Tally()
    known = len(photos) if from_list is None and all(Path(photo).is_file() for photo in photos) else None
    stream = locator.stream(inputs, top, workers=encoding.processes)
    with progress("Loading CLIP"):
        first = next(stream, None)  # the output is touched only once there is an answer
    if first is not None:
        with target.open() as writer, progress("Locating", known, beside_answers=target.path is None) as update:
            for answer in chain([first], stream):
                if tally.count(answer):
                    writer.write(answer)
                update(tally.answered + tally.failed, known)
    if tally.answered + tally.failed + len(target.done) == 0:
        raise InputError("No photos were found there; files are recognised by suffixes such as .jpg, .png and .heic.")
    raise typer.Exit(tally.exit_code("answered"))
