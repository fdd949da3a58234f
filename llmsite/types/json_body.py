"""JSON that strangers send: the first value of a body, within bounds, with Go's error texts.

Source: encoding/json and Ollama's handlers (catalogue 2, "JSON facts"). `msgspec` reads good bodies; the standard library's
decoder is asked only when that fails, since it knows where a value ends and where an error lies.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec

from llmsite.types.errors import InvalidRequest
from llmsite.types.limits import Limits

MISSING_BODY: Final = "missing request body"
INVALID_CHARACTER: Final = "text contains an invalid character"

_BLANKS: Final = " \t\r\n"
_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_BRACKET: Final = re.compile(rb"[\[\]{}]")
_NUL_ESCAPE: Final = re.compile(rb"\\u0000")
_WORDS: Final = ("true", "false", "null")
_VALUES_PER_KEY: Final = 10
"""A body may hold so many times more values than keys: token lists are long."""


def decode_body(body: bytes, limits: Limits) -> Any:
    """The first JSON value of a request body; what follows it is ignored, as Ollama does.

    Raises `InvalidRequest`: Go's text for bad JSON, `missing request body` for none, a sentence for what passes a bound.
    """
    if not body.strip(_BLANKS.encode()):
        raise InvalidRequest(MISSING_BODY)
    _check_bounds(body, limits)
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        value = _decode_first(body)
    if _NUL_ESCAPE.search(body):
        _refuse_bad_text(value)
    return value


def _check_bounds(body: bytes, limits: Limits) -> None:
    """Refuse what would cost too much memory or stack to decode. Text is left out of the counts; it is bounded by the body."""
    max_values = limits.json_keys * _VALUES_PER_KEY
    num_brackets = body.count(b"[") + body.count(b"{")
    if num_brackets <= limits.json_depth and body.count(b",") < limits.json_keys:
        return
    skeleton = _STRING.sub(b"", body)
    if skeleton.count(b":") > limits.json_keys or max(map(skeleton.count, (b",", b"[", b"{"))) > max_values:
        raise InvalidRequest("invalid json: too many values")
    if _depth(skeleton) > limits.json_depth:
        raise InvalidRequest(f"invalid json: nested deeper than {limits.json_depth} levels")


def _depth(skeleton: bytes) -> int:
    deepest = depth = 0
    for bracket in _BRACKET.findall(skeleton):
        depth += 1 if bracket in (b"[", b"{") else -1
        deepest = max(deepest, depth)
    return deepest


def _decode_first(body: bytes) -> Any:
    """The first value of a body that is not one JSON value as a whole."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(INVALID_CHARACTER) from error
    start = len(text) - len(text.lstrip(_BLANKS))
    try:
        value, _ = _decoder.raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise InvalidRequest(_go_text(text, error)) from error
    except ValueError as error:  # NaN, Infinity, integers of thousands of digits
        raise InvalidRequest(str(error) if isinstance(error, _NotJson) else "invalid json: a number is too long") from error
    _refuse_bad_text(value)
    return value


class _NotJson(ValueError): ...


def _refuse_constant(name: str) -> Any:
    raise _NotJson(f"invalid character '{name.lstrip('-')[0]}' looking for beginning of value")


_decoder = json.JSONDecoder(parse_constant=_refuse_constant)


def _go_text(text: str, error: json.JSONDecodeError) -> str:
    """Go's words for the error. Go reports the end of the input before anything else."""
    position = error.pos
    if error.msg.startswith("Invalid control character"):
        return f"invalid character {_quote(text[position])} in string literal"
    if error.msg.startswith(("Invalid \\escape", "Invalid \\u")):
        return _escape_text(text, position)
    rest = text[position:].strip(_BLANKS)
    if error.msg.startswith("Unterminated string") or not rest or any(word.startswith(rest) for word in (*_WORDS, "-")):
        return "unexpected EOF"
    where = "looking for beginning of value"
    if error.msg.startswith("Expecting ':'"):
        where = "after object key"
    elif error.msg.startswith("Expecting ','"):
        where = "after object key:value pair" if _is_in_object(text[:position]) else "after array element"
    elif error.msg.startswith("Expecting property name"):
        where = "looking for beginning of object key string"
    return f"invalid character {_quote(rest[0])} {where}"


def _escape_text(text: str, position: int) -> str:
    """`position` is that of the backslash, or of the letter after it for a bad `\\u`."""
    backslash = position if text[position] == "\\" else position - 1
    after = text[backslash + 1 : backslash + 2]
    if not after:
        return "unexpected EOF"
    if after != "u":
        return f"invalid character {_quote(after)} in string escape code"
    for digit in text[backslash + 2 : backslash + 6]:
        if digit not in "0123456789abcdefABCDEF":
            return f"invalid character {_quote(digit)} in \\u hexadecimal character escape"
    return "unexpected EOF"


def _is_in_object(before: str) -> bool:
    opened: list[bytes] = []
    for bracket in _BRACKET.findall(_STRING.sub(b"", before.encode())):
        if bracket in (b"[", b"{"):
            opened.append(bracket)
        elif opened:
            opened.pop()
    return opened[-1:] == [b"{"]


def _quote(character: str) -> str:
    """One byte as Go quotes it: it scans bytes, so of a longer character it names the first one."""
    first = chr(character.encode("utf-8", "surrogatepass")[0])
    if first == "'":
        return "'\\''"
    if first == '"':
        return "'\"'"
    escapes = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\v": "\\v"}
    if first in escapes:
        return f"'{escapes[first]}'"
    return f"'{first}'" if first.isprintable() else f"'\\x{ord(first):02x}'"


def _refuse_bad_text(value: Any) -> None:
    """Refuse NUL and lone surrogates anywhere: neither can be stored as UTF-8 text in every database."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            if "\0" in each or not _is_encodable(each):
                raise InvalidRequest(INVALID_CHARACTER)
        elif isinstance(each, dict):
            waiting += each.keys()
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
