"""`geoclip export`."""

from pathlib import Path

from geoclip.cli.terminal import say
from geoclip.extras import need


def run(checkpoint: Path, target: Path, *, gallery: Path | None, overwrite: bool) -> None:
    """Write a checkpoint as a release."""
    need("train", "Reading a checkpoint of training")
    from geoclip.train.export import export

    release = export(checkpoint, target, gallery=gallery, overwrite=overwrite)
    say(
        f"{target} holds the model {release.model_digest[:16]}; use it with `geoclip build DIR --weights {target}` and "
        f"`geoclip locate PHOTO --weights {target}`."
    )
