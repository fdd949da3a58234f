"""Jinja chat templates: helpers, messages, tools, prefill (catalogue 5.1), and what the sandbox refuses (T16)."""

from pathlib import Path
from typing import Any

import pytest

from llmsite.prompt.jinja import JinjaTemplate
from llmsite.prompt.job import CHATML, RenderJob
from llmsite.prompt.template import Renderer
from llmsite.types.errors import TemplateError, TemplateLimit
from llmsite.types.limits import Limits
from llmsite.types.message import Message, Tool, ToolCall

LIMITS = Limits()
USER = Message("user", "U")


def render(source: str, *messages: Message, tools: tuple[Tool, ...] = (), think: Any = None, **texts: str) -> str:
    return JinjaTemplate(source, LIMITS).render(messages or [USER], tools, think, **texts)


CALL = Message("assistant", "", tool_calls=(ToolCall("f", {"b": "é<", "a": 1}, id="call_1"),))
RESULT = Message("tool", "22", tool_name="f", tool_call_id="call_1")
TOOL = Tool(
    {
        "type": "function",
        "function": {
            "name": "f",
            "parameters": {"properties": {"b": {"description": "d", "type": ["string"]}, "a": {}}, "type": "object"},
        },
    }
)


@pytest.mark.parametrize(
    ("source", "messages", "expected"),
    [
        ("{% for m in messages %}{{ m.role }}:{{ m['content'] }};{% endfor %}", (USER, USER), "user:U;user:U;"),
        ("{{ messages[0].tool_calls[0].function.arguments | tojson }}", (CALL,), '{"b": "é<", "a": 1}'),
        ("{{ messages[0].tool_calls[0].function.arguments }}", (CALL,), '{"b": "é<", "a": 1}'),
        ("{{ messages[0].tool_calls[0].id }}{{ messages[0].tool_calls[0].type }}", (CALL,), "call_1function"),
        ("{{ messages[0].name }}{{ messages[0].tool_call_id }}{{ messages[0].content }}", (RESULT,), "fcall_122"),
        ("{{ messages[0].reasoning_content }}", (Message("assistant", "a", thinking="hm"),), "hm"),
        ("{{ messages[0].tool_calls is defined }}", (USER,), "False"),
        ("{{ [1, 2] | tojson }}{{ {'b': 1, 'a': 2} | tojson(indent=1) }}", (), '[1, 2]{\n "b": 1,\n "a": 2\n}'),
        ("{{ {'b': 1, 'a': 2} | tojson(separators=(',', ':'), sort_keys=true) }}", (), '{"a":2,"b":1}'),
        (
            "{% for i in [0, 1, 2, 3] %}{% if i == 1 %}{% continue %}{% elif i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}",
            (),
            "02",
        ),
        ("a\n  {% if true %}\nb\n  {% endif %}\nc", (), "a\nb\nc"),
        ("{% generation %}x{{ 1 }}{% endgeneration %}y", (), "x1y"),
        (
            "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}",
            (USER, USER),
            "2",
        ),
        ("{{ bos_token }}|{{ eos_token }}|{{ add_generation_prompt }}|{{ tools is none }}", (), "<s>|</s>|True|True"),
        ("{{ strftime_now('%Y') | length }}{{ messages[0].content.strip().split('x')[-1] }}", (), "4U"),
        ("{{ enable_thinking is defined }}{{ reasoning_effort is defined }}", (), "FalseFalse"),
    ],
)
def test_rendering(source: str, messages: tuple[Message, ...], expected: str) -> None:
    assert render(source, *messages, bos_text="<s>", eos_text="</s>") == expected


def test_tools_keep_the_order_of_their_properties_and_get_ollamas_order_of_keys() -> None:
    expected = (
        '{"type": "function", "function": {"name": "f", "description": "", "parameters": {"type": "object", '
        '"properties": {"b": {"type": "string", "description": "d"}, "a": {}}}}}'
    )
    assert render("{% for t in tools %}{{ t | tojson }}{% endfor %}", tools=(TOOL,)) == expected


@pytest.mark.parametrize(
    ("think", "expected"),
    [(None, "|"), (True, "True|"), (False, "False|"), ("low", "True|low")],
    ids=["2.7 unset", "2.7 true", "2.7 false", "2.7 level"],
)
def test_thinking_variables(think: Any, expected: str) -> None:
    assert render("{{ enable_thinking }}|{{ reasoning_effort }}", think=think) == expected


def test_a_sentence_of_the_template_reaches_the_person() -> None:
    with pytest.raises(TemplateError, match=r"^roles must alternate$"):
        render("{{ raise_exception('roles must alternate') }}")


GEMMA = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
)


