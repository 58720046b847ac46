"""The same application on many machines: Ray Serve places, routes, watches and scales its replicas.

Each replica loads the model and maps the index; `ray.yaml` beside this file is a deployment to start from.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from fastapi import FastAPI
from ray import serve
from ray.serve import Application

from geoclip.errors import InputError
from geoclip.long_lived import keep_loaded
from geoclip.option_groups import Options, option_fields
from geoclip.options import IndexOptions, MachineOptions, ModelOptions, PhotoOptions
from geoclip.serve.app import create_app
from geoclip.serve.service import Service
from geoclip.serve.settings import ServedOptions, ServeOptions

Group = TypeVar("Group", bound=Options)
GROUPS: tuple[type[Options], ...] = (
    ServedOptions,
    IndexOptions,
    PhotoOptions,
    ModelOptions,
    MachineOptions,
    ServeOptions,
)


def app(args: Mapping[str, Any]) -> Application:
    """Return the application: what `import_path` of a deployment file names. Arguments as of `deployment`."""
    return deployment(args).bind()


def deployment(args: Mapping[str, Any]) -> serve.Deployment:
    """Return the deployment `geoclip`, whose number of replicas and the like are Ray's options.

    Args:
        args: options of `geoclip serve` by their names in Python, such as `index`, `clip_path`, `queue`. `host` says
            who can reach Ray's proxy: others than this machine need a key.

    Raises:
        InputError: an option is unknown or not allowed.
    """
    known = {name for group in GROUPS for name in option_fields(group)}
    if unknown := sorted(args.keys() - known):
        raise InputError(f"There is no option {unknown[0]!r}; choose from {', '.join(sorted(known))}.")
    settings = _options(ServeOptions, args)

    made: serve.Deployment = serve.deployment(
        serve.ingress(lambda: application(args, settings))(), name="geoclip", max_ongoing_requests=settings.queue
    )
    return made


def application(args: Mapping[str, Any], settings: ServeOptions) -> FastAPI:
    """Return what a replica answers with, everything loaded. Arguments as of `deployment`."""
    service = Service.open(
        _options(ServedOptions, args),
        _options(IndexOptions, args, without="index"),
        _options(PhotoOptions, args),
        _options(ModelOptions, args, without="weights"),
        _options(MachineOptions, args),
        settings,
    )
    made = create_app(service)
    keep_loaded()
    return made


def _options(group: type[Group], args: Mapping[str, Any], *, without: str = "") -> Group:
    """Return a group of options; those of `without` are another group's, of which there may be several."""
    return group(**{name: args[name] for name in option_fields(group) if name in args and name != without})
