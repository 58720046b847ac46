"""Bodies of requests, read into memory within limits of size and time; nothing of them touches the disk."""

import asyncio
import base64
import binascii
from collections.abc import AsyncGenerator
from typing import Annotated

from pydantic import Field
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from geoclip.schema import Record, record_of
from geoclip.serve.admission import Place
from geoclip.serve.problems import ProblemError
from geoclip.serve.service import NamedPhoto
from geoclip.serve.settings import ServeOptions
from geoclip.serve.vector_bodies import JSON, NPY, PARQUET, VectorBody

MULTIPART, BYTES = "multipart/form-data", "application/octet-stream"


class JsonPhoto(Record):
    """A photo as JSON."""

    data: Annotated[str, Field(description="The file in base64.", json_schema_extra={"contentEncoding": "base64"})]
    name: Annotated[str, Field(description="What the answer calls it.")] = ""


class JsonPhotos(Record):
    """Photos as JSON."""

    photos: Annotated[list[JsonPhoto], Field(min_length=1)]


class _InMemory(MultiPartParser):
    """Parts stay in memory, however large: the body's size is bounded already."""

    spool_max_size = 1 << 40


def content_type(request: Request) -> str:
    """Return the type of a body without its parameters, empty where none is said.

    Raises:
        ProblemError: it is packed.
    """
    packed = request.headers.get("content-encoding", "identity").lower()
    if packed != "identity":
        raise ProblemError(415, f"The body is packed ({packed:.40}); send it as it is.")
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def photos_in(request: Request, place: Place, settings: ServeOptions, name: str) -> list[NamedPhoto]:
    """Return the photos of a body: the file itself, multipart, or base64 in JSON; none of an empty body.

    Args:
        request: with the body.
        place: counts the bytes.
        settings: limits.
        name: of a photo that is the whole body.

    Raises:
        ProblemError: the body cannot be understood, is too large, or comes too slowly.
    """
    kind = content_type(request)
    if kind == MULTIPART:
        photos = await _of_multipart(request, place, settings)
    elif kind == JSON:
        photos = _of_json(await _whole(request, place, settings))
    elif kind in ("", BYTES) or kind.startswith("image/"):
        content = await _whole(request, place, settings)
        photos = [NamedPhoto(name, content)] if content else []
    else:
        raise ProblemError(
            415,
            f"The body is of the type {kind:.60}; send a photo as image/jpeg (or any image/*), several as "
            f"{MULTIPART}, or base64 as {JSON}.",
        )
    if len(photos) > settings.photos:
        raise ProblemError(413, f"There are {len(photos)} photos; a request may have {settings.photos}.")
    return photos


async def vectors_in(request: Request, place: Place, settings: ServeOptions) -> VectorBody:
    """Return the vectors of a body, not read yet. Arguments and errors as for `photos_in`."""
    kind = content_type(request)
    if kind not in ("", BYTES, JSON, NPY, PARQUET):
        raise ProblemError(415, f"The body is of the type {kind:.60}; send vectors as {JSON}, {NPY} or {PARQUET}.")
    content = await _whole(request, place, settings)
    if not content:
        raise ProblemError(400, "The body is empty; send vectors.")
    return VectorBody(content, kind)


async def _chunks(request: Request, place: Place, settings: ServeOptions) -> AsyncGenerator[bytes, None]:
    """Yield the body as it comes."""
    too_large = ProblemError(413, f"The body is too large; {settings.upload_mb} MB are allowed.")
    said = request.headers.get("content-length", "")
    if said.isdigit() and int(said) > settings.upload_bytes:
        raise too_large
    received = 0
    try:
        async with asyncio.timeout(settings.upload_s):
            async for chunk in request.stream():
                received += len(chunk)
                if received > settings.upload_bytes:
                    raise too_large
                place.take(len(chunk))
                yield chunk
    except TimeoutError as error:
        raise ProblemError(408, f"The body was not there after {settings.upload_s:g} s; send it faster.") from error


async def _whole(request: Request, place: Place, settings: ServeOptions) -> bytes:
    return b"".join([chunk async for chunk in _chunks(request, place, settings)])


async def _of_multipart(request: Request, place: Place, settings: ServeOptions) -> list[NamedPhoto]:
    chunks = _chunks(request, place, settings)
    try:
        form = await _InMemory(request.headers, chunks, max_files=settings.photos, max_fields=0).parse()
    except MultiPartException as error:
        if error.message.startswith("Too many files"):
            raise ProblemError(
                413, f"There are more photos than {settings.photos}, which a request may have."
            ) from error
        raise ProblemError(400, f"The body is not proper {MULTIPART}: {error.message.rstrip('.')}.") from error
    photos = []
    for _, part in form.multi_items():
        assert isinstance(part, UploadFile)  # there are no fields
        photos.append(NamedPhoto(part.filename or "", part.file.read()))
        part.file.close()
    return photos


def _of_json(content: bytes) -> list[NamedPhoto]:
    try:
        given = record_of(content, JsonPhotos)
        return [NamedPhoto(photo.name, base64.b64decode(photo.data, validate=True)) for photo in given.photos]
    except binascii.Error as error:
        raise ProblemError(400, f"A photo is not proper base64 ({error}).") from error
    except ValueError as error:
        raise ProblemError(400, f'The body is not {{"photos": [{{"name": ..., "data": base64}}]}}: {error}.') from error
