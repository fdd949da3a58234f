"""The door to Jinja: chat templates from GGUF files, in a sandbox that lets them read and never write.

Helpers are those that Hugging Face's `apply_chat_template` and llama.cpp offer: raise_exception, strftime_now, tojson, loop
controls and the generation block. Memory and time are bounded by the process this runs in.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, NoReturn

from jinja2 import TemplateError as JinjaError
from jinja2 import TemplateSyntaxError, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from llmsite.prompt.chat import tool_object
from llmsite.types.errors import TemplateError, TemplateLimit
from llmsite.types.limits import Limits
from llmsite.types.message import Message, Tool, ToolCall
from llmsite.types.request import Think

LIMIT_TEXT: Final = "template exceeded its limit"
FORBIDDEN_TEXT: Final = "template uses a forbidden feature"

_OTHER_FILES: Final = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)


class JinjaTemplate:
    """One compiled template. Raises `TemplateError`, or `TemplateLimit` for what it must not do; both also when made."""

    def __init__(self, source: str, limits: Limits) -> None:
        if len(source.encode()) > limits.template_bytes:
            raise TemplateLimit(LIMIT_TEXT)
        with _JinjaErrors():
            if any(True for _ in _environment.parse(source).find_all(_OTHER_FILES)):
                raise TemplateLimit(FORBIDDEN_TEXT)
            self._template = _environment.from_string(source)

    def render(
        self, messages: Sequence[Message], tools: Sequence[Tool], think: Think, *, bos_text: str = "", eos_text: str = ""
    ) -> str:
        """The prompt, ending where the answer begins. A template that refuses system messages gets them in the first question."""
        variables: dict[str, Any] = {
            "tools": [_tool_object(tool) for tool in tools] or None,
            "documents": None,
            "add_generation_prompt": True,
            "bos_token": bos_text,
            "eos_token": eos_text,
        }
        if think is not None:
            variables["enable_thinking"] = bool(think)
        if isinstance(think, str):
            variables["reasoning_effort"] = think
        try:
            return self._render(messages, variables)
        except _Refused as refusal:
            if "system" not in str(refusal).lower() or messages[0].role != "system" or len(messages) == 1:
                raise
        return self._render(_without_system(messages), variables)

    def _render(self, messages: Sequence[Message], variables: dict[str, Any]) -> str:
        with _JinjaErrors():
            return self._template.render(variables, messages=[_message_object(message) for message in messages])


class _Refused(TemplateError):
    """The template called `raise_exception`: its sentence is for the person who asked."""


class _JinjaErrors:
    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        match error:
            case TemplateError():
                return
            case SecurityError():
                raise TemplateLimit(FORBIDDEN_TEXT) from error
            case RecursionError() | OverflowError() | MemoryError():
                raise TemplateLimit(LIMIT_TEXT) from error
            case TemplateSyntaxError():
                raise TemplateError(f"the chat template cannot be read: line {error.lineno}: {error.message}") from error
            case JinjaError() | TypeError() | ValueError() | LookupError() | AttributeError() | ArithmeticError():
                raise TemplateError(f"the chat template failed: {error}") from error


class _GenerationBlock(Extension):
    """`{% generation %}…{% endgeneration %}` marks what trainers mask; here it is its content."""

    tags = {"generation"}  # noqa: RUF012  as the base class declares it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return list(parser.parse_statements(("name:endgeneration",), drop_needle=True))


class _JsonObject(dict[str, Any]):
    """Arguments of a tool call: an object to templates that walk it, JSON text to those that print it."""

    def __str__(self) -> str:
        return json.dumps(self, ensure_ascii=False)


def _raise_exception(message: object) -> NoReturn:
    raise _Refused(str(message))


def _strftime_now(format_text: str) -> str:
    return dt.datetime.now().strftime(format_text)  # local time, as the templates mean it


def _tojson(
    value: Any, indent: int | None = None, separators: tuple[str, str] | None = None, sort_keys: bool = False, **_: Any
) -> str:
    """JSON with `", "` and `": "` between, key order kept, nothing escaped for HTML."""
    return json.dumps(value, ensure_ascii=False, indent=indent, separators=separators, sort_keys=sort_keys)


class _Sandbox(ImmutableSandboxedEnvironment):
    """Says no where the stock sandbox answers with an undefined value."""

    def unsafe_undefined(self, obj: Any, attribute: str) -> NoReturn:
        raise SecurityError(f"access to attribute {attribute!r} is unsafe")


def _make_environment() -> ImmutableSandboxedEnvironment:
    environment = _Sandbox(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _GenerationBlock], cache_size=0)
    for name in ("lipsum", "cycler", "joiner"):
        del environment.globals[name]
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _strftime_now
    environment.filters["tojson"] = _tojson
    return environment


_environment: Final = _make_environment()

_LATE: Final = "{{ '\\n' | pprint | wordwrap(9) }}{{ strftime_now('%c') }}{{ nothing() }}"


def load_everything() -> None:
    """Have Jinja and Python load what they load on first use, for a process that is about to give up opening files."""
    with suppress(JinjaError):
        _environment.from_string(_LATE).render()


def _message_object(message: Message) -> dict[str, Any]:
    shown: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.thinking:
        shown |= {"reasoning_content": message.thinking, "thinking": message.thinking}
    if message.tool_calls:
        shown["tool_calls"] = [_call_object(call) for call in message.tool_calls]
    if message.tool_name:
        shown["name"] = message.tool_name
    if message.tool_call_id:
        shown["tool_call_id"] = message.tool_call_id
    return shown


def _tool_object(tool: Tool) -> dict[str, Any]:
    """What llama.cpp leaves of a tool: the function alone."""
    return {"type": "function", "function": tool_object(tool)["function"]}


def _call_object(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": _JsonObject(call.arguments)}
    return {"id": call.id, "type": "function", "function": function}


def _without_system(messages: Sequence[Message]) -> list[Message]:
    """The same talk with the leading system message put before the first question."""
    system, first, *rest = messages
    merged = Message(first.role, f"{system.content}\n\n{first.content}", tool_calls=first.tool_calls, thinking=first.thinking)
    return [merged, *rest]
