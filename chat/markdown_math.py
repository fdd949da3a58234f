r"""Formulas in markdown: `$…$`, `$$…$$`, `\(…\)`, `\[…\]` as tokens that hold the TeX source. Nothing is drawn here.

The block rule decides from the lines it has seen, never from a closing mark that may come far below, so that an answer can be
shown while it grows: a formula ends at its closing mark, at a blank line or with the text; unclosed it is a paragraph.
"""

from __future__ import annotations

from typing import Final

from markdown_it import MarkdownIt
from markdown_it.ruler import RuleOptionsType
from markdown_it.rules_block.state_block import StateBlock
from markdown_it.rules_inline.state_inline import StateInline

_CLOSERS: Final = {"$$": "$$", "\\[": "\\]"}
_BRACKETS: Final = {"\\(": ("\\)", "math_inline"), "\\[": ("\\]", "math_inline_double")}
_MAY_INTERRUPT: Final[RuleOptionsType] = {"alt": ["paragraph", "reference", "blockquote", "list"]}


def install(md: MarkdownIt) -> None:
    md.inline.ruler.before("escape", "math_dollar", _dollar)
    md.inline.ruler.before("escape", "math_bracket", _bracket)
    md.block.ruler.before("fence", "math_block", _block, _MAY_INTERRUPT)


def _dollar(state: StateInline, silent: bool) -> bool:
    """`$…$` without spaces just inside and without a digit touching outside, so that `$5 to $10` stays text; `$$…$$` always."""
    text, start = state.src, state.pos
    if text[start] != "$":
        return False
    mark = "$$" if text.startswith("$$", start) else "$"
    inner = start + len(mark)
    end = _closing_dollar(text, inner, state.posMax, mark)
    source = text[inner:end]
    if end < 0 or not source.strip():
        return False
    if mark == "$" and (source != source.strip() or _is_digit(text, start - 1) or _is_digit(text, end + 1)):
        return False
    if not silent:
        token = state.push("math_inline" if mark == "$" else "math_inline_double", "math", 0)
        token.content, token.markup = source, mark
    state.pos = end + len(mark)
    return True


def _closing_dollar(text: str, start: int, limit: int, mark: str) -> int:
    """Position of the next mark without a backslash before it, or -1."""
    end = text.find(mark, start, limit)
    while end > start and text[end - 1] == "\\":
        end = text.find(mark, end + 1, limit)
    return end


def _is_digit(text: str, position: int) -> bool:
    return 0 <= position < len(text) and text[position].isdigit()


def _bracket(state: StateInline, silent: bool) -> bool:
    opener = state.src[state.pos : state.pos + 2]
    if opener not in _BRACKETS:
        return False
    closer, kind = _BRACKETS[opener]
    end = state.src.find(closer, state.pos + 2, state.posMax)
    if end < 0 or not state.src[state.pos + 2 : end].strip():
        return False
    if not silent:
        token = state.push(kind, "math", 0)
        token.content = state.src[state.pos + 2 : end]
        token.markup = opener
    state.pos = end + 2
    return True


def _block(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """`$$` or `\\[` at the start of a line, up to the same mark at the end of this or a later line."""
    if state.is_code_block(start_line):
        return False
    first = _line(state, start_line)
    closer = _CLOSERS.get(first[:2])
    if closer is None:
        return False
    body = first[2:].rstrip()
    if closer in body:
        is_whole_line = body.endswith(closer) and body.index(closer) == len(body) - 2 and bool(body[:-2].strip())
        if is_whole_line and not silent:
            _push_formula(state, start_line, start_line + 1, body[:-2])
        return is_whole_line
    if silent:
        return True
    lines = [body]
    for number in range(start_line + 1, end_line):
        line = _line(state, number)
        if not line.strip() or state.sCount[number] < state.blkIndent:
            _push_paragraph(state, start_line, number)
            return True
        if line.rstrip().endswith(closer):
            _push_formula(state, start_line, number + 1, "\n".join([*lines, line.rstrip()[:-2]]))
            return True
        lines.append(line)
    _push_paragraph(state, start_line, end_line)
    return True


def _line(state: StateBlock, number: int) -> str:
    return state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]]


def _push_formula(state: StateBlock, first: int, end: int, source: str) -> None:
    token = state.push("math_block", "math", 0)
    token.block = True
    token.content = source.strip("\n")
    token.map = [first, end]
    state.line = end


def _push_paragraph(state: StateBlock, first: int, end: int) -> None:
    opening = state.push("paragraph_open", "p", 1)
    opening.map = [first, end]
    inline = state.push("inline", "", 0)
    inline.content = state.getLines(first, end, state.blkIndent, False).strip()
    inline.map = [first, end]
    inline.children = []
    state.push("paragraph_close", "p", -1)
    state.line = end
