"""The inspector for code without an event loop."""

from pathlib import Path

import pytest

from llmsite.inspector.pool import BlockingInspector, read_gguf_sync
from llmsite.types.errors import TemplateLimit
from llmsite.types.limits import Limits

STARTER = Path(__file__).parents[2] / "llmsite/starter/starter.gguf"
LIMITS = Limits()


def test_without_a_loop_one_child_answers() -> None:
    assert read_gguf_sync(STARTER, LIMITS).architecture == "llama"
    with BlockingInspector(LIMITS) as inspector:
        assert inspector.inspect_template("{{ .Suffix }}").capabilities == ("insert",)
        with pytest.raises(TemplateLimit, match="template exceeded its limit"):
            inspector.inspect_template("x" * (LIMITS.template_bytes + 1))
        assert inspector.read_gguf(STARTER).num_layers == 4
