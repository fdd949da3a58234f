"""Markdown that grows: text to blocks of safe HTML, finished ones once and for all, the last one again at each update.

The splitter keeps the text from the first unfinished top-level block on and parses only that. What the last, incomplete line may
still become decides whether it is shown; so a finished block never changes and the end result is that of rendering at once.
How a block's tokens become HTML stands in `markup.py`, what to show of an unfinished one in `markdown_tail.py`.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from functools import cached_property, lru_cache
from html import escape
from itertools import pairwise
from typing import Final

from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language, gettext
from markdown_it.token import Token

from chat import markdown_tail, markup

BUDGET_SECONDS: Final = 2.0
"""Processor time for rendering a message; what comes after it is plain text. A busy machine changes nothing about it."""
BLOCK_CHARS: Final = 200_000
_INLINE_CHARS: Final = 16_000
"""One paragraph or cell. Links and emphasis take quadratic time in it."""
_SLOW_SECONDS: Final = 0.1
_TABLE_ROWS: Final = 1_000
_LIST_ITEMS: Final = 20_000
_LEVELS: Final = 60
"""Token levels: thirty lists in each other have two levels each."""
_REOPENING: Final = frozenset({"bullet_list_open", "ordered_list_open", "blockquote_open", "code_block"})
_FENCE: Final = re.compile(r"(`{3,}|~{3,})(.*)")


@dataclass(frozen=True)
class Block:
    """One top-level block. `open_code` is the text so far of a fence that is still open; such text only grows at its end."""

    n: int
    kind: str
    is_finished: bool
    rendered: SafeString | None = None
    open_code: str | None = None
    info: str = ""
    code_id: str = ""

    @cached_property
    def html(self) -> SafeString:
        if self.rendered is not None:
            return self.rendered
        text = escape(self.open_code or "", quote=False)
        return mark_safe(markup.code_frame(self.info, text, self.code_id))  # noqa: S308 - escaped text in our frame


@dataclass(frozen=True, slots=True)
class _Group:
    """Tokens of one top-level block and the lines they come from."""

    tokens: list[Token]
    first_line: int
    end_line: int

    @property
    def kind(self) -> str:
        return self.tokens[0].type


class StreamedMarkdown:
    """One answer's blocks. `update` is given the whole text each time; it may only have grown since the last call."""

    def __init__(self, prefix: str) -> None:
        self.cost_seconds = 0.0
        self._prefix = prefix
        self._num_chars = 0
        self._finished: list[Block] = []
        self._tail = ""
        self._last: list[Block] = []
        self._spent_seconds = 0.0
        self._is_final = False
        self._num_laid_out = 0
        self._fence: _OpenFence | None = None

    def update(self, text: str, *, is_final: bool = False) -> list[Block]:
        """All blocks, finished ones first; at most one is unfinished."""
        if len(text) == self._num_chars and is_final == self._is_final:
            return [*self._finished, *self._last]
        started = time.perf_counter()
        new = text[self._num_chars :]
        if new.endswith("\r") and not is_final:
            new = new[:-1]  # half of a line end, perhaps
        self._num_chars += len(new)
        self._is_final = is_final
        self._tail += new.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
        if self._should_wait():
            return [*self._finished, *self._last]
        self._last = []
        if is_final:
            self._finish(self._tail)
        elif self._fence is None or not self._grow_fence(self._fence):
            self._grow()
        self.cost_seconds = time.perf_counter() - started
        self._num_laid_out = len(self._tail)
        return [*self._finished, *self._last]

    def _should_wait(self) -> bool:
        """A block that takes long to lay out is shown again only when a quarter longer, which bounds the sum."""
        return not self._is_final and self.cost_seconds > _SLOW_SECONDS and len(self._tail) < 1.25 * self._num_laid_out

    # growing

    def _grow(self) -> None:
        """Finish what the complete lines finish, then show the rest as far as it is decided."""
        self._fence = None
        cut = self._tail.rfind("\n") + 1
        lines, partial = self._tail[:cut], self._tail[cut:]
        groups = _groups(lines)
        is_closed = bool(groups) and _is_closed(groups[-1], lines)
        num_finished = len(groups) if is_closed else max(0, len(groups) - 1)
        if num_finished:
            self._render_finished(groups[:num_finished], lines)
            rest = groups[num_finished:]
            lines = lines[_offset(lines, rest[0].first_line) :] if rest else ""
            self._tail = lines + partial
            groups = _groups(lines)
        elif not groups:
            lines, self._tail = "", partial
        kind = groups[-1].kind if groups else ""
        if kind == "fence" and (fence := _OpenFence.read(self._tail, groups[-1])) is not None:
            self._fence = fence
            self._grow_fence(fence)
            return
        self._show(markdown_tail.shown_part(lines, partial, kind), lines, partial)

    def _show(self, shown: str, lines: str, partial: str) -> None:
        groups = _groups(shown)
        if len(groups) > 1:
            if not markdown_tail.is_decided(lines, partial):
                groups = _groups(lines)
            else:  # the incomplete line has begun the next block, whatever it still becomes
                self._render_finished(groups[:-1], shown)
                self._tail = self._tail[_offset(shown, groups[-1].first_line) :]
                shown = shown[_offset(shown, groups[-1].first_line) :]
                groups = _groups(shown)
        if groups:
            self._last = [self._block(groups[-1], shown, is_finished=False)]

    def _grow_fence(self, fence: _OpenFence) -> bool:
        """Text inside an open fence needs no parser. False when the fence has closed."""
        if fence.has_closed(self._tail):
            return False
        n = len(self._finished)
        code = fence.code(self._tail)
        self._last = [Block(n, "fence", False, open_code=code, info=fence.info, code_id=self._code_id(n))]
        return True

    def _finish(self, text: str) -> None:
        self._render_finished(_groups(text), text)
        self._tail, self._fence = "", None

    def _render_finished(self, groups: list[_Group], text: str) -> None:
        for group in groups:
            started = time.thread_time()
            self._finished.append(self._block(group, text, is_finished=True))
            self._spent_seconds += time.thread_time() - started

    def _block(self, group: _Group, text: str, *, is_finished: bool) -> Block:
        n = len(self._finished)
        if not is_finished:
            markdown_tail.repair(group.tokens)
        html = None
        if not _is_too_large(group):
            deadline = time.thread_time() + BUDGET_SECONDS - self._spent_seconds
            html = markup.render_tokens(group.tokens, self._code_id(n), deadline)
        return Block(n, group.kind, is_finished, rendered=_plain(_source(group, text)) if html is None else html)

    def _code_id(self, n: int) -> str:
        return f"m-{self._prefix}-b{n}-code"


