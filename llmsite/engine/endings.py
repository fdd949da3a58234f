"""Why a runner ended, in sentences for the person who asked (catalogue 2.3, engine died)."""

from __future__ import annotations

import signal
from typing import Final

from llmsite.types.errors import LlmsiteError, LoadFailed, LoadTimeout, NotEnoughMemory, RunnerDied

DIED: Final = (
    "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, "
    "check ollama server logs for details"
)


def describe(code: int, last_line: str) -> str:
    """How the process ended, seen from outside: `code` as in `subprocess`, and the last line of its log."""
    if code == -signal.SIGKILL:
        return "it was killed (SIGKILL), most likely because memory ran out"
    how = f"it ended by {_signal_name(-code)}" if code < 0 else f"it ended with code {code}"
    return f"{how}: {last_line}" if last_line else how


def died(why: str) -> RunnerDied:
    return RunnerDied(f"{DIED}: {why}")


def died_in_load(why: str) -> LoadFailed:
    return LoadFailed(f"the model could not be loaded: {why}")


def killed_in_load() -> NotEnoughMemory:
    return NotEnoughMemory(
        "model requires more system memory than is available: its process was killed while loading; "
        "try a smaller num_ctx or a smaller model"
    )


def stalled_in_load(last_line: str) -> LoadTimeout:
    return LoadTimeout(f"timed out waiting for llama-server to start - {last_line}")


def refused_load(error: LlmsiteError, name: str) -> LlmsiteError:
    """The runner's own error; a file that llama.cpp does not take may be newer than it (catalogue 2.3, load failure)."""
    if type(error) is not LoadFailed:
        return error
    return LoadFailed(
        f"{error}: this model may be incompatible with your version of Ollama. "
        f"If you previously pulled this model, try updating it by running `ollama pull {name}`"
    )


def printable(line: bytes) -> str:
    """A line of somebody else's log as one line of ours."""
    return "".join(char if char.isprintable() else " " for char in line.decode(errors="replace")).strip()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
