"""`geoclip.build_index`: the trained location encoder in, an index of the planet or of a part of it out."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from geoclip.encoders.location import LocationEncoder
from geoclip.encoders.multi_gpu import MultiGpuEncoder, all_devices
from geoclip.encoders.precision import precision_name
from geoclip.errors import InputError
from geoclip.files import cannot_write
from geoclip.on_ray import Runner
from geoclip.options import BuildOptions, MachineOptions, Preset
from geoclip.release.directory import Release
from geoclip.release.fetch import RELEASED_MODEL, released
from geoclip.remote.blocks import open_blocks
from geoclip.tables.bad_rows import BadRows
from geoclip.tables.columns import OptionColumns
from geoclip.tables.coordinates import read_places
from index.building.block_job import MakeBlocks
from index.building.block_store import BlockStore
from index.building.build import build, build_part, finish, points_per_second
from index.building.request import Cost, Request, cost, grid
from index.building.working_folder import discard, working_folder
from index.grid.region import Region
from index.parts import Part
from index.storage.gallery import Gallery

GB = 1e9
_RELEASED_GALLERY = "239a0120f775834878f71266363058e059ec61fd94ff97f1d89a288774501975"
"""The digest of the authors' gallery, wherever it lies."""


class IndexBuilder:
    """What is to be built, with the encoder that builds it.

    Args:
        options: of the index.
        release: the model; None is the authors' release, fetched where it is not there yet.
        machine: where and how to compute; its workers do not matter.
        on_problem: told in a sentence of rows of the gallery that cannot be used.

    Raises:
        InputError: the region or the gallery cannot be read, or an option is out of range.
    """

    def __init__(
        self,
        options: BuildOptions = BuildOptions(),
        release: Release | None = None,
        machine: MachineOptions = MachineOptions(),
        on_problem: Callable[[str], object] = lambda sentence: None,
    ) -> None:
        is_released, release = release is None, release or released()
        encoder = LocationEncoder.of(release, precision=machine.precision)
        devices = all_devices(machine.device)
        self._encoder = MultiGpuEncoder(encoder, devices)
        self.arithmetic = f"{precision_name(machine.precision, devices[0])} on {devices[0].type}"
        try:
            gallery, source = _gallery(options, release, is_released, on_problem)
            self.request = Request(
                coarse_res=options.stored_res,
                start_res=options.compared_res,
                gallery=gallery,
                gallery_source=source,
                region=Region.parse(options.region) if options.region else None,
                region_name=options.region or "",
                memory_bytes=int(options.memory * GB),
                dim=encoder.dim,
                model=release.model_digest,
                tau=float(release.logit_scale().exp()),
                rests=options.stored_res < Preset.PLANET.coarse_res,
                nodes=options.stored_res >= Preset.PLANET.coarse_res,
                encoder=self.arithmetic,
            )
        except ValueError as error:
            raise InputError(str(error)) from error

    def cost(self) -> tuple[Cost, float]:
        """Return what a build would take besides time, and how many points a second are encoded here."""
        try:
            cells = grid(self.request)
            return cost(self.request, cells), points_per_second(cells, self._encoder)
        except ValueError as error:
            raise InputError(str(error)) from error

    def build(
        self,
        target: Path,
        *,
        overwrite: bool = False,
        restart: bool = False,
        blocks: str | None = None,
        runner: Runner = Runner.HERE,
        report: Callable[[str, int, int], object] = lambda stage, done, total: None,
    ) -> None:
        """Build, or go on with a build that was stopped; see `build_index`."""
        with self._said(target, blocks):
            if target.exists() and not overwrite:
                raise InputError(f"{target} exists; choose another name, or replace it with --overwrite.")
            if restart:
                discard(target)
            make = None if runner is Runner.HERE else self._on_ray(blocks)
            target.parent.mkdir(parents=True, exist_ok=True)
            build(
                self.request,
                self._encoder,
                target,
                report=report,
                replace=overwrite,
                store=_store(blocks),
                make=make,
            )

    def build_part(
        self,
        target: Path,
        part: str,
        *,
        blocks: str | None = None,
        report: Callable[[str, int, int], object] = lambda stage, done, total: None,
    ) -> bool:
        """Encode one part of a build, such as `3/16`, into the folder `<target>.building`, which all parts share.

        Parts know nothing of each other; one that is repeated makes what is missing. `finish` makes the index. Returns
        False, and leaves nothing behind, where that index is there already.

        Args:
            target: of the build.
            part: its number and how many there are.
            blocks: an address or folder where the blocks are kept; parts share nothing else then.
            report: as for `build_index`.

        Raises:
            InputError: there is no such part, the folder or address is of another build, or it cannot be reached.
        """
        with self._said(target, blocks):
            wanted = Part.parse(part)
            target.parent.mkdir(parents=True, exist_ok=True)
            return build_part(self.request, self._encoder, target, wanted, report=report, store=_store(blocks))

    def finish(
        self,
        target: Path,
        *,
        overwrite: bool = False,
        blocks: str | None = None,
        report: Callable[[str, int, int], object] = lambda stage, done, total: None,
    ) -> None:
        """Make the index of the blocks of all parts: the same, to the byte, as that of `build`.

        Raises:
            InputError: blocks are missing or damaged, or were made with another arithmetic than this machine's; or the
                address of the blocks cannot be reached.
        """
        with self._said(target, blocks):
            target.parent.mkdir(parents=True, exist_ok=True)
            finish(self.request, self._encoder, target, report=report, replace=overwrite, store=_store(blocks))

    def _on_ray(self, blocks: str | None) -> MakeBlocks:
        from geoclip.build_on_ray import on_ray

        encoder = self._encoder.encoders[0]
        return on_ray(encoder, encoder.device.type, blocks)

    @contextmanager
    def _said(self, target: Path, blocks: str | None) -> Iterator[None]:
        """Turn errors into sentences for people."""
        try:
            yield
        except ValueError as error:
            raise InputError(str(error)) from error
        except OSError as error:
            where = working_folder(target) if blocks is None else "where the blocks are kept"
            raise InputError(
                f"{cannot_write(target, error)} What was done is in {where}; the same command goes on."
            ) from error


