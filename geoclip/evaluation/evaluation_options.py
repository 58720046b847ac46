"""Options of an evaluation. Importing this loads nothing heavy."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from geoclip.errors import InputError
from geoclip.option_groups import Help, Options, Panel


@dataclass(frozen=True)
class EvaluationOptions(Options):
    """How answers are compared with the true places.

    Raises:
        InputError: the distance is unknown, or a number is out of range.
    """

    distance: Annotated[
        str,
        Help(
            "haversine, on a sphere of 6371 km as publications do, or geodesic, on WGS 84.",
            Panel.COMPARING,
            metavar="NAME",
        ),
    ] = "haversine"
    gallery: Annotated[
        Path | None,
        Help(
            "A table of places to look for the true ones in. Default: the gallery of the index, or of "
            "the release, where photos or vectors are searched.",
            Panel.COMPARING,
            metavar="FILE",
        ),
    ] = None
    resamples: Annotated[
        int, Help("Bootstrap resamples; fewer for more than 25,000 photos.", Panel.COMPARING, least=100, most=100_000)
    ] = 2000
    seed: Annotated[int, Help("Of the resamples.", Panel.COMPARING, least=0)] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        from geoclip.distance import Distance

        if self.distance not in list(Distance):
            raise InputError(f"The distance is {self.distance!r}; choose from {', '.join(Distance)}.")


@dataclass(frozen=True)
class ColumnOptions(Options):
    """How columns are called, where they are not recognised by themselves."""

    label_name_column: Annotated[
        str | None, Help("Column of the labels with the photo's name.", Panel.COLUMNS, metavar="NAME")
    ] = None
    label_lat_column: Annotated[
        str | None, Help("Column of the labels with the latitude.", Panel.COLUMNS, metavar="NAME")
    ] = None
    label_lng_column: Annotated[
        str | None, Help("Column of the labels with the longitude.", Panel.COLUMNS, metavar="NAME")
    ] = None
    name_column: Annotated[
        tuple[str, ...],
        Help(
            "Column of the predictions with the photo's name; once for all tables, or once for each in order.",
            Panel.COLUMNS,
            metavar="NAME",
        ),
    ] = ()
    lat_column: Annotated[
        tuple[str, ...], Help("The same for the predicted latitude.", Panel.COLUMNS, metavar="NAME")
    ] = ()
    lng_column: Annotated[
        tuple[str, ...], Help("The same for the predicted longitude.", Panel.COLUMNS, metavar="NAME")
    ] = ()
    by_order: Annotated[
        bool,
        Help(
            "Where the labels or the inputs have no names: the first input is that of the first row, and so on.",
            Panel.COLUMNS,
        ),
    ] = False


@dataclass(frozen=True)
class ReportOptions(Options):
    """The files that are written, beside the tables on stdout."""

    report: Annotated[
        Path | None, Help("Write all figures here, as JSON.", names=("--output", "-o"), metavar="FILE.json")
    ] = None
    plots: Annotated[
        Path | None, Help("Draw accuracy against distance, and calibration, as PNG.", Panel.OUTPUT, metavar="FOLDER")
    ] = None
    errors: Annotated[
        Path | None, Help("Write each photo's error here, .csv or .parquet.", Panel.OUTPUT, metavar="FILE")
    ] = None
    overwrite: Annotated[bool, Help("Replace what is written if it exists.", Panel.OUTPUT)] = False
