"""Fails when a string marked for translation lacks its Chinese: missing, empty, fuzzy or not compiled. Needs no gettext."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polib
from django.conf import settings
from django.utils.translation.template import templatize

ROOT: Final = Path(__file__).parents[2]
CATALOGUE: Final = ROOT / "llmsite" / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.po"
_MARKERS: Final = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext", "ngettext_lazy", "pgettext", "pgettext_lazy"}
_STRING: Final = r"""u?("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
_CALL: Final = re.compile(rf"\b(p?)(?:gettext|ngettext|_)\(\s*{_STRING}(?:\s*,\s*{_STRING})?")


def marked_strings() -> Iterator[tuple[str, Path]]:
    """Every msgid with the file it stands in."""
    for folder in ("llmsite", "models_app", "chat", "api"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for text in _in_python(path.read_text()):
                yield text, path
    for path in sorted((ROOT / "templates").rglob("*.html")):
        for text in _in_template(path.read_text()):
            yield text, path


def _in_python(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name not in _MARKERS:
            continue
        position = 1 if name.startswith("pgettext") else 0
        argument = node.args[position] if len(node.args) > position else None
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            yield argument.value


def _in_template(source: str) -> Iterator[str]:
    for has_context, first, second in _CALL.findall(templatize(source)):
        yield ast.literal_eval(second if has_context else first)


def problems() -> list[str]:
    """One line for each thing that is wrong."""
    catalogue = polib.pofile(str(CATALOGUE))
    known = {entry.msgid: entry for entry in catalogue if not entry.obsolete}
    found = dict(marked_strings())
    missing = [f"{path.relative_to(ROOT)}: no Chinese for {text!r}" for text, path in found.items() if text not in known]
    unfinished = [
        f"{entry.msgid!r} is {'fuzzy' if entry.fuzzy else 'empty'}" for entry in known.values() if not entry.translated()
    ]
    unused = [f"{text!r} is in the catalogue and marked nowhere" for text in known if text not in found]
    compiled = {entry.msgid: (entry.msgstr, entry.msgstr_plural) for entry in polib.mofile(str(CATALOGUE.with_suffix(".mo")))}
    stale = [text for text, entry in known.items() if compiled.get(text) != (entry.msgstr, entry.msgstr_plural)]
    return missing + unfinished + unused + [f"{text!r}: compile the catalogue again" for text in stale]


def main() -> int:
    settings.configure()
    lines = problems()
    for line in lines:
        sys.stderr.write(f"{line}\n")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
