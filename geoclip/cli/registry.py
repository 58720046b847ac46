"""The application that commands are registered with."""

from collections.abc import Callable

import typer

from geoclip.cli.groups import with_groups
from geoclip.cli.terminal import with_exit_codes

app = typer.Typer(
    name="geoclip",
    help="Where was this photo taken? GeoCLIP's trained encoders as a search engine. Everything runs on this machine; "
    "no photo leaves it.",
    epilog="Weights are kept in ~/.cache/geoclip-planet; set GEOCLIP_CACHE to keep them elsewhere. "
    "Exit codes: 0 done, 1 some photos failed (each named), 2 nothing could be done, 130 stopped.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def command(*examples: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a function a command of its name, with examples below its help."""
    epilog = "\n\n".join(["[bold]Examples[/bold]", *examples])

    def registered(function: Callable[..., None]) -> Callable[..., None]:
        return app.command(epilog=epilog)(with_exit_codes(with_groups(function)))

    return registered
