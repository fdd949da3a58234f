"""Conversations in steps: what tools answered in a row belongs together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from llmsite.types.message import Message


def steps(messages: Sequence[Message]) -> Iterator[tuple[int, list[Message]]]:
    """Each step and where it begins: a run of tools' results, or one message of any other role."""
    start = 0
    while start < len(messages):
        end = start + 1
        while messages[start].role == "tool" and end < len(messages) and messages[end].role == "tool":
            end += 1
        yield start, list(messages[start:end])
        start = end
