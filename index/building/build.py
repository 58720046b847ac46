"""A build: grid, gallery and prior, blocks of representatives, stored levels, a sealed directory.

Everything is made in a folder beside the target, `<target>.building`, and stays there when a build is stopped: the same
build goes on from it. What is there is trusted only if it was begun with the same request.
"""

import hashlib
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import replace as replace_fields
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from index.building.accuracy import Arithmetic, smooth_from
from index.building.block_job import BlockJob, MakeBlocks
from index.building.block_store import BlockStore, join, send_grid
from index.building.blocks import block_path, encode_block, read_blocks, write_block
from index.building.built_already import gallery_inside, is_built
from index.building.levels import write_levels
from index.building.parts import Blocks
from index.building.plan import BuildPlan, block_cells_for
from index.building.request import Request, grid
from index.building.smooth import write_nodes
from index.building.working_folder import (
    BLOCKS,
    INDEX,
    SCRATCH,
    OtherBuildError,
    claim,
    locked,
    read_grid,
    save_grid,
    shared,
    working_folder,
)
from index.encoder import Encoder
from index.files import written_whole
from index.grid.cells import Cells, areas_km2, centres, children, resolution, spacing_km
from index.parts import Part, ranges
from index.storage.artifact import check_replaceable, seal
from index.storage.directory import CELLS, GALLERY, PRIOR
from index.storage.gallery import Gallery
from index.storage.manifest import Manifest
from index.storage.prior import Prior

OnStage = Callable[[str, int, int], object]
"""Called with the name of the stage, what is done of it, and all of it; 0 of 0 where nothing is counted."""

_TRIAL_CELLS = 1024


