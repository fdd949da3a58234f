"""The frames of a job as an answer: what decides the status, what stands in a frame, and that leaving ends it (catalogue 2.4)."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from api.job_streams import answer, frame
from llmsite.types.chunk import Progress
from llmsite.types.errors import Busy, EngineError, InvalidRequest, LlmsiteError, RegistryError, StorageFull

FULL = StorageFull("not enough space in the model store: 4096 more bytes are needed")
PARSING, SUCCESS = Progress("parsing GGUF"), Progress("success")


class Job:
    """Frames, and perhaps an error behind them. `is_closed` once nobody listens any more."""

    def __init__(self, *frames: Progress, error: Exception | None = None) -> None:
        self.is_closed = False
        self.frames = self._frames(frames, error)

    async def _frames(self, frames: tuple[Progress, ...], error: Exception | None) -> AsyncGenerator[Progress, None]:
        try:
            for each in frames:
                yield each
            if error:
                raise error
        finally:
            self.is_closed = True


async def lines(response: object) -> list[dict[str, object]]:
    async with aclosing(response.frames) as frames:  # type: ignore[attr-defined]
        return [json.loads(each) async for each in frames]


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (SUCCESS, b'{"status":"success"}'),
        (Progress("pulling", "sha256:a", 9), b'{"status":"pulling","digest":"sha256:a","total":9}'),
        (Progress("pulling", "sha256:a", 9, 3), b'{"status":"pulling","digest":"sha256:a","total":9,"completed":3}'),
        (Progress("<&>"), b'{"status":"\\u003c\\u0026\\u003e"}'),
    ],
)
def test_2_16_a_frame_leaves_out_what_is_empty(progress: Progress, text: bytes) -> None:
    assert frame(progress) == text


@pytest.mark.parametrize(
    ("error", "status"),
    [(FULL, 507), (InvalidRequest("no"), 400), (EngineError("no"), 500), (RegistryError("no"), 500), (Busy("no"), 503)],
    ids=lambda value: type(value).__name__ if isinstance(value, LlmsiteError) else "",
)
@pytest.mark.parametrize("stream", [True, False])
async def test_2_4_an_error_before_the_first_frame_has_its_status(error: LlmsiteError, status: int, stream: bool) -> None:
    job = Job(error=error)
    response = await answer(job.frames, stream=stream)
    assert (response.status_code, response.headers["Content-Type"]) == (status, "application/json")
    assert json.loads(response.content) == {"error": str(error)}  # type: ignore[attr-defined]
    assert job.is_closed


async def test_2_4_an_error_after_a_frame_is_the_last_line() -> None:
    job = Job(PARSING, error=FULL)
    response = await answer(job.frames, stream=True)
    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/x-ndjson")
    assert await lines(response) == [{"status": "parsing GGUF"}, {"error": str(FULL)}]
    assert job.is_closed


async def test_2_4_not_streamed_an_error_after_frames_has_its_status() -> None:
    response = await answer(Job(PARSING, error=FULL).frames, stream=False)
    assert response.status_code == 507


async def test_2_4_not_streamed_it_is_the_last_frame() -> None:
    response = await answer(Job(PARSING, SUCCESS).frames, stream=False)
    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/json")
    assert response.content == b'{"status":"success"}'  # type: ignore[attr-defined]


async def test_a_fault_of_ours_shows_nothing_of_itself() -> None:
    frames = await lines(await answer(Job(PARSING, error=ZeroDivisionError("secret")).frames, stream=True))
    assert frames[-1]["error"].startswith("internal error (id ")  # type: ignore[attr-defined]


async def test_a_client_that_leaves_closes_the_job() -> None:
    job = Job(PARSING, SUCCESS)
    response = await answer(job.frames, stream=True)
    await response.frames.__anext__()  # type: ignore[attr-defined]
    assert not job.is_closed
    await response.frames.aclose()  # type: ignore[attr-defined]
    assert job.is_closed
