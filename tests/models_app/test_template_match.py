"""A GGUF file's own template and the built-in one that writes the same prompts (catalogue 2.18, 5.4).

`tests/data/templates/<name>/own.jinja` has the shape in which the families publish theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from llmsite.store.blobs import BlobStore
from llmsite.store.gguf import GgufFacts
from llmsite.types.errors import TemplateLimit
from models_app.findings import LazyInspector
from models_app.template_match import find_template

FOLDER = Path(__file__).parents[1] / "data" / "templates"
OWN = {path.parent.name: path.read_text() for path in sorted(FOLDER.glob("*/own.jinja"))}
CHATML = OWN["chatml"]


@pytest.fixture(scope="module")
def inspector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LazyInspector]:
    with LazyInspector(BlobStore(tmp_path_factory.mktemp("blobs"))) as inspector:
        yield inspector


def find(inspector: LazyInspector, source: str | None, architecture: str = "llama") -> str | None:
    facts = GgufFacts(architecture=architecture, chat_template=source, bos_text="<s>", eos_text="</s>")
    template = find_template(facts, inspector.render)
    return template.name if template else None


@pytest.mark.parametrize("name", OWN)
def test_2_18_a_template_of_a_known_format_gets_its_name(inspector: LazyInspector, name: str) -> None:
    assert find(inspector, OWN[name], "gemma3" if name.startswith("gemma3") else "llama") == name


@pytest.mark.parametrize(
    "source",
    [
        None,
        CHATML.replace("im_end", "im_stop"),
        CHATML.replace("'<|im_start|>assistant\\n'", "'<|im_start|>assistant\\n<|begin|>'"),
        # a sentence of its own where nobody says anything
        "{%- if messages[0].role != 'system' -%}{{- '<|im_start|>system\\nBe good.<|im_end|>\\n' -}}{%- endif -%}" + CHATML,
        # more than the built-in one can do
        "{%- if tools -%}{{- tools | tojson -}}{%- endif -%}" + CHATML,
        CHATML + "{#- <think> </think> -#}",
        # nothing that can be rendered
        "{{ raise_exception('no') }}",
        "{% for %}",
        "{{ ''.__class__ }}",
    ],
)
def test_2_18_any_other_template_is_left_alone(inspector: LazyInspector, source: str | None) -> None:
    assert find(inspector, source) is None


def test_T17_a_template_that_never_ends_is_left_alone(inspector: LazyInspector) -> None:
    endless = "{%- for a in range(99999) -%}{%- for b in range(99999) -%}{%- endfor -%}{%- endfor -%}"
    assert find(inspector, endless) is None
    assert find(inspector, CHATML) == "chatml", "the next question finds a fresh child"


def test_a_template_with_an_order_of_turns_is_asked_without_a_system_message(inspector: LazyInspector) -> None:
    source = "{%- if messages[0].role == 'system' -%}{{- raise_exception('turns!') -}}{%- endif -%}" + CHATML
    assert find(inspector, source) == "chatml"


def test_the_inspector_is_what_renders_it() -> None:
    def refuse(_: object) -> str:
        raise TemplateLimit("template exceeded its limit")

    assert find_template(GgufFacts(architecture="llama", chat_template=CHATML), refuse) is None