class _OpenFence:
    """A fence at the left margin that has not closed: where its code begins, and how far it was searched for the end."""

    def __init__(self, mark: str, info: str, start: int) -> None:
        self.info = info
        self._mark = mark
        self._start = start
        self._searched = start
        self._closing = re.compile(rf" {{0,3}}{re.escape(mark[0])}{{{len(mark)},}}[ \t]*$")
        self._closing_part = re.compile(rf" {{0,3}}{re.escape(mark[0])}*[ \t]*$")

    @classmethod
    def read(cls, text: str, group: _Group) -> _OpenFence | None:
        """None for fences that are indented: their lines lose blanks, which only the parser does right."""
        offset = _offset(text, group.first_line)
        end = text.find("\n", offset)
        match = _FENCE.match(text, offset, end)
        return cls(match[1], match[2], end + 1) if match and end >= 0 else None

    def has_closed(self, text: str) -> bool:
        cut = text.rfind("\n") + 1
        new_lines = text[self._searched : cut].split("\n")
        if any(self._closing.match(line) for line in new_lines):
            return True
        self._searched = max(self._searched, cut)
        return False

    def code(self, text: str) -> str:
        """What is certainly code: not a line end before the next line, nor a line that may become the closing one."""
        cut = max(text.rfind("\n") + 1, self._start)
        partial = text[cut:]
        if self._closing_part.match(partial):
            return text[self._start : cut].removesuffix("\n")
        return text[self._start :]


def render(text: str, prefix: str, *, is_final: bool = True) -> list[Block]:
    """All blocks of a message at once; `prefix` makes the ids in it. Kept for the next reader."""
    return list(_render(text, prefix, is_final, get_language()))


@lru_cache(maxsize=256)
def _render(text: str, prefix: str, is_final: bool, language: str | None) -> tuple[Block, ...]:
    return tuple(StreamedMarkdown(prefix).update(text, is_final=is_final))


# blocks of tokens


def _groups(text: str) -> list[_Group]:
    if not text.strip():
        return []
    tokens = markup.parse_blocks(text)
    starts = [number for number, token in enumerate(tokens) if token.level == 0 and token.nesting >= 0]
    groups = []
    for start, end in pairwise([*starts, len(tokens)]):
        lines = tokens[start].map
        assert lines is not None  # every top-level token that opens has its lines
        groups.append(_Group(tokens[start:end], lines[0], lines[1]))
    return groups


def _is_closed(group: _Group, lines: str) -> bool:
    """Whether the last block of these complete lines can no longer grow."""
    if group.kind in _REOPENING:
        return False
    if group.kind in ("heading_open", "hr", "math_block"):
        return True
    if group.kind == "fence":
        return _ends_fence(group, lines)
    return lines.endswith("\n\n") or not lines[lines.rfind("\n", 0, -1) + 1 :].strip()


def _ends_fence(group: _Group, lines: str) -> bool:
    """A last line that could close the fence has closed it, or the fence would go on."""
    opening = group.tokens[0].markup
    if group.end_line - group.first_line < 2:
        return False
    last = lines[_offset(lines, group.end_line - 1) :].split("\n", 1)[0].strip()
    return len(last) >= len(opening) and not last.strip(opening[0])


def _offset(text: str, line: int) -> int:
    """Where a line begins."""
    position = 0
    for _ in range(line):
        position = text.index("\n", position) + 1
    return position


def _source(group: _Group, text: str) -> str:
    return "\n".join(text.split("\n")[group.first_line : group.end_line])


def _is_too_large(group: _Group) -> bool:
    sizes = [len(each.content) for each in group.tokens if each.type == "inline"]
    if sum(sizes) > BLOCK_CHARS or max(sizes, default=0) > _INLINE_CHARS:
        return True
    counts = {"tr_open": 0, "list_item_open": 0}
    for each in group.tokens:
        if each.level > _LEVELS:
            return True
        if each.type in counts:
            counts[each.type] += 1
    return counts["tr_open"] > _TABLE_ROWS or counts["list_item_open"] > _LIST_ITEMS


def _plain(source: str) -> SafeString:
    note = escape(gettext("Too large to lay out; shown as plain text."))
    return mark_safe(f'<p class="note">{note}</p><p class="typed">{escape(source, quote=False)}</p>')  # noqa: S308 - escaped
