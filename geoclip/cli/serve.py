"""`geoclip serve`: everything is loaded, then requests are answered until it is told to stop."""

from typing import Annotated

from geoclip.cli.registry import command
from geoclip.cli.terminal import progress, say
from geoclip.extras import need
from geoclip.options import IndexOptions, MachineOptions, ModelOptions, PhotoOptions
from geoclip.serve.settings import ServedOptions, ServeOptions


@command(
    "geoclip serve     [dim]# http://127.0.0.1:8000, this machine alone[/dim]",
    "geoclip serve -i planet -i alps=indexes/alps     [dim]# callers choose with ?index=alps[/dim]",
    "GEOCLIP_API_KEY=... geoclip serve --host 0.0.0.0",
    "curl -F photo=@holiday.jpg http://127.0.0.1:8000/v1/locate     [dim]# what it is for[/dim]",
)
def serve(
    served: ServedOptions,
    settings: ServeOptions,
    index: Annotated[IndexOptions, "candidates", "calibration", "engine"],
    photo: Annotated[PhotoOptions, "max_megapixels"],
    model: Annotated[ModelOptions, "clip_path"],
    machine: MachineOptions,
) -> None:
    """Answer over HTTP, with a page for people. Needs the packages of the extra `serve`."""
    need("serve", "The service")
    from geoclip.serve.app import create_app
    from geoclip.serve.running import run
    from geoclip.serve.service import Service

    with progress("Loading"):
        service = Service.open(served, index, photo, model, machine, settings)
    app = create_app(service)
    try:
        run(app, settings, lambda address: say(f"Listening on {address}; stop with Ctrl-C."))
    finally:
        service.close()