class BuiltIndex(NamedTuple):
    """What came of a build."""

    folder: Path
    seconds: float
    bytes: int


def build_index(
    target: str | Path,
    options: BuildOptions = BuildOptions(),
    *,
    release: Release | None = None,
    machine: MachineOptions = MachineOptions(),
    overwrite: bool = False,
    restart: bool = False,
    blocks: str | None = None,
    runner: Runner = Runner.HERE,
    report: Callable[[str, int, int], object] = lambda stage, done, total: None,
    on_problem: Callable[[str], object] = lambda sentence: None,
    **changes: Any,
) -> BuiltIndex:
    """Build an index, or go on with a build that was stopped.

    Args:
        target: the folder to make.
        options: of the index.
        release: the model; None is the authors' release, fetched where it is not there yet.
        machine: where and how to compute; its workers do not matter.
        overwrite: replace the folder if it exists.
        restart: discard what a stopped build left.
        blocks: an address (s3://bucket/folder) or folder where the blocks are kept while it is built, and after.
        runner: who encodes: this process, or Ray's.
        report: told of each stage's name, the number done and of all (0 where that is not known).
        on_problem: told in a sentence of rows of the gallery that cannot be used.
        changes: of the options, by name: `build_index("france", region="FR")`.

    Raises:
        InputError: the folder exists, an option is out of range, or something cannot be read or written; what was done
            is kept, and the same call goes on.
    """
    begun = time.perf_counter()
    builder = IndexBuilder(options.changed(**changes), release, machine, on_problem)
    builder.build(
        Path(target), overwrite=overwrite, restart=restart, blocks=blocks, runner=Runner(runner), report=report
    )
    size = sum(path.stat().st_size for path in Path(target).iterdir())
    return BuiltIndex(Path(target), time.perf_counter() - begun, size)


def _store(blocks: str | None) -> BlockStore | None:
    return None if blocks is None else open_blocks(blocks)


def _gallery(
    options: BuildOptions, release: Release, is_released: bool, on_problem: Callable[[str], object]
) -> tuple[Gallery, str]:
    """Return the gallery, and what to call it in the index."""
    if options.no_gallery:
        return Gallery.empty(), "none"
    if options.gallery is None:
        gallery = Gallery.of(release.gallery())
        known = is_released or (release.model_digest, gallery.digest()) == (RELEASED_MODEL, _RELEASED_GALLERY)
        return gallery, "released with GeoCLIP 1.3.0" if known else f"of the model {release.model_digest[:12]}"
    bad = BadRows()
    places = read_places(options.gallery, OptionColumns(None, options.lat_column, options.lng_column), bad)
    gallery = Gallery.gathered((each.lat_lng for each in places), bad.counts)
    if options.rejected is not None:
        bad.write(options.rejected)
    where = f"listed in {options.rejected}" if options.rejected else "listed with --rejected FILE.csv"
    bad.settle(options.gallery, then=f"They are left out, and {where}.", on_problem=on_problem)
    return gallery, options.gallery.name
