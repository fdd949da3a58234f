"""Golden prompts: templates with the constructs of well-known families, each case rendered in the sandbox (catalogue 5.1, T16).

`tests/data/chat_templates/<template>/` holds `template.jinja` and for each case its conversation (`<case>.json`) and the prompt
(`<case>.txt`) or, where the template refuses it, its sentence (`<case>.error`). In both, `<today FORMAT>` is today's date.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

import pytest

from llmsite.prompt.job import RenderJob
from llmsite.prompt.template import Renderer
from llmsite.types.errors import TemplateError
from llmsite.types.limits import Limits
from llmsite.types.message import Message, Tool, ToolCall

FOLDER = Path(__file__).parents[1] / "data/chat_templates"
CASES = {f"{path.parent.name}/{path.stem}": path for path in sorted(FOLDER.glob("*/*.json"))}

CONSTRUCTS = (
    *("raise_exception(", "strftime_now(", "| tojson", "namespace(", "macro ", "is defined", "is mapping", "is iterable"),
    *("loop.index0", "loop.first", "loop.last", "[::-1]", "[1:]", "| trim", "selectattr(", ".items()", ".split(", "indent("),
)


def message(turn: dict[str, Any]) -> Message:
    calls = tuple(ToolCall(call["name"], call["arguments"], id=call.get("id", "")) for call in turn.pop("tool_calls", ()))
    return Message(**turn, tool_calls=calls)


def job_of(path: Path) -> RenderJob:
    case = json.loads(path.read_text())
    return RenderJob(
        "jinja",
        (path.parent / "template.jinja").read_text(),
        tuple(message(turn) for turn in case["messages"]),
        tuple(Tool({"type": "function", "function": each}) for each in case.get("tools", ())),
        think=case.get("think"),
        bos_text=case.get("bos", ""),
        eos_text=case.get("eos", ""),
    )


def with_dates(text: str) -> str:
    return re.sub("<today (.*?)>", lambda found: dt.datetime.now().strftime(found[1]), text)


@pytest.mark.parametrize("path", CASES.values(), ids=CASES)
def test_a_prompt_is_the_golden_one(path: Path) -> None:
    refusal = path.with_suffix(".error")
    if refusal.exists():
        with pytest.raises(TemplateError) as caught:
            Renderer(Limits()).render(job_of(path))
        assert str(caught.value) == refusal.read_text().removesuffix("\n")
    else:
        assert Renderer(Limits()).render(job_of(path)) == with_dates(path.with_suffix(".txt").read_text())


def test_every_template_has_cases() -> None:
    folders = {path.parent.name for path in FOLDER.glob("*/template.jinja")}
    assert folders == {name.partition("/")[0] for name in CASES}
    for word in (
        "raise_exception",
        "strftime_now",
        "tojson",
        "namespace",
        "loop.index0",
        "macro",
        "is defined",
        "[::-1]",
        "| trim",
    ):
        assert any(word in (FOLDER / name / "template.jinja").read_text() for name in folders), word
