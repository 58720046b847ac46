"""`geoclip build`, `geoclip info` and `geoclip verify`."""

import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

import typer

from geoclip.cli.options import Preset
from geoclip.cli.session import release_of
from geoclip.cli.terminal import say, stage_progress
from geoclip.encoders.precision import Precision, precision_name
from geoclip.errors import InputError
from geoclip.files import cannot_write

if TYPE_CHECKING:
    from geoclip.encoders.multi_gpu import MultiGpuEncoder
    from geoclip.release.directory import Release
    from index.building.build import Cost, Request
    from index.storage.gallery import Gallery

GB = 1e9
COARSE_RES = {Preset.LITE: 5, Preset.PLANET: 6}


@dataclass(frozen=True)
class BuildOptions:
    """What the command line asks for."""

    coarse_res: int
    start_res: int
    region: str | None
    gallery: Path | None
    no_gallery: bool
    rejected: Path | None
    memory_gb: float
    device: str
    precision: Precision
    weights: Path | None = None


class _Model(NamedTuple):
    """What is built with."""

    release: "Release"
    encoder: "MultiGpuEncoder"
    arithmetic: str
    """Of the encoder, and its device."""

    @classmethod
    def load(cls, options: BuildOptions) -> Self:
        """Put the location encoder on every GPU there is, or on the device asked for."""
        from geoclip.encoders.location import LocationEncoder
        from geoclip.encoders.multi_gpu import MultiGpuEncoder, all_devices

        release = release_of(options.weights)
        encoder = LocationEncoder(release.sigma, from_pretrained=False, precision=options.precision)
        encoder.load_released(release.location_encoder())
        devices = all_devices(options.device)
        name = f"{precision_name(options.precision, devices[0])} on {devices[0].type}"
        return cls(release, MultiGpuEncoder(encoder.eval(), devices), name)


def run(target: Path, options: BuildOptions, *, dry_run: bool, overwrite: bool, restart: bool) -> None:
    """Build an index, or say what that would take."""
    from index.building.build import build, cost, discard, grid, points_per_second, working_folder

    if target.exists() and not overwrite and not dry_run:
        raise InputError(f"{target} exists; choose another name, or replace it with --overwrite.")
    model = _Model.load(options)
    try:
        request = _request(options, model)
        if dry_run:
            cells = grid(request)
            _describe(target, cost(request, cells), points_per_second(cells, model.encoder), model.arithmetic)
            return
        if restart:
            discard(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        begun = time.perf_counter()
        with stage_progress() as report:
            build(request, model.encoder, target, report=report, replace=overwrite)
    except ValueError as error:
        raise InputError(str(error)) from error
    except OSError as error:
        raise InputError(
            f"{cannot_write(target, error)} What was done is in {working_folder(target)}; the same command goes on."
        ) from error
    except KeyboardInterrupt:
        say(f"What was done is in {working_folder(target)}; the same command goes on.")
        raise
    seconds = time.perf_counter() - begun
    size = sum(path.stat().st_size for path in target.iterdir())
    say(
        f"{target} built in {_duration(seconds)}: {size / GB:.2f} GB. "
        f"Search it with `geoclip locate PHOTO --index {target}`."
    )


def info(folder: Path) -> None:
    """Print what an index is made of."""
    from rich.console import Console
    from rich.table import Table

    from index.storage.directory import read_manifest

    try:
        manifest = read_manifest(folder)
    except ValueError as error:
        raise InputError(str(error)) from error
    table = Table(box=None, show_header=False, pad_edge=False)
    gallery = manifest.gallery
    rows = {
        "cells": f"{manifest.cells:,} of H3 resolution {manifest.coarse_res}, "
        f"each the mean of its children ({manifest.encodings:,} encodings)",
        "region": manifest.region["name"] if manifest.region else "all land",
        "walk": f"from resolution {manifest.start_res} to {manifest.coarse_res}, then down to 11 by encoding",
        "gallery": f"{gallery['source']}: {gallery['places']:,} places, {gallery['photos']:,} photos",
        "encoder": manifest.encoder["arithmetic"],
        "model": manifest.model[:16],
        "grid": manifest.grid[:16],
        "size": f"{sum(manifest.files.values()) / GB:.2f} GB in {len(manifest.files)} files",
        "made with": ", ".join(f"{name} {version}" for name, version in manifest.versions.items()),
    }
    for name, value in rows.items():
        table.add_row(name, value)
    Console(file=sys.stdout, highlight=False).print(table)


def verify(folder: Path) -> None:
    """Read an index whole; exit 1 if something is wrong with it."""
    from index.storage.artifact import verify as problems_of

    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; give the folder of an index.")
    problems = problems_of(folder)
    for problem in problems:
        say(problem)
    if problems:
        raise typer.Exit(1)
    say(f"{folder} is sound: every file has the sha256 it was sealed with.")


def _request(options: BuildOptions, model: _Model) -> "Request":
    from index.building.build import Request
    from index.grid.region import Region

    gallery, source = _gallery(options, model)
    return Request(
        coarse_res=options.coarse_res,
        start_res=options.start_res,
        gallery=gallery,
        gallery_source=source,
        region=Region.parse(options.region) if options.region else None,
        region_name=options.region or "",
        memory_bytes=int(options.memory_gb * GB),
        model=model.release.model_digest,
        tau=float(model.release.logit_scale().exp()),
        encoder=model.arithmetic,
    )


def _gallery(options: BuildOptions, model: _Model) -> "tuple[Gallery, str]":
    from index.storage.gallery import Gallery

    if options.no_gallery:
        return Gallery.empty(), "none"
    if options.gallery is None:
        source = "released with GeoCLIP 1.3.0" if options.weights is None else f"of {options.weights.name}"
        return Gallery.of(model.release.gallery()), source
    gallery = Gallery.read(options.gallery, options.rejected)
    if gallery.bad:
        counts = ", ".join(f"{count} {reason}" for reason, count in gallery.bad.items())
        where = f", listed in {options.rejected}" if options.rejected else "; list them with --rejected FILE.csv"
        say(f"{options.gallery}: {sum(gallery.bad.values()):,} rows are no places ({counts}){where}.")
    return gallery, options.gallery.name


def _describe(target: Path, cost: "Cost", rate: float, arithmetic: str) -> None:
    from rich.console import Console
    from rich.table import Table

    folder = next(path for path in (target, *target.parents) if path.is_dir()) if target.parts else Path()
    table = Table(box=None, show_header=False, pad_edge=False)
    rows = {
        "cells": f"{cost.cells:,}",
        "encodings": f"{cost.encodings:,} in {cost.blocks:,} blocks",
        "time": f"about {_duration(cost.encodings / rate)} of encoding at {rate:,.0f} points a second, {arithmetic}",
        "memory": f"{cost.memory_bytes / GB:.1f} GB",
        "disk": f"{cost.index_bytes / GB:.2f} GB, and {cost.scratch_bytes / GB:.2f} GB while it is built",
        "free there": f"{shutil.disk_usage(folder).free / GB:.0f} GB",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    Console(file=sys.stdout, highlight=False).print(table)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
