"""Values as Go's fmt prints them, for texts that Ollama makes with it: parameters of a model, quoted names in errors."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

_ESCAPES: Final = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    '"': '\\"',
    "\\": "\\\\",
}


def go_quote(text: str) -> str:
    """The text in quotes, as `%q` prints it: what is not printable escaped, everything else as it stands."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def go_value(value: Any) -> str:
    """A JSON value as `%v` prints it, except that a large whole number keeps its digits: Go would write 1000000 as 1e+06."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case float():
            return _go_float(value)
        case list() | tuple():
            return f"[{' '.join(map(go_value, value))}]"
        case dict():
            return f"map[{' '.join(f'{key}:{go_value(value[key])}' for key in sorted(value))}]"
    return str(value)


def go_literal(value: Any) -> str:
    """A JSON value as `%#v` prints it, as far as parameters hold them: texts are quoted."""
    return go_quote(value) if isinstance(value, str) else go_value(value)


def _go_float(value: float) -> str:
    """Shortest digits; an exponent of at least two digits below 1e-4 and from 1e6 on."""
    if value == 0 or 1e-4 <= abs(value) < 1e6:
        return repr(value).removesuffix(".0")
    sign, digits, _ = Decimal(repr(value)).normalize().as_tuple()
    exponent = Decimal(repr(value)).adjusted()
    mantissa = "".join(map(str, digits))
    point = f"{mantissa[0]}.{mantissa[1:]}" if len(mantissa) > 1 else mantissa
    return f"{'-' if sign else ''}{point}e{exponent:+03d}"
