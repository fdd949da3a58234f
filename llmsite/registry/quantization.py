"""Which files of a Hugging Face repository make the model that a tag means. Pure: names in, names out.

`hf.co/user/repo` takes Q4_K_M if it is there, else the next smaller quantization, else the smallest one; a tag names another one
or a file. Order as in the hub's own library (huggingface.js, gguf.ts).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Final

from llmsite.types.errors import RegistryError
from llmsite.types.name import DEFAULT_TAG

DEFAULT: Final = "Q4_K_M"
_ORDER: Final = (
    *("F32", "BF16", "F16", "Q8_K_XL", "Q8_0", "Q6_K_XL", "Q6_K", "Q5_K_XL", "Q5_K_L", "Q5_K_M", "Q5_K_S", "Q5_0", "Q5_1"),
    *("Q4_K_XL", "Q4_K_L", "Q4_K_M", "Q4_K_S", "IQ4_NL", "IQ4_XS", "Q4_0", "Q4_1", "MXFP4_MOE", "MXFP4", "NVFP4"),
    *("Q3_K_XL", "Q3_K_L", "Q3_K_M", "Q3_K_S", "IQ3_M", "IQ3_S", "IQ3_XS", "IQ3_XXS"),
    *("Q2_K_XL", "Q2_K_L", "Q2_K", "Q2_K_S", "IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_S", "IQ1_M", "TQ1_0", "TQ2_0", "Q1_0"),
)
"""From the largest to the smallest."""
_MOST_TOLD: Final = 64
_TOLD_CHARS: Final = 200
_PROJECTOR_ORDER: Final = ("F16", "BF16", "Q8_0", "F32")
_LABEL: Final = re.compile(r"(?:UD-)?(?:" + "|".join(sorted(_ORDER, key=len, reverse=True)) + r")(?![A-Z0-9])", re.ASCII)
_SPLIT: Final = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Choice:
    """The files to fetch: weights in one file or in numbered parts, and the projector if there is one."""

    weights: tuple[str, ...]
    projector: str = ""


def choose(files: Iterable[str], tag: str) -> Choice:
    """The files that `tag` means. Raises `RegistryError` saying what there is instead."""
    models, projector = _models(files)
    chosen = _default(models) if tag.casefold() == DEFAULT_TAG else _Tags(models).find(tag)
    if not chosen:
        raise RegistryError(f"the repository has no {tag}; it has {_told(models)}")
    return Choice(models[chosen], projector)


def choices(files: Iterable[str]) -> dict[str, Choice]:
    """What the repository offers, each under a tag that means it, the largest first. Raises `RegistryError` when it has none.

    Of more than anybody would look through only the first are told; others are there by their names all the same.
    """
    models, projector = _models(files)
    known, found = _Tags(models), {}
    for name in islice(sorted(models, key=lambda name: (_rank(name), name)), _MOST_TOLD):
        tags = (label(name), name.rpartition("/")[2])
        if tag := next((each for each in tags if each and known.find(each) == name), ""):
            found[tag] = Choice(models[name], projector)
    return found


def _models(files: Iterable[str]) -> tuple[dict[str, tuple[str, ...]], str]:
    """The weights of each model by its file's name, and the projector they share."""
    names = sorted(name for name in files if name.casefold().endswith(".gguf") and "imatrix" not in name.casefold())
    projectors = [name for name in names if _is_projector(name)]
    models = _join_parts(name for name in names if not _is_projector(name))
    if not models:
        raise RegistryError("the repository has no GGUF files")
    return models, _projector(projectors)


def label(name: str) -> str:
    """The quantization that a file's name tells, upper case; empty when it tells none. The last one counts."""
    found = _LABEL.findall(name.upper())
    return found[-1] if found else ""


def _default(models: Mapping[str, tuple[str, ...]]) -> str:
    ranked = sorted((name for name in models if _rank(name) >= 0), key=lambda name: (_rank(name), len(name)))
    wanted = _ORDER.index(DEFAULT)
    smaller = [name for name in ranked if _rank(name) >= wanted]
    if smaller:
        return smaller[0]
    return ranked[-1] if ranked else next(iter(models))


def _rank(name: str) -> int:
    """Place in the order of sizes; -1 for a name that tells none."""
    plain = label(name).removeprefix("UD-")
    return _ORDER.index(plain) if plain else -1


class _Tags:
    """What each tag means: a file by its name, else the model of a quantization. Built once, for a repository may be crowded."""

    def __init__(self, models: Mapping[str, tuple[str, ...]]) -> None:
        self._files: dict[str, str] = {}
        self._labels: dict[str, str] = {}
        self._plain_labels: dict[str, str] = {}
        for name, parts in models.items():
            for each in (name, name.rpartition("/")[2], parts[0].rpartition("/")[2]):
                self._files.setdefault(each.upper(), name)
        for name in sorted(models, key=len):  # of several with one quantization the shortest counts
            found = label(name)
            self._labels.setdefault(found, name)
            self._plain_labels.setdefault(found.removeprefix("UD-"), name)

    def find(self, tag: str) -> str:
        """The model that a tag means; empty when it means none."""
        wanted = tag.upper()
        return self._files.get(wanted) or self._labels.get(wanted) or self._plain_labels.get(wanted, "")


def _told(models: Mapping[str, tuple[str, ...]]) -> str:
    """What there is, cut to what a person may see."""
    told = ", ".join(dict.fromkeys(label(name) or name for name in models))
    if len(told) > _TOLD_CHARS:
        return (told[:_TOLD_CHARS].rpartition(", ")[0] or told[:_TOLD_CHARS]) + ", and more"
    return told


def _is_projector(name: str) -> bool:
    return "mmproj" in name.casefold()


def _projector(names: list[str]) -> str:
    for wanted in _PROJECTOR_ORDER:
        for name in names:
            if label(name) == wanted:
                return name
    return names[0] if names else ""


def _join_parts(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Whole models by name; the parts of a split one in order, under the name it would have whole. Without incomplete ones."""
    models: dict[str, tuple[str, ...]] = {}
    for key, group in groupby(names, key=_whole_name):
        parts = tuple(group)
        found = _SPLIT.fullmatch(parts[0])
        if found is None or len(parts) == int(found[3]):
            models[key] = parts
    return models


def _whole_name(name: str) -> str:
    found = _SPLIT.fullmatch(name)
    return f"{found[1]}.gguf" if found else name
