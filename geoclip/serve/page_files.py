"""The page's files: its own, those it shares with the HTML file of `--map`, and the names of towns."""

from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from geoclip.map.towns import towns_file

PAGE = Path(__file__).with_name("page")


def add_page(app: FastAPI) -> None:
    """Answer `/map/...`, and with the page whatever no other address answers. To be called last."""
    app.add_api_route("/map/towns.json.gz", _towns, methods=["GET"], include_in_schema=False)
    app.mount("/map", StaticFiles(directory=str(files("geoclip.map").joinpath("browser"))))
    app.router.default = StaticFiles(directory=PAGE, html=True)  # not mounted, or it would take the place of "405"


def _towns() -> Response:
    return Response(towns_file(), media_type="application/gzip", headers={"Cache-Control": "max-age=86400"})
