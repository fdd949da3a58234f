"""`llmsite run MODEL [PROMPT...]`: one answer, or a session when a person sits at the terminal (catalogue 9.4)."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import Any, Final

from llmsite.cli.answer import RunSettings, show_answer
from llmsite.cli.arguments import Arguments, Flag, Verb, at_least
from llmsite.cli.rest import Server, ServerError
from llmsite.cli.session import Session
from llmsite.cli.verbs.pull import INSECURE, pull_model
from llmsite.types.duration import FOREVER, parse_duration
from llmsite.types.errors import InvalidRequest, LlmsiteError
from llmsite.types.json_body import decode_body
from llmsite.types.limits import Limits
from llmsite.types.request import GenerateRequest, Think

_THINK_VALUES: Final[dict[str, Think]] = {
    "true": True,
    "false": False,
    "high": "high",
    "medium": "medium",
    "low": "low",
    "max": "max",
}
_NOT_FOUND: Final = 404


def run(arguments: Arguments) -> int:
    """Ask a model, pulled first if it is not there. Ctrl+C ends the answer quietly."""
    settings = _read_settings(arguments)
    with asyncio.Runner() as runner:
        server = Server()
        try:
            shown = runner.run(_make_ready(server, settings.model, is_insecure=arguments.is_set("insecure")))
            if _is_session(arguments):
                Session(runner, server, settings, shown).run()
            else:
                _answer_once(runner, server, settings, arguments)
        except ServerError as error:
            raise LlmsiteError(error.text) if error.status == _NOT_FOUND else error from error
        finally:
            runner.run(server.close())
    return 0


async def _make_ready(server: Server, model: str, *, is_insecure: bool) -> dict[str, Any]:
    """What the model is; one that is not there is pulled."""
    await server.greet()
    try:
        return await server.post("/api/show", {"model": model})
    except ServerError as error:
        if error.status != _NOT_FOUND:
            raise
    await pull_model(server, model, is_insecure=is_insecure)
    return await server.post("/api/show", {"model": model})


def _answer_once(runner: asyncio.Runner, server: Server, settings: RunSettings, arguments: Arguments) -> None:
    prompt = _read_prompt(arguments)
    request = GenerateRequest(
        settings.model, prompt, think=settings.think, format=settings.format, keep_alive=settings.keep_alive
    )
    with suppress(KeyboardInterrupt):
        runner.run(show_answer(server.client.generate(request), settings))


def _is_session(arguments: Arguments) -> bool:
    return len(arguments.words) == 1 and sys.stdin.isatty() and sys.stdout.isatty()


def _read_prompt(arguments: Arguments) -> str:
    """The words, behind all of stdin when that is no terminal."""
    words = " ".join(arguments.words[1:])
    piped = "" if sys.stdin.isatty() else sys.stdin.read()
    return " ".join(part for part in (piped, words) if part)


def _read_settings(arguments: Arguments) -> RunSettings:
    return RunSettings(
        model=arguments.words[0],
        think=_read_think(arguments.text("think")),
        format=_read_format(arguments.text("format")),
        keep_alive=_read_keep_alive(arguments.text("keepalive")),
        is_verbose=arguments.is_set("verbose"),
        hides_thinking=arguments.is_set("hidethinking"),
        wraps=not arguments.is_set("nowordwrap"),
    )


def _read_think(text: str | None) -> Think:
    if text is None:
        return None
    if text not in _THINK_VALUES:
        raise LlmsiteError(f'invalid value for --think: "{text}" (must be true, false, high, medium, low, or max)')
    return _THINK_VALUES[text]


def _read_keep_alive(text: str | None) -> float | None:
    if not text:
        return None
    seconds = parse_duration(text)
    return FOREVER if seconds < 0 else seconds


def _read_format(text: str | None) -> Any:
    """`json`, or JSON to send as it is."""
    if not text or text == "json":
        return text or None
    try:
        return decode_body(text.encode(), Limits())
    except InvalidRequest as error:
        raise LlmsiteError(f"json: error calling MarshalJSON for type json.RawMessage: {error}") from error


VERB: Final = Verb(
    name="run",
    usage="run MODEL [PROMPT]",
    summary="Run a model",
    run=run,
    check=at_least(1),
    flags=(
        Flag("format", "Response format (e.g. json)"),
        Flag("hidethinking", "Hide thinking output (if provided)", is_switch=True),
        INSECURE,
        Flag("keepalive", "Duration to keep a model loaded (e.g. 5m)"),
        Flag("nowordwrap", "Don't wrap words to the next line automatically", is_switch=True),
        Flag("think", "Enable thinking mode: true/false or high/medium/low for supported models", alone="true"),
        Flag("verbose", "Show timings for response", is_switch=True),
    ),
)