def test_a_template_without_a_system_role_gets_it_in_the_first_question() -> None:
    assert render(GEMMA, Message("system", "S"), USER, Message("assistant", "A")) == "[user]S\n\nU[assistant]A"


@pytest.mark.parametrize(
    "source", ["{{ x", "{% if %}", "{{ 1 / 0 }}", "{{ messages[9].content.x }}", "{{ 1 + 'a' }}", "{{ nothing() }}"]
)
def test_a_broken_template_is_an_error_of_its_own(source: str) -> None:
    with pytest.raises(TemplateError, match="the chat template"):
        render(source)


ESCAPES = (
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ messages.__class__ }}",
    "{{ messages[0].__init__.__globals__ }}",
    "{{ raise_exception.__globals__ }}",
    "{{ strftime_now.__code__ }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context.environment }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ range.__class__ }}",
    "{{ ''|attr('__class__') }}",
    "{{ (''|attr('format')).__globals__ }}",
    "{{ '{0.__class__}'.format('') }}",
    "{{ '{a.__class__}'.format_map({'a': 1}) }}",
    "{{ ['__class__']|map('first')|list and ''['__class__'] }}",
    "{{ messages|map(attribute='__class__')|list }}",
    "{{ (messages|first)['__class__'] }}",
    "{{ messages.append(1) }}",
    "{{ messages[0].update({'a': 1}) }}",
    "{{ messages.clear() }}",
    "{{ cycler.__init__.__globals__.os }}",
    "{{ lipsum.__globals__ }}",
    "{{ joiner.__init__ }}",
    "{{ loop.__class__ }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{% from 'x' import y %}",
    "{% extends '/etc/passwd' %}",
    "{% for m in messages %}{{ loop.__init__.__globals__ }}{% endfor %}",
    "{% macro m() %}{% endmacro %}{{ m.__init__.__globals__ }}",
    "{{ (1).__class__.__base__ }}",
    "{{ messages[0].content.__getattribute__('x') }}",
    "{{ caller.__globals__ }}",
)


@pytest.mark.parametrize("source", ESCAPES, ids=[f"T16 {each}" for each in ESCAPES])
def test_escapes_give_nothing_away(source: str, tmp_path: Path) -> None:
    """Refused, or a name that does not exist."""
    canary = tmp_path / "canary"
    canary.write_text("untouched")
    with pytest.raises(TemplateError, match=r"template uses a forbidden feature|the chat template failed"):
        render(source, USER)
    assert canary.read_text() == "untouched"


@pytest.mark.parametrize("source", ESCAPES[:19] + ESCAPES[23:27])
def test_plain_escapes_are_named(source: str) -> None:
    with pytest.raises(TemplateLimit, match=r"^template uses a forbidden feature$"):
        render(source, USER)


def test_a_source_beyond_the_limit_is_refused() -> None:
    with pytest.raises(TemplateLimit, match=r"^template exceeded its limit$"):
        JinjaTemplate("x" * (LIMITS.template_bytes + 1), LIMITS)


def test_endless_recursion_ends_at_the_limit() -> None:
    with pytest.raises(TemplateLimit, match=r"^template exceeded its limit$"):
        render("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}")


TAGS = ("<think>", "</think>")
THINKS = CHATML + "{% if enable_thinking %}{{- '<think>\\n' -}}{% endif %}"
HELLO = "<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize(
    ("source", "prefill", "think", "expected"),
    [
        (CHATML, Message("assistant", "17 +"), None, HELLO + "17 +"),
        (CHATML, Message("assistant", "17 +", thinking="hm"), True, HELLO + "<think>\nhm\n</think>\n\n17 +"),
        (CHATML, Message("assistant", "", thinking="hm"), True, HELLO + "<think>\nhm\n</think>\n\n"),
        (THINKS, Message("assistant", "17 +", thinking="hm"), True, HELLO + "<think>\nhm\n</think>\n\n17 +"),
        (THINKS, Message("assistant", "17 +"), True, HELLO + "<think>\n\n</think>\n\n17 +"),
    ],
    ids=["content", "thought and content", "thought", "after an opened thought", "content after an opened thought"],
)
def test_a_trailing_assistant_message_is_continued(source: str, prefill: Message, think: Any, expected: str) -> None:
    job = RenderJob("jinja", source, (USER, prefill), think=think, think_tags=TAGS)
    assert Renderer(LIMITS).render(job) == expected


def test_a_trailing_tool_call_is_no_prefill() -> None:
    job = RenderJob("jinja", CHATML, (USER, CALL))
    assert Renderer(LIMITS).render(job).endswith("<|im_start|>assistant\n<|im_end|>\n<|im_start|>assistant\n")
