"""`geoclip labels`."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from geoclip.cli.photo_inputs import photo_inputs
from geoclip.cli.terminal import progress, say
from geoclip.errors import InputError
from geoclip.files import check_output, is_stream
from geoclip.options import MachineOptions, PhotoOptions
from geoclip.photo_labels import label_photos

if TYPE_CHECKING:
    from geoclip.photos.pool import Decoded


def run(
    inputs: list[str],
    from_list: Path | None,
    output: Path,
    overwrite: bool,
    photo: PhotoOptions,
    machine: MachineOptions,
) -> None:
    """Write the recorded places of photos; exit 1 if something could not be read."""
    if output.suffix.lower() != ".csv" and not is_stream(output):
        raise InputError(f"{output} is not called .csv; give the file to write with --output NAME.csv.")
    check_output(output, overwrite=overwrite)
    photos, done = photo_inputs(inputs, from_list, photo.exclude), 0
    with progress("Reading") as update:

        def on_photo(_: "Decoded") -> None:
            nonlocal done
            done += 1
            update(done, None)

        counts = label_photos(
            photos, output, limits=photo.limits(), workers=machine.processes, on_photo=on_photo, on_problem=say
        )
    say(f"{counts}.")
    raise typer.Exit(1 if counts.unreadable or counts.damaged_beside else 0)
