"""Which files a tag means."""

from __future__ import annotations

import pytest

from llmsite.registry.quantization import Choice, choices, choose, label
from llmsite.types.errors import RegistryError

LLAMA = [
    f"Llama-3.2-1B-Instruct-{each}.gguf" for each in ("IQ3_M", "Q3_K_L", "Q4_0", "Q4_K_L", "Q4_K_M", "Q4_K_S", "Q8_0", "f16")
]


@pytest.mark.parametrize(
    ("files", "tag", "weights"),
    [
        (LLAMA, "latest", "Llama-3.2-1B-Instruct-Q4_K_M.gguf"),
        (LLAMA, "Q8_0", "Llama-3.2-1B-Instruct-Q8_0.gguf"),
        (LLAMA, "iq3_m", "Llama-3.2-1B-Instruct-IQ3_M.gguf"),
        (LLAMA, "F16", "Llama-3.2-1B-Instruct-f16.gguf"),
        (LLAMA, "Llama-3.2-1B-Instruct-Q4_0.gguf", "Llama-3.2-1B-Instruct-Q4_0.gguf"),
        (["a-Q8_0.gguf", "a-Q3_K_S.gguf", "a-Q2_K.gguf"], "latest", "a-Q3_K_S.gguf"),
        (["a-Q8_0.gguf", "a-F16.gguf"], "latest", "a-Q8_0.gguf"),
        (["model.gguf", "other.gguf"], "latest", "model.gguf"),
        (["UD/a-UD-Q4_K_XL.gguf", "a-Q4_K_XL.gguf"], "UD-Q4_K_XL", "UD/a-UD-Q4_K_XL.gguf"),
        (["a-UD-Q4_K_XL.gguf"], "Q4_K_XL", "a-UD-Q4_K_XL.gguf"),
        (["a-Q4_K_M.gguf", "a-imatrix.gguf", "README.md"], "latest", "a-Q4_K_M.gguf"),
    ],
)
def test_a_tag_means(files: list[str], tag: str, weights: str) -> None:
    assert choose(files, tag) == Choice((weights,))


def test_the_parts_of_a_split_file_come_in_order() -> None:
    parts = [f"Q4_K_M/big-Q4_K_M-{number:05}-of-00003.gguf" for number in (2, 3, 1)]
    assert choose([*parts, "small-Q2_K.gguf"], "latest").weights == tuple(sorted(parts))
    assert choose(parts, "big-Q4_K_M-00001-of-00003.gguf").weights == tuple(sorted(parts))


def test_a_split_file_that_lacks_a_part_is_none() -> None:
    with pytest.raises(RegistryError, match=r"^the repository has no GGUF files$"):
        choose(["a-Q4_K_M-00001-of-00002.gguf"], "latest")


def test_the_projector_comes_along_in_half_precision() -> None:
    files = ["a-Q4_K_M.gguf", "mmproj-a-f32.gguf", "mmproj-a-f16.gguf", "mmproj-a-Q8_0.gguf"]
    assert choose(files, "latest").projector == "mmproj-a-f16.gguf"
    assert choose(["a-Q4_K_M.gguf", "mmproj.gguf"], "latest").projector == "mmproj.gguf"


def test_an_unknown_tag_is_told_what_there_is() -> None:
    with pytest.raises(RegistryError, match=r"^the repository has no Q5_0; it has IQ3_M, Q3_K_L, Q4_0, Q4_K_L, "):
        choose(LLAMA, "Q5_0")


def test_each_choice_stands_under_a_tag_that_means_it() -> None:
    files = [
        "b-Q8_0.gguf",
        "b-UD-Q4_K_XL.gguf",
        "b-Q2_K-00001-of-00002.gguf",
        "b-Q2_K-00002-of-00002.gguf",
        "own.gguf",
        "x/b-Q8_0-long.gguf",
    ]
    found = choices([*files, "mmproj-F16.gguf"])
    assert list(found) == ["own.gguf", "Q8_0", "b-Q8_0-long.gguf", "UD-Q4_K_XL", "Q2_K"]
    assert found["Q2_K"].weights == ("b-Q2_K-00001-of-00002.gguf", "b-Q2_K-00002-of-00002.gguf")
    for tag, choice in found.items():
        assert choose([*files, "mmproj-F16.gguf"], tag) == choice


def test_of_a_crowd_of_files_only_the_first_are_told() -> None:
    crowd = [f"m{number}.gguf" for number in range(10_000)]
    assert len(choices(crowd)) == 64
    with pytest.raises(RegistryError, match=r"has no Q1; it has m0\.gguf, .*, and more$"):
        choose(crowd, "Q1")
    with pytest.raises(RegistryError, match=r"has no Q1; it has a{200}, and more$"):
        choose(["a" * 250 + ".gguf"], "Q1")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a-q4_k_m.gguf", "Q4_K_M"),
        ("Q8_0-tuned-Q4_0.gguf", "Q4_0"),
        ("a-IQ2_XXS.gguf", "IQ2_XXS"),
        ("model.gguf", ""),
        ("a-bf16.gguf", "BF16"),
    ],
)
def test_a_name_tells_its_quantization(name: str, expected: str) -> None:
    assert label(name) == expected


class _Watched(str):
    """A name that counts how often anybody looks at it."""

    looks = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        _Watched.looks += 1
        return str.__eq__(self, other)

    def upper(self) -> str:
        _Watched.looks += 1
        return str.upper(self)


def test_a_crowd_of_files_is_looked_at_a_few_times_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Watched, "looks", 0)
    files = [_Watched(f"{number}-{kind}.gguf") for number in range(500) for kind in ("mmproj", "Q4_K_M", "Q2_K", "other")]
    assert choose(files, "q2_k").weights == ("0-Q2_K.gguf",)
    assert len(choices(files)) == 64
    assert _Watched.looks < 20 * len(files)
