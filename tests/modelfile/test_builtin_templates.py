"""The built-in templates: golden prompts of each, in tests/data/templates/<name>/<case> (catalogue 5.4)."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmsite.modelfile.builtin_templates import BuiltinTemplate, builtin_templates
from llmsite.prompt.job import RenderJob
from llmsite.prompt.template import Renderer
from llmsite.types.limits import Limits
from llmsite.types.message import Message

GOLDEN = Path(__file__).parents[1] / "data" / "templates"
NAMES = (
    *("alfred", "alpaca", "chatml", "chatqa", "codellama-70b-instruct", "command-r", "falcon-instruct", "gemma-instruct"),
    *("gemma3-instruct", "granite-instruct", "llama2-chat", "llama3-instruct", "magicoder", "mistral-instruct", "openchat"),
    *("phi-3", "solar-instruct", "starcoder2-instruct", "vicuna", "zephyr"),
)
TALK = (Message("system", "S"), Message("user", "U1"), Message("assistant", "A1"), Message("user", "U2"))
CASES = {"question": TALK[1:2], "system": TALK, "prefill": (*TALK, Message("assistant", "Half"))}
TEMPLATES = {each.name: each for each in builtin_templates()}


def render(template: BuiltinTemplate, messages: tuple[Message, ...]) -> str:
    return Renderer(Limits()).render(RenderJob("go", template.source, messages=messages))


def test_5_4_the_names_are_those_of_the_catalogue() -> None:
    assert tuple(TEMPLATES) == NAMES
    assert sorted(path.name for path in GOLDEN.iterdir()) == sorted(NAMES)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", NAMES)
def test_5_4_prompts(name: str, case: str) -> None:
    assert render(TEMPLATES[name], CASES[case]) == (GOLDEN / name / case).read_text()


@pytest.mark.parametrize("name", NAMES)
def test_ollama_can_run_them_too(name: str) -> None:
    """Ollama fails on an `else` behind `.Response`: it cuts all of that branch away, where it expects a list."""
    _, _, behind = TEMPLATES[name].source.partition("{{ .Response }}")
    assert "else" not in behind


@pytest.mark.parametrize(
    ("name", "prompt"),
    [
        (
            "chatml",
            "".join(
                f"<|im_start|>{role}\n{text}"
                for role, text in (
                    *(("system", "S<|im_end|>\n"), ("user", "U1<|im_end|>\n"), ("assistant", "A1<|im_end|>\n")),
                    *(("user", "U2<|im_end|>\n"), ("assistant", "")),
                )
            ),
        ),
        ("alpaca", "S\n\n### Instruction:\nU1\n\n### Response:\nA1\n\n### Instruction:\nU2\n\n### Response:\n"),
        (
            "llama3-instruct",
            "".join(
                f"<|start_header_id|>{role}<|end_header_id|>\n\n{text}"
                for role, text in (
                    *(("system", "S<|eot_id|>"), ("user", "U1<|eot_id|>"), ("assistant", "A1<|eot_id|>")),
                    *(("user", "U2<|eot_id|>"), ("assistant", "")),
                )
            ),
        ),
        ("zephyr", "<|system|>\nS</s>\n<|user|>\nU1</s>\n<|assistant|>\nA1</s>\n<|user|>\nU2</s>\n<|assistant|>\n"),
        ("phi-3", "<|system|>\nS<|end|>\n<|user|>\nU1<|end|>\n<|assistant|>\nA1<|end|>\n<|user|>\nU2<|end|>\n<|assistant|>\n"),
    ],
)
def test_5_4_prompts_that_the_catalogue_gives(name: str, prompt: str) -> None:
    assert render(TEMPLATES[name], TALK) == prompt


@pytest.mark.parametrize(
    ("name", "stop"),
    [
        ("chatml", ("<|im_start|>", "<|im_end|>")),
        ("llama3-instruct", ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")),
        ("gemma3-instruct", ("<end_of_turn>",)),
    ],
)
def test_5_4_stops_that_the_catalogue_gives(name: str, stop: tuple[str, ...]) -> None:
    assert TEMPLATES[name].stop == stop


@pytest.mark.parametrize("name", NAMES)
def test_a_prefilled_answer_ends_the_prompt_and_every_answer_has_an_end(name: str) -> None:
    prompt = render(TEMPLATES[name], CASES["prefill"])
    assert prompt.endswith("Half")
    assert prompt.startswith(render(TEMPLATES[name], TALK).removesuffix("Destination: user\n\n ").rstrip())
    assert TEMPLATES[name].stop
