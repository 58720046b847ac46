"""`geoclip fetch`, `geoclip train` and `geoclip export`: where a model comes from."""

from collections.abc import Callable
from pathlib import Path

from geoclip.cli.terminal import say, stderr
from geoclip.errors import InputError
from geoclip.extras import need
from geoclip.files import is_folder


def run_fetch(wheel: Path | None, *, clip: bool) -> None:
    """Fetch the released weights, and CLIP's if asked for."""
    from geoclip.release.fetch import fetch

    with stderr.status("Fetching the released weights (40 MB) ..."):
        release = fetch(wheel)
    say(f"The released weights and gallery are in {release.path}.")
    if clip:
        from geoclip.encoders.backbone import hub_checkpoint

        say(f"CLIP's weights are in {hub_checkpoint(release.config)}.")


def run_train(arguments: list[str], show_help: Callable[[], object] = lambda: None) -> None:
    """Hand the arguments to Lightning's command line; where it is not installed, `show_help` answers --help.

    Raises:
        InputError: a package of the extra `train` is missing, or the arguments cannot be used.
    """
    try:
        need("train", "Training")
    except InputError as error:
        if not {"-h", "--help"} & set(arguments):
            raise
        show_help()
        say(str(error))
        return
    from geoclip.train.cli import run

    run(arguments)


def run_export(checkpoint: Path, target: Path, *, gallery: Path | None, overwrite: bool) -> None:
    """Write a checkpoint, or a folder of a public layout, as a release."""
    if not is_folder(checkpoint):
        need("train", "Reading a checkpoint of training")
    from geoclip.train.export import export

    release = export(checkpoint, target, gallery=gallery, overwrite=overwrite)
    say(
        f"{target} holds the model {release.model_digest[:16]}; use it with `geoclip build DIR --weights {target}` and "
        f"`geoclip locate PHOTO --weights {target}`."
    )
