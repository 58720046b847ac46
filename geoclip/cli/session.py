"""What a run of a command works with: the opened release and locator."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from geoclip.cli.terminal import progress, say, stderr
from geoclip.options import Candidates, IndexOptions, MachineOptions, ModelOptions, PhotoOptions, SearchOptions

if TYPE_CHECKING:
    from geoclip.embedder import PhotoEmbedder
    from geoclip.locator import Locator
    from geoclip.release.directory import Release


def open_embedder(photo: PhotoOptions, model: ModelOptions, machine: MachineOptions) -> "PhotoEmbedder":
    """Return what turns photos into vectors; CLIP is not loaded yet."""
    from geoclip.embedder import PhotoEmbedder
    from geoclip.encoders.precision import pick_device

    device = pick_device(machine.device)  # a wrong name should not wait for a download
    return PhotoEmbedder(
        release_of(model.weights),
        device=device,
        precision=machine.precision,
        clip_path=model.clip_path,
        limits=photo.limits(),
    )


def open_locator(
    embedder: "PhotoEmbedder",
    index: IndexOptions,
    search: SearchOptions,
    machine: MachineOptions,
    *,
    photos: bool = False,
    words: bool = False,
) -> "Locator":
    """Return the locator. What it will be asked, and CLIP's weights for photos or words, are looked at first."""
    from geoclip.answers.answerer import Answerer
    from geoclip.answers.source import SearchSource
    from geoclip.locator import Locator

    release = embedder.release
    source = SearchSource.find(
        release.model_digest, index.index, index.candidates, index.calibration, crops=embedder.limits.crops
    )
    source.asked(search)
    if photos or words:
        with progress("Loading CLIP"):
            _ = photos and embedder.image_encoder, words and embedder.text_encoder
    on_planet = source.candidates is Candidates.PLANET
    with progress("Opening" if on_planet else "Embedding the gallery (once)") as update:
        answerer = Answerer.open(
            release,
            source,
            engine=index.engine,
            device=embedder.device,
            precision=machine.precision,
            on_progress=update,
        )
    return Locator(embedder, answerer)


def release_of(weights: Path | None) -> "Release":
    """Open the release in a folder or at an address, or the authors', fetched where it is not there yet.

    Raises:
        WeightsError: the folder or address holds no sound release, or the authors' cannot be had.
    """
    from geoclip.release.directory import CONFIG, Release, released_path
    from geoclip.release.fetch import released
    from geoclip.remote.address import Address

    if weights is not None:
        with stderr.status("Looking for the weights ...") if Address.is_one(str(weights)) else nullcontext():
            return Release.open(weights)
    if not (released_path() / CONFIG).is_file():
        say("Fetching the released weights (40 MB, once) ...")
    return released()
