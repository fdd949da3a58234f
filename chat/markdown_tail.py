"""What to show of a block that is still being written: lines that are not decided are held back, open marks are closed for show.

Nothing here touches finished blocks. Pure functions over text and tokens.
"""

from __future__ import annotations

import re
from typing import Final

from markdown_it.token import Token

# a line of these may still become a rule, an underline, a fence, a list, a quote, a table's rule or a formula's end
_ONLY_MARKS: Final = re.compile(r"[\s#>\-+*_=|`~:.$\\\[\]\d)]*$")
_FENCE_START: Final = re.compile(r" {0,3}(```|~~~)")
_RULE_PART: Final = re.compile(r"\s*[|:\-][|:\-\s]*$")
# beginnings of a line that start a new block after any text, whatever follows
_DECIDED: Final = re.compile(r" {0,3}(#{1,6}[ \t]+\S|>|[-+*][ \t]+[^\s*_\-]|\d{1,9}[.)][ \t]+\S)")
_HALF_LINK: Final = re.compile(r"!?\[([^\[\]]*)(?:\](?:\([^()\s]*)?)?$")
_CODE_RUN: Final = re.compile(r"`+")
_MARK: Final = re.compile(r"\\.|\*\*|__|~~|\*|_", re.DOTALL)


def shown_part(lines: str, partial: str, kind: str) -> str:
    """The text to show of complete `lines` of an open block of this kind ("" without one) and the line after it."""
    if _is_header_line(lines, kind) and (not partial.strip() or _RULE_PART.match(partial)):
        return _without_last_line(lines)
    is_row = partial.lstrip().startswith("|") and kind != "table_open"
    if is_row or _ONLY_MARKS.match(partial) or _FENCE_START.match(partial):
        return lines
    return lines + partial


def _is_header_line(lines: str, kind: str) -> bool:
    """The last line of a paragraph may be the header of a table."""
    return kind == "paragraph_open" and lines[lines.rfind("\n", 0, -1) + 1 :].lstrip().startswith("|")


def _without_last_line(lines: str) -> str:
    return lines[: lines.rfind("\n", 0, -1) + 1]


def is_decided(lines: str, partial: str) -> bool:
    """Whether the incomplete line begins a block of its own for sure, when it now looks as if it did."""
    has_blank_line = not lines[lines.rfind("\n", 0, -1) + 1 :].strip()
    return has_blank_line or bool(_DECIDED.match(partial))


def repair(tokens: list[Token]) -> None:
    """Close what is open in the last line of text, for show."""
    for token in reversed(tokens):
        if token.type == "inline":
            token.content = repair_text(token.content)
            return
        if token.nesting >= 0:
            return


def repair_text(text: str) -> str:
    """Open `**`, `*`, `~~`, code spans closed; a half-written link as its text; marks at the very end left out.

    >>> repair_text("see **the [manu")
    'see **the manu**'
    """
    text, closer = _repair_code(text)
    if closer:
        return text + closer
    text = _HALF_LINK.sub(r"\1", text)
    open_marks = _open_marks(text)
    while open_marks and text.endswith(open_marks[-1]):
        text = text.removesuffix(open_marks.pop()).rstrip()
    return text.rstrip() + "".join(reversed(open_marks))


def _repair_code(text: str) -> tuple[str, str]:
    """The text and the backticks that close its last code span, if that is open and has begun."""
    position = 0
    while opening := _CODE_RUN.search(text, position):
        closing = next((run for run in _CODE_RUN.finditer(text, opening.end()) if run[0] == opening[0]), None)
        if closing is None:
            if not text[opening.end() :].strip():
                return text[: opening.start()], ""
            return text.rstrip("`"), opening[0]
        position = closing.end()
    return text, ""


def _open_marks(text: str) -> list[str]:
    """Marks of emphasis that were opened and not closed, outermost first."""
    found: list[str] = []
    spans = [match.span() for match in re.finditer(r"(`+).*?\1", text, re.DOTALL)]
    for match in _MARK.finditer(text):
        mark, start, end = match[0], match.start(), match.end()
        if mark[0] == "\\" or any(first <= start < last for first, last in spans):
            continue
        if mark in found and not text[start - 1 : start].isspace():
            del found[found.index(mark) :]
        elif end == len(text) or not (text[end].isspace() or _is_inside_word(text, start, mark)):
            found.append(mark)
    return found


def _is_inside_word(text: str, start: int, mark: str) -> bool:
    return mark[0] == "_" and text[start - 1 : start].isalnum()
