"""The Go templates that Ollama knows by name, for models whose GGUF file brings the same format as Jinja (catalogue 5.4).

Each format is that of the model family's public documentation, written down anew in `templates/<name>.gotmpl`; the last newline
of such a file is the file's, not the template's. All of them walk rounds (`.System`, `.Prompt`, `.Response`), so a prefilled
answer works in each.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parent / "templates"

_STOPS: Final[dict[str, tuple[str, ...]]] = {
    "alfred": ("<start_system>", "<end_message>", "<start_user>", "<start_assistant>"),
    "alpaca": ("### Instruction:", "### Response:"),
    "chatml": ("<|im_start|>", "<|im_end|>"),
    "chatqa": ("System:", "User:", "Assistant:", "<|begin_of_text|>"),
    "codellama-70b-instruct": ("Source:", "Destination:", "<step>"),
    "command-r": ("<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>"),
    "falcon-instruct": ("User:", "Falcon:"),
    "gemma-instruct": ("<start_of_turn>", "<end_of_turn>"),
    "gemma3-instruct": ("<end_of_turn>",),
    "granite-instruct": ("System:", "Question:", "Answer:"),
    "llama2-chat": ("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"),
    "llama3-instruct": ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    "magicoder": ("@@ Instruction", "@@ Response"),
    "mistral-instruct": ("[INST]", "[/INST]"),
    "openchat": ("<|end_of_turn|>",),
    "phi-3": ("<|end|>", "<|system|>", "<|user|>", "<|assistant|>"),
    "solar-instruct": ("### System:", "### User:", "### Assistant:"),
    "starcoder2-instruct": ("### Instruction", "### Response", "<|endoftext|>"),
    "vicuna": ("USER:", "ASSISTANT:"),
    "zephyr": ("<|system|>", "<|user|>", "<|assistant|>", "</s>"),
}
"""Name to the texts at which an answer ends."""


@dataclass(frozen=True, slots=True)
class BuiltinTemplate:
    """A template and the `stop` parameter that goes with it."""

    name: str
    source: str
    stop: tuple[str, ...]


@cache
def builtin_templates() -> tuple[BuiltinTemplate, ...]:
    """All of them, by name."""
    return tuple(
        BuiltinTemplate(name, (_FOLDER / f"{name}.gotmpl").read_text(encoding="utf-8").removesuffix("\n"), stop)
        for name, stop in _STOPS.items()
    )