def points_per_second(cells: Cells, encoder: Encoder) -> float:
    """Encode the children of some cells in the middle of a grid, and say how fast that was."""
    middle = max(len(cells) // 2 - _TRIAL_CELLS // 2, 0)
    trial = centres(children(cells[middle : middle + _TRIAL_CELLS], resolution(cells[:1]) + 1))
    spacing = spacing_km(resolution(cells[:1]) + 1)
    encoder.nearby(trial[:16], spacing)  # the first call sets things up
    start = time.perf_counter()
    encoder.nearby(trial, spacing)
    return len(trial) / (time.perf_counter() - start)


def build(
    request: Request,
    encoder: Encoder,
    target: Path,
    *,
    report: OnStage,
    replace: bool = False,
    store: BlockStore | None = None,
    make: MakeBlocks | None = None,
) -> None:
    """Build an index, or go on with a build that was stopped.

    Args:
        request: what to build.
        encoder: of the model.
        target: the directory to be made.
        report: is told how it goes.
        replace: put the new index in the place of one that is there.
        store: where the blocks are kept, if not in the working folder; they stay there.
        make: makes the blocks that are missing, of which one is made again here and compared; this process makes them
            where none is given.

    Raises:
        OtherBuildError: `target` exists and is not to be replaced, or is not an index; or its beginnings belong to
            another request or a running process.
        ValueError: the region holds no land, or a block on disk was damaged or made with another arithmetic; or what
            the store raises.
        OSError: the disk is full or cannot be written; what was done is kept.
    """
    target = _replaceable(target, replace=replace)
    with locked(target) as work:
        claim(work, request.described())
        begun = _begun(work, request, encoder, report, store)
        if make is None:
            _encode(begun, request, encoder, report, range(len(begun.plan)), keep_copies=True)
        elif missing := begun.blocks.missing():
            begun.blocks.folder.mkdir(exist_ok=True)
            job = BlockJob(work, begun.plan.block_cells, request.rests, begun.arithmetic.name)
            make(job, {number: begun.plan.encodings_of(number) for number in missing}, partial(report, "Encoding"))
        _finish(begun, request, encoder, target, report, replace=replace, compare=make is not None)


def build_part(
    request: Request,
    encoder: Encoder,
    target: Path,
    part: Part,
    *,
    report: OnStage,
    store: BlockStore | None = None,
) -> bool:
    """Encode the blocks of one part of a build that are not there yet; arguments and errors as for `build`.

    Other processes, on this machine or on others that see the same folder or store, may encode other parts or the same
    one. With a store, nothing else needs to see the folder.

    Returns:
        Whether there was something to do: not where the index of this request is there, and no other one was begun.
    """
    target = _replaceable(target, replace=True)
    if is_built(request, target) and not working_folder(target).exists():
        return False
    with shared(target, request.described()) as work:
        begun = _begun(work, request, encoder, report, store)
        _encode(begun, request, encoder, report, part.numbers(len(begun.plan)), keep_copies=False)
    return True


def finish(
    request: Request,
    encoder: Encoder,
    target: Path,
    *,
    report: OnStage,
    replace: bool = False,
    store: BlockStore | None = None,
) -> None:
    """Make an index of the blocks of all parts; arguments and errors as for `build`.

    One block is made again and compared, byte by byte.

    Raises:
        ValueError: also if blocks are missing or another block comes out of the same cells here.
    """
    target = _replaceable(target, replace=replace)
    with locked(target) as work:
        claim(work, request.described())
        begun = _begun(work, request, encoder, report, store)
        if lacking := begun.blocks.missing():
            raise ValueError(
                f"{len(lacking)} of {len(begun.plan)} blocks are missing in {begun.blocks.where}: {ranges(lacking)}; "
                "run their parts again, or the build without --finish, which makes them here."
            )
        _finish(begun, request, encoder, target, report, replace=replace, compare=True)


class _Begun(NamedTuple):
    """What each process of a build finds out for itself."""

    work: Path
    blocks: Blocks
    arithmetic: Arithmetic

    @property
    def plan(self) -> BuildPlan:
        return self.blocks.plan


def _finish(
    begun: _Begun,
    request: Request,
    encoder: Encoder,
    target: Path,
    report: OnStage,
    *,
    replace: bool,
    compare: bool = False,
) -> None:
    """Make an index of the blocks, which are all there, in the place of an old one or none."""
    begun.blocks.fetch(partial(report, "Copying blocks"))
    begun.blocks.check_arithmetic(begun.arithmetic.name)
    if compare:
        report("Comparing a block", 0, 0)
        _compare(begun, request, encoder)
    _seal(begun, request, encoder, target, report, replace=replace)


def _replaceable(target: Path, *, replace: bool) -> Path:
    try:
        check_replaceable(target.resolve(), replace=replace)
    except FileExistsError as error:
        raise OtherBuildError(str(error)) from error
    return target.resolve()


def _begun(work: Path, request: Request, encoder: Encoder, report: OnStage, store: BlockStore | None) -> _Begun:
    if store is not None:
        join(store, work, request.described())
    cells = read_grid(work)
    if cells is None:
        report("Finding land", 0, 0)
        cells = grid(request)
        save_grid(work, cells)
    if store is not None:
        send_grid(store, work)
    plan = BuildPlan(cells, block_cells_for(request.memory_bytes, request.dim))
    return _Begun(work, Blocks(plan, work / BLOCKS, store), Arithmetic.of(plan.cells, 1, encoder))


def _encode(
    begun: _Begun, request: Request, encoder: Encoder, report: OnStage, numbers: Iterable[int], *, keep_copies: bool
) -> None:
    begun.blocks.encode(
        numbers,
        partial(encoder.nearby, spacing_km=begun.arithmetic.spacing_km),
        partial(report, "Encoding"),
        rests=request.rests,
        arithmetic=begun.arithmetic.name,
        keep_copies=keep_copies,
    )


def _compare(begun: _Begun, request: Request, encoder: Encoder) -> None:
    """Make the block again that the arithmetic's name picks, and compare it with what is there."""
    number = int(begun.arithmetic.name[:8], 16) % len(begun.plan)
    path = block_path(begun.blocks.folder, number)
    encode = partial(encoder.nearby, spacing_km=begun.arithmetic.spacing_km)
    again = path.with_name(f"again-{path.name}")
    write_block(again, encode_block(begun.plan, number, encode, rests=request.rests), begun.arithmetic.name)
    same = again.read_bytes() == path.read_bytes()
    again.unlink()
    if not same:
        begun.blocks.drop_copies([number])
        raise ValueError(
            f"{begun.blocks.name(number)} differs from what its cells give on this machine; remove it and make it "
            "again, or finish on the machine that made it."
        )


def _seal(begun: _Begun, request: Request, encoder: Encoder, target: Path, report: OnStage, *, replace: bool) -> None:
    """Make the index of the blocks, in the place of an old one or none, and remove the working folder."""
    work, plan = begun.work, begun.plan
    cells, scratch, final = plan.cells, work / SCRATCH, work / INDEX
    shutil.rmtree(final, ignore_errors=True)  # of a build that was stopped while writing, or the index it replaced
    final.mkdir()
    nodes = write_nodes(cells if request.nodes else cells[:0], encoder, final)
    report("Fitting the prior", 0, 0)
    gallery, prior = _gallery_and_prior(request, cells)
    gallery.save(final / GALLERY)
    _save(final / CELLS, cells)
    _save(final / PRIOR, prior.coarse_log_mass.astype(np.float32))
    report("Writing the index", 0, 0)
    write_levels(lambda: read_blocks(plan, work / BLOCKS), cells, request.start_res, final, scratch, request.upper_bits)
    report("Sealing", 0, 0)
    manifest = replace_fields(
        _manifest(request, plan, gallery, prior),
        nodes=nodes,
        least_cosine=min(round(begun.arithmetic.least_cosine, 6), 1.0),
        smooth_res=smooth_from(cells, encoder),
    )
    seal(final, manifest, target, replace=replace)
    shutil.rmtree(work)


def _gallery_and_prior(request: Request, cells: Cells) -> tuple[Gallery, Prior]:
    """Return the part of the gallery that lies in the grid, and the prior it gives."""
    gallery = gallery_inside(request, cells)
    return gallery, Prior.fit(cells, areas_km2(cells), gallery)


def _save(path: Path, array: np.ndarray[Any, Any]) -> None:
    with written_whole(path) as temporary, temporary.open("wb") as file:
        np.save(file, array)


def _manifest(request: Request, plan: BuildPlan, gallery: Gallery, prior: Prior) -> Manifest:
    """Return the manifest but for what is measured while building."""
    return Manifest(
        model=request.model,
        tau=request.tau,
        dim=request.dim,
        encoder={"arithmetic": request.encoder},
        smooth_res=1,
        least_cosine=1.0,
        rests=request.rests,
        nodes=0,
        coarse_res=request.coarse_res,
        start_res=request.start_res,
        cells=len(plan.cells),
        encodings=plan.encodings,
        grid=_digest(plan.cells),
        region=None if request.region is None else {"name": request.region_name, "digest": request.region.digest()},
        gallery={
            "source": request.gallery_source,
            "digest": gallery.digest(),
            "places": len(gallery),
            "photos": gallery.total,
        },
        prior={**prior.parameters(), "digest": _digest(prior.coarse_log_mass.astype(np.float32))},
        parameters={"block_cells": plan.block_cells},
        versions=request.described()["versions"],
    )


def _digest(array: np.ndarray[Any, Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
