"""`geoclip fetch`."""

from pathlib import Path

from geoclip.cli.terminal import say, stderr


def run(wheel: Path | None, *, clip: bool) -> None:
    """Fetch the released weights, and CLIP's if asked for."""
    from geoclip.release.fetch import fetch

    with stderr.status("Fetching the released weights (40 MB) ..."):
        release = fetch(wheel)
    say(f"The released weights and gallery are in {release.path}.")
    if clip:
        from geoclip.encoders.backbone import hub_checkpoint

        say(f"CLIP's weights are in {hub_checkpoint(release.config)}.")
