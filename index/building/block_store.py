"""What a build needs of a place elsewhere, where processes that share no folder keep its files."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Protocol

from index.building.working_folder import GRID, REQUEST, differing_request
from index.files import written_whole


class BlockStore(Protocol):
    """Files of a build by name, each there whole or not at all; `str` of it says where, without secrets.

    Names are as in a working folder: `request.json`, `grid.bin`, `blocks/000003.safetensors`. Every method raises
    ValueError with a sentence where the place cannot be reached, read or written.
    """

    def names(self, folder: str) -> Collection[str]:
        """Return the names of the files in a folder of it, without the folder; none where there is none."""

    def size_of(self, name: str) -> int | None:
        """Return the bytes of a file; None where there is none."""

    def read(self, name: str) -> bytes:
        """Return the content of a small file."""

    def fetch(self, name: str, path: Path) -> None:
        """Copy a file into an ordinary file."""

    def send(self, path: Path, name: str) -> None:
        """Copy an ordinary file there, in place of one of the same name."""

    def remove(self, name: str) -> None:
        """Remove a file; nothing happens where there is none."""


def join(store: BlockStore, work: Path, wanted: Mapping[str, Any]) -> None:
    """Agree with a store on what is built, as `claim` does with a working folder; fetch the grid, if it has one.

    Args:
        store: where the blocks of all parts are.
        work: the working folder of this process, claimed for the same request.
        wanted: what makes two requests the same, ready for JSON.

    Raises:
        OtherBuildError: it has the blocks of another request.
    """
    if store.size_of(REQUEST) is None:
        store.send(work / REQUEST, REQUEST)
    discard = "give another address, or remove what is there"
    differing_request(store.read(REQUEST), wanted, f"{store}/{REQUEST}", str(store), discard)  # of whoever came last
    fetch_grid(store, work)


def fetch_grid(store: BlockStore, work: Path) -> None:
    """Copy the grid into a working folder that lacks it, if the store has one."""
    if not (work / GRID).exists() and store.size_of(GRID) is not None:
        with written_whole(work / GRID) as temporary:  # its digest is checked where it is read
            store.fetch(GRID, temporary)


def send_grid(store: BlockStore, work: Path) -> None:
    """Keep the grid in the store too, so that not every process has to find the land."""
    if store.size_of(GRID) is None:
        store.send(work / GRID, GRID)
