"""Packages that only some commands need: where one is missing, a sentence names the extra that brings it."""

from importlib.util import find_spec

from geoclip.errors import InputError

EXTRAS = {
    "fetch": ("pip",),
    "map": ("matplotlib",),
    "mcp": ("mcp",),
    "ray": ("ray",),
    "serve": ("fastapi", "uvicorn", "prometheus_client", "python_multipart"),
    "train": ("lightning", "jsonargparse", "tensorboard", "webdataset", "matplotlib"),
}


def need(extra: str, what: str) -> None:
    """Complain of packages that are not installed, before any work.

    Args:
        extra: of `EXTRAS`, named as in pyproject.toml.
        what: begins the sentence.

    Raises:
        InputError: one is missing.
    """
    if missing := [name for name in EXTRAS[extra] if find_spec(name) is None]:
        raise InputError(
            f"{what} needs {' and '.join(missing)}, which this installation lacks; run "
            f"`pip install 'geoclip-planet[{extra}]'`."
        )
