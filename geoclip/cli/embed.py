"""`geoclip embed`."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from geoclip.answers.answer import Answer
from geoclip.cli.output_options import RunCounts
from geoclip.cli.session import open_embedder, photo_inputs, release_of
from geoclip.cli.terminal import progress, say
from geoclip.embed_files import embed_coordinates, embed_features, embed_photos
from geoclip.errors import InputError
from geoclip.files import check_output
from geoclip.options import FeatureOptions, MachineOptions, ModelOptions, PhotoOptions, PlaceColumnOptions
from geoclip.tables.columns import OptionColumns
from geoclip.tables.rows import TABLE_SUFFIXES

if TYPE_CHECKING:
    from geoclip.photos.pool import Decoded


def run(
    inputs: list[str],
    from_list: Path | None,
    output: Path | None,
    resume: bool,
    overwrite: bool,
    columns: PlaceColumnOptions,
    features: FeatureOptions,
    photo: PhotoOptions,
    model: ModelOptions,
    machine: MachineOptions,
) -> None:
    """Embed one table of coordinates, or photos; exit 1 if some photos could not be read."""
    if output is None or output.suffix != ".parquet":
        raise InputError("Give the file to write with --output NAME.parquet.")
    check_output(output, overwrite=overwrite or resume)
    tables = [path for path in inputs if Path(path).suffix.lower() in TABLE_SUFFIXES]
    if tables and (len(inputs) > 1 or from_list is not None):
        raise InputError(f"{tables[0]} is a table of coordinates; embed it alone.")
    if tables and features.features:
        raise InputError(f"{tables[0]} is a table of coordinates; --features are of photos, name them or their folder.")
    if tables:
        _coordinates(Path(tables[0]), output, resume, columns, model, machine)
        return
    photos = photo_inputs(inputs, from_list, photo.exclude)
    counts = RunCounts()
    with progress("Encoding" if features.features else "Embedding") as update:

        def on_photo(decoded: "Decoded") -> None:
            counts.count(Answer(decoded.name, error=decoded.error))
            update(counts.answered + counts.failed, None)

        if features.features:
            embed_features(
                photos,
                output,
                features,
                photo=photo,
                model=model,
                machine=machine,
                resume=resume,
                on_photo=on_photo,
            )
        else:
            embedder = open_embedder(photo, model, machine)
            embed_photos(photos, output, embedder, workers=machine.processes, resume=resume, on_photo=on_photo)
    raise typer.Exit(counts.exit_code("encoded" if features.features else "embedded"))


def _coordinates(
    table: Path, output: Path, resume: bool, columns: PlaceColumnOptions, model: ModelOptions, machine: MachineOptions
) -> None:
    with progress("Embedding") as update:
        count = embed_coordinates(
            table,
            output,
            release_of(model.weights),
            columns=OptionColumns(None, columns.lat_column, columns.lng_column),
            device=machine.device,
            precision=machine.precision,
            resume=resume,
            on_progress=update,
        )
    say(f"{count} coordinates embedded in {output}.")
