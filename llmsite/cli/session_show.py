"""`/show …` in a session: one part of the model, or of what the session laid over it (catalogue 9.6). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llmsite.cli.model_card import format_value
from llmsite.cli.session_state import SessionState

_MISSING: Final = {
    "license": "No license was specified for this model.",
    "system": "No system message was specified for this model.",
    "template": "No prompt template was specified for this model.",
}
_NAME_WIDTH: Final = 30


def show_part(part: str, answer: Mapping[str, Any], state: SessionState) -> str:
    """The text for `part`; `info` is a matter of `model_card`. `answer` is that of /api/show with the session's overlays."""
    if part == "modelfile":
        return f"{answer['modelfile']}\n"
    if part == "parameters":
        return _parameters(answer.get("parameters") or "", state.options)
    if part == "system":
        text = state.system or answer.get("system")
        return f"{text}\n\n" if text else f"{_MISSING[part]}\n"
    if part in _MISSING:
        return f"{answer.get(part) or _MISSING[part]}\n"
    return f"Unknown command '/show {part}'. Type /? for help\n"


def _parameters(own: str, options: Mapping[str, Any]) -> str:
    lines = ["Model defined parameters:"]
    lines += [f"  {line}" for line in own.split("\n")] if own else ["  No additional parameters were specified for this model."]
    lines.append("")
    if options:
        lines += [
            "User defined parameters:",
            *(f"  {name:<{_NAME_WIDTH}} {_value(value)}" for name, value in options.items()),
            "",
        ]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    return "[" + " ".join(value) + "]" if isinstance(value, list) else format_value(value)
