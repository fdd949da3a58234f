"""Live progress of downloads on pages: what changed since the tab last heard, as fragments to swap, for socket and poll.

The same partials stand in the page. A tab that was away gets everything; the cursor says what it has.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Collection
from dataclasses import dataclass
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.template.loader import get_template
from django.utils import translation

from models_app import watching
from models_app.download import KINDS, Download, downloads_of
from models_app.models import Job
from models_app.watching import Changes, JobView

TOPIC: Final = "pulls"
_PACE_SECONDS: Final = 0.25
"""At most four batches a second."""


@dataclass(frozen=True, slots=True)
class Board:
    """All downloads as page, dock and rail show them at one moment. `seq` changes whenever any of them does."""

    downloads: tuple[Download, ...]
    seq: int

    @property
    def docked(self) -> list[Download]:
        return [each for each in self.downloads if each.is_in_dock]

    @property
    def num_open(self) -> int:
        return sum(each.is_open for each in self.downloads)

    @property
    def num_stopped(self) -> int:
        return sum(each.is_stopped for each in self.docked)

    @property
    def running(self) -> Download | None:
        """The one that rail, tab title and phone tell of."""
        return next((each for each in self.downloads if each.mark == "loading"), None)


def parse_seq(cursor: Any) -> int:
    """What the tab has, from the cursor in its page; -1 when it is none of ours."""
    seq = cursor.get("seq") if isinstance(cursor, dict) else None
    return seq if type(seq) is int else -1


def parse_seq_text(text: str) -> int:
    try:
        return parse_seq(json.loads(text))
    except (ValueError, RecursionError):
        return -1


def read_board() -> Board:
    """The board from the rows. Blocks."""
    return board_of([watching.view_of(job) for job in Job.objects.filter(kind__in=KINDS)])


def board_of(views: Collection[JobView]) -> Board:
    return Board(tuple(downloads_of(views)), sum(view.seq + view.id for view in views))


class DownloadsFollower:
    """One tab's view of all downloads. `known_seq` is what it has already, -1 for nothing. Belongs to the running loop."""

    def __init__(self, language: str, known_seq: int = -1) -> None:
        self._language = language
        self._known_seq = known_seq
        self._views: dict[int, JobView] = {}
        self._told: dict[str, str] = {}
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()

    async def batches(self) -> AsyncGenerator[str, None]:
        """Fragments, each time something changed and at most four times a second."""
        with watching.watch_all(self._put):
            while True:
                await self._news.wait()
                self._news.clear()
                if batch := await sync_to_async(self._collect)(list(self._views.values())):
                    yield batch
                await asyncio.sleep(_PACE_SECONDS)

    def _put(self, changes: Changes) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._keep, changes)

    def _keep(self, changes: Changes) -> None:
        for job_id, view in changes.items():
            if view is None:
                self._views.pop(job_id, None)
            elif view.kind in KINDS:
                self._views[job_id] = view
        self._news.set()

    def _collect(self, views: list[JobView]) -> str:
        """What the tab lacks: single rows, or the whole lists when rows came or went."""
        with translation.override(self._language):
            board = board_of(views)
            rows = _rows(board)
            told, self._told = self._told, rows
            if board.seq == self._known_seq:
                return ""
            self._known_seq = board.seq
            if told.keys() != rows.keys():
                return _lists(board) + _around(board)
            return "".join(html for name, html in rows.items() if told[name] != html) + _around(board)


def whole_board(board: Board) -> str:
    """Everything that shows downloads, for the answer to a request that changed them; in the active language."""
    return _lists(board) + _around(board)


def _rows(board: Board) -> dict[str, str]:
    """Each row of both lists by the id it has there."""
    found = {f"dl-{each.id}": _row(each, "dl") for each in board.downloads}
    return found | {f"pull-{each.id}": _row(each, "pull") for each in board.docked}


def _row(download: Download, prefix: str) -> str:
    return _render("_pull", {"download": download, "prefix": prefix})


def _lists(board: Board) -> str:
    return "".join(_render(name, {"board": board}) for name in ("_downloads_list", "_dock_rows"))


def _around(board: Board) -> str:
    """Count, rail, phone's menu, and last the cursor."""
    return "".join(_render(name, {"board": board}) for name in ("_dock_count", "_rail_state", "_menu_badge", "_cursor"))


def _render(name: str, context: dict[str, Any]) -> str:
    return get_template(f"models/{name}.html").render({"oob": "true", **context}).strip()
