"""LocalTransport: requests to the pipeline of this process."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from llmsite.inference.pipeline import Pipeline
from llmsite.types.chunk import Reply
from llmsite.types.request import Request


class LocalTransport:
    """A `client.Transport` without a wire."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def send(self, request: Request) -> AsyncGenerator[Reply, None]:
        return self._pipeline.run(request)
