"""The command line `geoclip`. Data goes to stdout, everything else to stderr.

Exit codes: 0 done; 1 some inputs failed, each named, the rest answered; 2 nothing could be done: wrong usage, bad
input, or something needed is missing; 130 stopped by Ctrl-C.
"""


def main() -> None:
    """Run the command line."""
    from geoclip.cli.app import app
    from geoclip.cli.terminal import with_exit_codes

    with_exit_codes(app)()  # of the help too, which no command prints
