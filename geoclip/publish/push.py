"""An index or a model onto the Hugging Face hub: read whole and found sound first, then one commit."""

import warnings
from pathlib import Path

from geoclip.errors import InputError, WeightsError
from geoclip.publish.card import index_card
from geoclip.release.directory import CONFIG, Release, description_of
from geoclip.remote.address import Address, HubFolder, reason_of
from index.storage.artifact import verify
from index.storage.directory import read_manifest
from index.storage.manifest import CARD, MANIFEST, SUMS


def push(folder: Path, address: str, *, public: bool = False) -> str:
    """Put an index or a release on the hub; return the address of the commit.

    The repository is made where there is none, and so is a branch. An index without a card gets one.

    Args:
        folder: of an index, or of a release.
        address: `hf://owner/name`, `hf://datasets/owner/name`, or either with a branch, `@name`.
        public: a repository that is made is for everyone to see; else for its owner only.

    Raises:
        InputError: the folder holds neither, or is damaged; the address is another; or the hub refuses.
    """
    target = Address(address)
    where = target.hub_folder()
    if where is None:
        raise InputError(f"{target} is not a repository of the hub; give hf://owner/name or hf://datasets/owner/name.")
    contents: dict[str, Path | bytes] = {name: folder / name for name in _names(folder)}
    card = folder / CARD
    if MANIFEST in contents and not card.is_file():
        contents[CARD] = index_card(folder).encode()
    elif card.is_file():
        contents[CARD] = card
    try:
        return _commit(contents, where, f"{folder.resolve().name}, by geoclip push", public=public)
    except Exception as error:  # the hub's library has many
        raise InputError(
            f"{target} did not take {folder} ({reason_of(error)}); check the name, log in with `hf auth login`, and "
            "run it again: what is there already is not sent again."
        ) from None


def _names(folder: Path) -> list[str]:
    """Return the files of a sound index or release."""
    if (folder / MANIFEST).is_file():
        if problems := verify(folder):
            raise InputError(problems[0])
        return [*read_manifest(folder).files, MANIFEST, SUMS]
    if (folder / CONFIG).is_file():
        try:
            Release.open(folder)
            listed = description_of(folder).sha256
        except WeightsError as error:
            raise InputError(str(error)) from error
        if not listed:
            raise InputError(f"{folder / CONFIG} lists no digests; make the folder with `geoclip export`.")
        return [*listed, CONFIG]
    raise InputError(
        f"{folder} is neither an index nor a model; give the folder of `geoclip build` or `geoclip export`."
    )


def _commit(contents: dict[str, Path | bytes], where: HubFolder, message: str, *, public: bool) -> str:
    from huggingface_hub import CommitOperationAdd, HfApi

    hub = HfApi(library_name="geoclip-planet")
    hub.create_repo(where.repository, repo_type=where.kind, private=not public, exist_ok=True)
    if where.revision is not None:
        hub.create_branch(where.repository, repo_type=where.kind, branch=where.revision, exist_ok=True)
    added = [CommitOperationAdd(name, content) for name, content in contents.items()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it takes Parquet in a model for a mistake
        done = hub.create_commit(
            where.repository, added, commit_message=message, repo_type=where.kind, revision=where.revision
        )
    return str(done.commit_url)
