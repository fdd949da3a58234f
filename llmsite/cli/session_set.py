"""`/set …` in a session (catalogue 9.6): changes the state, and says what to print."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from llmsite.cli.session_help import HELP_PARAMETERS, HELP_SET
from llmsite.cli.session_state import SessionState
from llmsite.modelfile.parameters import read_parameter
from llmsite.types.errors import InvalidRequest

_NO_FORMAT: Final = "Invalid or missing format. For 'json' mode use '/set format json'\n"
_MODES: Final[dict[str, dict[str, Any]]] = {
    "wordwrap": {"wraps": True},
    "nowordwrap": {"wraps": False},
    "verbose": {"is_verbose": True},
    "quiet": {"is_verbose": False},
}
Write = Callable[[str], object]


def set_something(words: list[str], state: SessionState, write: Write, warn: Write) -> None:
    """Obey `/set` with the words after it. `system`, which may go on over lines, and `history` are a matter of the session."""
    if not words:
        warn(HELP_SET)
        return
    what, rest = words[0], words[1:]
    if what in _MODES:
        state.settings = replace(state.settings, **_MODES[what])
        write(f"Set '{what}' mode.\n")
    elif what == "parameter":
        _set_parameter(rest, state, write, warn)
    elif what == "format":
        _set_format(rest, state, write)
    elif what == "noformat":
        state.settings = replace(state.settings, format=None)
        write("Disabled format.\n")
    elif what in ("think", "nothink"):
        _set_think(what, rest, state, write, warn)
    else:
        write(f"Unknown command '/set {what}'. Type /? for help\n")


def _set_parameter(words: list[str], state: SessionState, write: Write, warn: Write) -> None:
    if len(words) < 2:
        warn(HELP_PARAMETERS)
        return
    name, values = words[0], words[1:]
    try:
        state.options[name] = read_parameter(name, values)
    except InvalidRequest as error:
        write(f'Couldn\'t set parameter: "{error}"\n')
        return
    write(f"Set parameter '{name}' to '{', '.join(values)}'\n")


def _set_format(words: list[str], state: SessionState, write: Write) -> None:
    if words != ["json"]:
        write(_NO_FORMAT)
        return
    state.settings = replace(state.settings, format="json")
    write("Set format to 'json' mode.\n")


def _set_think(what: str, words: list[str], state: SessionState, write: Write, warn: Write) -> None:
    level = words[0] if words and what == "think" else ""
    state.settings = replace(state.settings, think=level or what == "think")
    if not state.can_think:
        warn(f'warning: model "{state.model}" does not support thinking output\n')
    write(f"Set '{what}' mode to '{level}'.\n" if level else f"Set '{what}' mode.\n")
