"""Emphasis beside Chinese, Japanese and Korean: rules for markdown-it-py.

Source: "CommonMark CJK-friendly Amendments" (github.com/tats-u/markdown-cjk-friendly, specification.md). CommonMark wants white
space or punctuation beside `**"…"**`; scripts without spaces have none, so there a CJK character counts like white space.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.common.utils import isMdAsciiPunct, isPunctChar, isWhiteSpace
from markdown_it.rules_inline.state_inline import Delimiter, StateInline
from markdown_it.token import Token

_WIDE: Final = frozenset("WFH")
_HANGUL: Final = ((0x1100, 0x11FF), (0x302E, 0x302F), (0x3131, 0x318E), (0xA960, 0xA97C), (0xAC00, 0xD7FB))
# wide characters that are emoji by default (UTS #51, Emoji_Presentation) and so no CJK characters
_EMOJI: Final = (
    *((0x231A, 0x231B), (0x23E9, 0x23EC), (0x23F0, 0x23F0), (0x23F3, 0x23F3), (0x25FD, 0x25FE), (0x2614, 0x2615)),
    *((0x2648, 0x2653), (0x267F, 0x267F), (0x2693, 0x2693), (0x26A1, 0x26A1), (0x26AA, 0x26AB), (0x26BD, 0x26BE)),
    *((0x26C4, 0x26C5), (0x26CE, 0x26CE), (0x26D4, 0x26D4), (0x26EA, 0x26EA), (0x26F2, 0x26F3), (0x26F5, 0x26F5)),
    *((0x26FA, 0x26FA), (0x26FD, 0x26FD), (0x2705, 0x2705), (0x270A, 0x270B), (0x2728, 0x2728), (0x274C, 0x274C)),
    *((0x274E, 0x274E), (0x2753, 0x2755), (0x2757, 0x2757), (0x2795, 0x2797), (0x27B0, 0x27B0), (0x27BF, 0x27BF)),
    *((0x2B1B, 0x2B1C), (0x2B50, 0x2B50), (0x2B55, 0x2B55), (0x1F004, 0x1F004), (0x1F0CF, 0x1F0CF), (0x1F18E, 0x1F18E)),
    *((0x1F191, 0x1F19A), (0x1F1E6, 0x1F1FF), (0x1F201, 0x1F201), (0x1F21A, 0x1F21A), (0x1F22F, 0x1F22F)),
    *((0x1F232, 0x1F236), (0x1F238, 0x1F23A), (0x1F250, 0x1F251), (0x1F300, 0x1F64F), (0x1F680, 0x1F6FF)),
    *((0x1F7E0, 0x1F7EB), (0x1F7F0, 0x1F7F0), (0x1F90C, 0x1F9FF), (0x1FA70, 0x1FAFF)),
)


def is_cjk(char: str) -> bool:
    """A CJK character as the amendments define it: wide, full or half width and no emoji, or Hangul."""
    if char < "\u1100":
        return False
    code = ord(char)
    if any(first <= code <= last for first, last in _HANGUL):
        return True
    return unicodedata.east_asian_width(char) in _WIDE and not any(first <= code <= last for first, last in _EMOJI)


def install(md: MarkdownIt) -> None:
    """Emphasis and strikethrough with the amended scan."""
    md.inline.ruler.at("emphasis", _emphasis)
    md.inline.ruler.at("strikethrough", _strikethrough)


def _emphasis(state: StateInline, silent: bool) -> bool:
    marker = state.src[state.pos]
    if silent or marker not in "_*":
        return False
    length = _run_length(state)
    can_open, can_close = _flanks(state, length, is_word_mark=marker == "*")
    for _ in range(length):
        token = state.push("text", "", 0)
        token.content = marker
        state.delimiters.append(Delimiter(ord(marker), length, len(state.tokens) - 1, -1, can_open, can_close))
    state.pos += length
    return True


def _strikethrough(state: StateInline, silent: bool) -> bool:
    if silent or state.src[state.pos] != "~":
        return False
    length = _run_length(state)
    if length < 2:
        return False
    can_open, can_close = _flanks(state, length, is_word_mark=True)
    if length % 2:
        state.push("text", "", 0).content = "~"
    for _ in range(length // 2):
        state.push("text", "", 0).content = "~~"
        state.delimiters.append(Delimiter(ord("~"), 0, len(state.tokens) - 1, -1, can_open, can_close))
    state.pos += length
    return True


def _run_length(state: StateInline) -> int:
    end = state.pos
    while end < state.posMax and state.src[end] == state.src[state.pos]:
        end += 1
    return end - state.pos


def _flanks(state: StateInline, length: int, *, is_word_mark: bool) -> tuple[bool, bool]:
    """Whether the run at `state.pos` can open and can close. `is_word_mark`: it may stand inside a word (`*`, `~`)."""
    before = _before(state.src, state.pos)
    end = state.pos + length
    after = state.src[end] if end < state.posMax else " "
    # the amendments' rules 2a and 2b, on both sides
    is_left = not _is_space(after) and (
        not _is_other_punctuation(after) or _is_space(before) or _is_other_punctuation(before) or _is_cjk_before(before)
    )
    is_right = not _is_space(before) and (
        not _is_other_punctuation(before) or _is_space(after) or _is_other_punctuation(after) or is_cjk(after)
    )
    can_open = is_left and (is_word_mark or not is_right or _is_punctuation(before))
    can_close = is_right and (is_word_mark or not is_left or _is_punctuation(after))
    return can_open, can_close


def _before(text: str, start: int) -> str:
    """The character before `start`; the one before a variation selector that says nothing of emoji."""
    if start == 0:
        return " "
    char = text[start - 1]
    if "\ufe00" <= char <= "\ufe0e" and start > 1:
        return text[start - 2]
    return char


def _is_cjk_before(char: str) -> bool:
    return is_cjk(char) or "\U000e0100" <= char <= "\U000e01ef"


def _is_space(char: str) -> bool:
    return isWhiteSpace(ord(char))


def _is_punctuation(char: str) -> bool:
    return isMdAsciiPunct(ord(char)) or isPunctChar(char)


def _is_other_punctuation(char: str) -> bool:
    return _is_punctuation(char) and not is_cjk(char)


def join_lines(children: list[Token]) -> list[Token]:
    """Without soft breaks between two CJK characters: there a space would be wrong."""
    return [each for number, each in enumerate(children) if not _is_useless_break(children, number)]


def _is_useless_break(children: list[Token], number: int) -> bool:
    if children[number].type != "softbreak" or not 0 < number < len(children) - 1:
        return False
    before = _nearest_text(reversed(children[:number]))
    after = _nearest_text(iter(children[number + 1 :]))
    return bool(before and after) and is_cjk(before[-1]) and is_cjk(after[0])


def _nearest_text(tokens: object) -> str:
    """Text that touches the break, through the marks of emphasis and links."""
    for each in tokens:  # type: ignore[attr-defined]
        if each.type == "text" and each.content:
            return str(each.content)
        if each.nesting == 0 and each.type != "text":
            return ""
    return ""
