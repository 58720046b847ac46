"""`geoclip build`, `geoclip info` and `geoclip verify`."""

import shutil
import sys
import time
from pathlib import Path
from typing import NamedTuple

import typer

from geoclip.answers.source import built_index, index_folder
from geoclip.cli.session import release_of
from geoclip.cli.terminal import print_rows, say, stage_progress
from geoclip.errors import InputError
from geoclip.extras import need
from geoclip.index_builder import GB, IndexBuilder
from geoclip.on_ray import Runner
from geoclip.options import BuildOptions, MachineOptions, ModelOptions
from geoclip.remote.blocks import open_blocks
from index.building.working_folder import working_folder
from index.storage.artifact import verify
from index.storage.directory import read_manifest


class How(NamedTuple):
    """What of a build is to be done."""

    dry_run: bool
    overwrite: bool
    restart: bool
    part: str | None
    finish: bool
    blocks: str | None
    runner: Runner

    def check(self) -> None:
        """Refuse what contradicts itself."""
        asked = {
            "--dry-run": self.dry_run,
            "--restart": self.restart,
            "--part": self.part is not None,
            "--finish": self.finish,
        }
        given = [name for name, is_given in asked.items() if is_given]
        if len(given) > 1:
            raise InputError(f"{' and '.join(given)} cannot be given together; give one of them.")
        if self.runner is Runner.RAY:
            if self.part is not None or self.finish or self.dry_run:
                raise InputError(f"--on ray does all parts and finishes; leave out {given[0]}.")
            need("ray", "--on ray")
        if self.blocks is not None and self.restart:
            raise InputError(
                "--restart discards what is on this machine; with --blocks give another address, or remove yourself "
                "what is there."
            )
        if self.part is not None and self.overwrite:
            raise InputError("--overwrite is for --finish, which replaces the index; a part leaves it alone.")


def run_build(
    target: Path | None, how: How, options: BuildOptions, model: ModelOptions, machine: MachineOptions
) -> None:
    """Build an index or a part of it, or say what that would take."""
    how.check()
    target = target or built_index(options.preset)
    if target.exists() and not (how.overwrite or how.dry_run or how.part):
        raise InputError(f"{target} exists; choose another name, or replace it with --overwrite.")
    where = working_folder(target) if how.blocks is None else open_blocks(how.blocks)
    release = release_of(model.weights)
    own = None if model.weights is None else release
    if how.dry_run:
        _describe(target, IndexBuilder(options, own, machine, say))
        return
    begun, there = time.perf_counter(), False
    try:
        with stage_progress() as report:
            builder = IndexBuilder(options, own, machine, say)
            if how.part is not None:
                there = not builder.build_part(target, how.part, blocks=how.blocks, report=report)
            elif how.finish:
                builder.finish(target, overwrite=how.overwrite, blocks=how.blocks, report=report)
            else:
                builder.build(
                    target,
                    overwrite=how.overwrite,
                    restart=how.restart,
                    blocks=how.blocks,
                    runner=how.runner,
                    report=report,
                )
    except KeyboardInterrupt:
        say(f"What was done is in {where}; the same command goes on.")
        raise
    if there:
        say(f"{target} is there, made of all parts with these options; move it away first to make it again.")
        return
    took = _duration(time.perf_counter() - begun)
    if how.part is not None:
        say(f"Part {how.part} is in {where} after {took}; when all are, --finish makes {target}.")
        return
    size = sum(path.stat().st_size for path in target.iterdir())
    if how.blocks is not None:
        say(f"The blocks in {where} are no longer needed.")
    say(f"{target} built in {took}: {_size(size)}. Search it with `geoclip locate PHOTO --index {target}`.")


def run_info(index: str) -> None:
    """Print what an index is made of."""
    try:
        manifest = read_manifest(index_folder(index) or Path(index))
    except ValueError as error:
        raise InputError(str(error)) from error
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
        "size": f"{_size(sum(manifest.files.values()))} in {len(manifest.files)} files",
        "made with": ", ".join(f"{name} {version}" for name, version in manifest.versions.items()),
    }
    print_rows(rows, sys.stdout)


def run_verify(index: str) -> None:
    """Read an index whole; exit 1 if something is wrong with it."""
    folder = index_folder(index) or Path(index)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give the folder of an index.")
    problems = verify(folder)
    for problem in problems:
        say(problem)
    if problems:
        raise typer.Exit(1)
    say(f"{folder} is sound: every file has the sha256 it was sealed with.")


def _describe(target: Path, builder: IndexBuilder) -> None:
    cost, rate = builder.cost()
    folder = next(path for path in (target, *target.absolute().parents) if path.is_dir())
    seconds = _duration(cost.encodings / rate)
    rows = {
        "cells": f"{cost.cells:,}",
        "encodings": f"{cost.encodings:,} in {cost.blocks:,} blocks",
        "time": f"about {seconds} of encoding at {rate:,.0f} points a second, {builder.arithmetic}",
        "memory": _size(cost.memory_bytes),
        "disk": f"{_size(cost.index_bytes)}, and {_size(cost.scratch_bytes)} while it is built",
        "free there": _size(shutil.disk_usage(folder).free),
    }
    print_rows(rows, sys.stdout)


def _size(count: float) -> str:
    """Return a number of bytes as people read it: three digits that count, in GB, MB or kB."""
    for unit, size in (("GB", GB), ("MB", 1e6)):
        if count >= 0.9995 * size:
            return f"{count / size:,.{1 if count >= 9.95 * size else 2}f} {unit}"
    return f"{count / 1e3:,.1f} kB"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
