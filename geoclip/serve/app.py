"""The application: addresses, what each takes and gives. Everything it does is the library's, through `Service`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from geoclip import __version__
from geoclip.answers.answer import Answer
from geoclip.errors import GeoclipError
from geoclip.options import PhotoOptions, SearchOptions, WordOptions
from geoclip.serve.admission import Admission, Place
from geoclip.serve.answering import Desk
from geoclip.serve.bodies import photos_in, vectors_in
from geoclip.serve.formats import LINES, chosen
from geoclip.serve.guard import Guard
from geoclip.serve.info import ServiceInfo
from geoclip.serve.openapi import EMBED, INDEX, LOCATE, PLAIN, SEARCH, described
from geoclip.serve.page_files import add_page
from geoclip.serve.parameters import EmbedParameters, LocateParameters, SearchParameters
from geoclip.serve.problems import ProblemError
from geoclip.serve.queries import sentence, with_query
from geoclip.serve.service import Job, Service

OF_ONE_CALLER = "unknown"


def create_app(service: Service) -> FastAPI:
    """Return the application of an opened service, which is the caller's to close."""
    api = _Api(service)
    app = FastAPI(
        title="geoclip-planet",
        version=__version__,
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        description="Where was this photo taken? Photos or vectors in, places with probabilities out.",
    )
    app.add_api_route("/v1/locate", with_query(api.locate, LocateParameters), methods=["POST"], **LOCATE)
    app.add_api_route("/v1/search", with_query(api.search, SearchParameters), methods=["POST"], **SEARCH)
    app.add_api_route("/v1/embed", with_query(api.embed, EmbedParameters), methods=["POST"], **EMBED)
    app.add_api_route("/v1/index", api.index, methods=["GET"], response_model=ServiceInfo, **INDEX)
    app.add_api_route("/health", api.health, methods=["GET"], **PLAIN)
    app.add_api_route("/ready", api.ready, methods=["GET"], **PLAIN)
    app.add_api_route("/metrics", api.metrics, methods=["GET"], include_in_schema=False)
    for kind, respond in _RESPONSES.items():
        app.add_exception_handler(kind, respond)
    app.add_middleware(Guard, settings=service.settings, metrics=service.metrics)
    add_page(app)
    app.openapi = lambda: described(app, key=bool(service.settings.key))  # type: ignore[method-assign]
    return app


class _Api:
    """What is done at each address.

    Args:
        service: does the work.
    """

    def __init__(self, service: Service) -> None:
        self._service, self._settings = service, service.settings
        self._admission = Admission(service.settings, service.metrics)
        self._desk = Desk(service.settings.queue + 1, service.metrics)

    async def locate(self, request: Request, query: Any) -> Response:
        """Say where photos were taken."""
        with self._arrived(request) as (kind, place, job):
            photos = await photos_in(request, place, self._settings, query.name)
            search, reading, words = (query.options(group) for group in (SearchOptions, PhotoOptions, WordOptions))

            def answers() -> Iterator[Answer]:
                return self._service.locate(
                    job,
                    photos,
                    search,
                    index=query.index,
                    reading=reading,
                    words=words,
                    together=query.together,
                )

            return await self._answered(kind, job, place, answers, vectors=query.vector)

    async def search(self, request: Request, query: Any) -> Response:
        """Find the best places for vectors."""
        with self._arrived(request) as (kind, place, job):
            body = await vectors_in(request, place, self._settings)
            search = query.options(SearchOptions)

            def answers() -> Iterator[Answer]:
                return self._service.search(job, body, search, index=query.index)

            return await self._answered(kind, job, place, answers)

    async def embed(self, request: Request, query: Any) -> Response:
        """Turn photos into vectors."""
        with self._arrived(request) as (_, place, job):
            photos = await photos_in(request, place, self._settings, query.name)
            if not photos:
                raise ProblemError(400, "The body is empty; send a photo.")
            reading = query.options(PhotoOptions)
            place.accept()
            embedded = await self._desk.run(
                lambda: self._service.embed(job, photos, index=query.index, reading=reading)
            )
            place.release()
        if len(embedded.errors) == 1 and embedded.errors[0]:
            raise ProblemError(422, f"{embedded.names[0]}: {embedded.errors[0]}")
        self._service.metrics.count_stages(job.stages)
        headers = {"Server-Timing": job.stages.header, "Cache-Control": "no-store"}
        return Response(embedded.model_dump_json(), 200, headers, "application/json")

    async def index(self) -> ServiceInfo:
        """Say what is served."""
        return await self._desk.run(self._service.info)

    async def health(self) -> Response:
        """Say that the process answers."""
        return JSONResponse({"status": "ok"})

    async def ready(self) -> Response:
        """Say that requests are answered: the service listens only when everything is loaded."""
        return JSONResponse({"status": "ready"})

    async def metrics(self) -> Response:
        """Return the counts, for Prometheus."""
        return Response(self._service.metrics.text, media_type=CONTENT_TYPE_LATEST)

    @contextmanager
    def _arrived(self, request: Request) -> Iterator[tuple[str, Place, Job]]:
        """Take note of a request; its place is given back where it fails, and by who answers it where it does not."""
        kind = chosen(request.headers.get("accept", ""))
        client = request.client.host if request.client else OF_ONE_CALLER
        place = self._admission.arrive(client)
        try:
            yield kind, place, Job()
        except BaseException:
            place.release()
            raise

    async def _answered(
        self, kind: str, job: Job, place: Place, answers: Callable[[], Iterator[Answer]], *, vectors: bool = False
    ) -> Response:
        place.accept()
        if kind == LINES:
            return await self._desk.streamed(job, answers, place)
        response = await self._desk.whole(kind, job, answers, vectors=vectors)
        place.release()
        return response


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return error.response


async def _sentence(_: Request, error: Exception) -> Response:
    assert isinstance(error, GeoclipError)
    return ProblemError.of(error).response


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return ProblemError(422, sentence(error)).response


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = f"{error.detail.rstrip('.')}: {request.method} of this address is nothing that this service answers."
    return ProblemError(error.status_code, detail, error.headers).response


_RESPONSES: dict[type[Exception], Callable[[Request, Exception], Any]] = {
    ProblemError: _problem,
    GeoclipError: _sentence,
    RequestValidationError: _invalid,
    HTTPException: _http,
}
