"""`geoclip embed`."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from geoclip.answers.answer import Answer
from geoclip.cli.output_options import described_model
from geoclip.cli.part_options import PartOptions
from geoclip.cli.part_work import EmbedWork
from geoclip.cli.parts import PartJob, finish_parts, part_inputs, run_parts, unlisted
from geoclip.cli.photo_inputs import photo_inputs
from geoclip.cli.run_counts import RunCounts
from geoclip.cli.session import open_embedder, release_of
from geoclip.cli.terminal import progress, say
from geoclip.embed_files import embed_coordinates, embed_features, embed_photos, photo_source
from geoclip.errors import InputError
from geoclip.files import check_output
from geoclip.options import FeatureOptions, MachineOptions, ModelOptions, PhotoOptions, PlaceColumnOptions
from geoclip.tables.columns import OptionColumns
from geoclip.tables.rows import TABLE_SUFFIXES

if TYPE_CHECKING:
    from geoclip.photos.decode import Photo
    from geoclip.photos.pool import Decoded


def run(
    inputs: list[str],
    from_list: Path | None,
    column: str | None,
    output: Path | None,
    resume: bool,
    overwrite: bool,
    parts: PartOptions,
    columns: PlaceColumnOptions,
    features: FeatureOptions,
    photo: PhotoOptions,
    model: ModelOptions,
    machine: MachineOptions,
) -> None:
    """Embed one table of coordinates, or photos; exit 1 if some photos could not be read."""
    if parts.parts is not None and parts.finish:
        raise typer.Exit(finish_parts(parts.parts, "vectors"))
    tables = [path for path in inputs if column is None and Path(path).suffix.lower() in TABLE_SUFFIXES]
    if parts.parts is not None:
        _check_parts(has_output=output is not None or resume or overwrite, of_photos=not (tables or features.features))
        photos = part_inputs(parts, photo_inputs(inputs, from_list, photo.exclude, column, tars=unlisted))
        raise typer.Exit(_in_parts(parts, photos, photo, model, machine))
    if output is None or output.suffix != ".parquet":
        raise InputError("Give the file to write with --output NAME.parquet.")
    check_output(output, overwrite=overwrite or resume)
    if tables and (len(inputs) > 1 or from_list is not None):
        raise InputError(f"{tables[0]} is a table of coordinates; embed it alone. One of photos needs --column.")
    if tables and features.features:
        raise InputError(f"{tables[0]} is a table of coordinates; --features are of photos, name them or their folder.")
    if tables:
        _coordinates(Path(tables[0]), output, resume, columns, model, machine)
        return
    waiting = photo_inputs(inputs, from_list, photo.exclude, column)
    counts = RunCounts()
    with progress("Encoding" if features.features else "Embedding") as update:

        def on_photo(decoded: "Decoded") -> None:
            counts.count(Answer(decoded.name, error=decoded.error))
            update(counts.answered + counts.failed, None)

        if features.features:
            embed_features(
                waiting,
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
            embed_photos(waiting, output, embedder, workers=machine.processes, resume=resume, on_photo=on_photo)
    raise typer.Exit(counts.exit_code("encoded" if features.features else "embedded"))


def _check_parts(*, has_output: bool, of_photos: bool) -> None:
    """Refuse what jobs in parts cannot have."""
    if has_output:
        raise InputError("--parts writes files of its own; leave out --output, --resume and --overwrite.")
    if not of_photos:
        raise InputError(
            "--parts makes vectors of photos; leave out tables of coordinates and --features. A table of photos is "
            "given with --from-list."
        )


def _in_parts(
    options: PartOptions, photos: "list[Photo]", photo: PhotoOptions, model: ModelOptions, machine: MachineOptions
) -> int:
    from geoclip.tables.vector_parts import vector_part
    from geoclip.writers.parts import PartKind

    work = EmbedWork(photo, model, machine)
    embedder = work.embedder()
    source = photo_source(embedder)
    kind = PartKind("vectors", partial(vector_part, source=source, dim=embedder.release.config.dim))
    wanted = asdict(photo) | described_model(embedder.release, model) | {"precision": source.precision}
    return run_parts(options, PartJob(kind, photos, wanted, work, partial(work.maker, embedder), "embedded"))


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
