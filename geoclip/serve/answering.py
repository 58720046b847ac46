"""One request from its place in the queue to its answer: the work runs in threads, the event loop stays free."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import TypeVar

from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from geoclip.answers.answer import Answer
from geoclip.serve.admission import Place
from geoclip.serve.formats import JSON, LINES, content_type, line, written
from geoclip.serve.metrics import Metrics
from geoclip.serve.problems import ProblemError
from geoclip.serve.service import Job

T = TypeVar("T")

TAKING_S = 30.0
"""A caller that does not take a part of its answer in this time is left."""


class Desk:
    """Does the work of requests in threads.

    Args:
        threads: how many; most of them wait for a worker or an encoder.
        metrics: are told.
    """

    def __init__(self, threads: int, metrics: Metrics) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="request")
        self._metrics = metrics

    async def run(self, task: Callable[[], T]) -> T:
        """Return what a task gives in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, task)

    async def whole(self, kind: str, job: Job, answers: Callable[[], Iterator[Answer]], *, vectors: bool) -> Response:
        """Return all answers at once.

        Raises:
            ProblemError: there was one photo or vector, and it cannot be read.
            InputError: an option is not allowed.
        """

        def task() -> bytes:
            found = list(answers())
            self._count(found)
            return written(kind, found, job.vectors(found) if vectors and kind == JSON else None)

        content = await self.run(task)
        self._metrics.count_stages(job.stages)
        headers = {"Server-Timing": job.stages.header, "Cache-Control": "no-store", "Vary": "Accept"}
        return Response(content, 200, headers, content_type(kind))

    async def streamed(self, job: Job, answers: Callable[[], Iterator[Answer]], place: Place) -> Response:
        """Return answers as they come; the place is released at the end. Errors as of `whole`."""

        def begin() -> Iterator[Answer]:
            stream = answers()
            first = next(stream)
            second = next(stream, None)
            if second is None:
                self._count([first])
            return chain([first], [] if second is None else [second], stream)

        stream = await self.run(begin)

        async def lines() -> AsyncIterator[bytes]:
            while (answer := await self.run(lambda: next(stream, None))) is not None:
                yield line(answer)
            self._metrics.count_stages(job.stages)

        headers = {"Cache-Control": "no-store", "Vary": "Accept"}
        return _Streamed(lines(), place, headers)

    def _count(self, answers: list[Answer]) -> None:
        bad = [answer for answer in answers if answer.error]
        self._metrics.errors.labels("input").inc(len(bad))
        if len(answers) == len(bad) == 1:
            raise ProblemError(422, f"{answers[0].query}: {answers[0].error}")


class _Streamed(StreamingResponse):
    """Lines of JSON; whoever takes them holds a place, and loses it with the last line or by not taking any."""

    def __init__(self, lines: AsyncIterator[bytes], place: Place, headers: dict[str, str]) -> None:
        super().__init__(lines, 200, headers, LINES)
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def in_time(message: Message) -> None:
            async with asyncio.timeout(TAKING_S):
                await send(message)

        try:
            await super().__call__(scope, receive, in_time)
        except TimeoutError:
            return
        finally:
            self._place.release()
