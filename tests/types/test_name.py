"""Model names: catalogue 1, threat T02."""

from __future__ import annotations

import random
import re
from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsite.types.errors import InvalidModelName, InvalidRequest
from llmsite.types.name import ModelName, strip_source

DEFAULTS = ("registry.ollama.ai", "library")


@pytest.mark.parametrize(
    ("text", "parts", "shortest"),
    [
        ("llama3", (*DEFAULTS, "llama3", "latest"), "llama3:latest"),
        ("llama3:8b", (*DEFAULTS, "llama3", "8b"), "llama3:8b"),
        ("mike/llama3:8b", (DEFAULTS[0], "mike", "llama3", "8b"), "mike/llama3:8b"),
        (
            "hf.co/bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M",
            ("hf.co", "bartowski", "Llama-3.2-1B-Instruct-GGUF", "Q4_K_M"),
            "hf.co/bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M",
        ),
        ("https://huggingface.co/u/m", ("huggingface.co", "u", "m", "latest"), "huggingface.co/u/m:latest"),
        ("localhost:5000/ns/m:t", ("localhost:5000", "ns", "m", "t"), "localhost:5000/ns/m:t"),
        ("h/n/m:t", ("h", "n", "m", "t"), "h/n/m:t"),
        ("_why/_the/_lucky:_stiff", ("_why", "_the", "_lucky", "_stiff"), "_why/_the/_lucky:_stiff"),
        ("host/library/m:t", ("host", "library", "m", "t"), "host/library/m:t"),
        ("Registry.Ollama.AI/Library/M:T", ("Registry.Ollama.AI", "Library", "M", "T"), "M:T"),
        ("registry.ollama.ai/mike/m", (DEFAULTS[0], "mike", "m", "latest"), "mike/m:latest"),
        ("http://h:1/n/m", ("h:1", "n", "m", "latest"), "h:1/n/m:latest"),
        ("0", (*DEFAULTS, "0", "latest"), "0:latest"),
        ("m..x", (*DEFAULTS, "m..x", "latest"), "m..x:latest"),
    ],
)
def test_1_1_names_and_1_2_how_they_are_shown(text: str, parts: tuple[str, ...], shortest: str) -> None:
    name = ModelName.parse(text)
    assert name.parts == parts
    assert name.shortest == shortest
    assert str(name) == "{}/{}/{}:{}".format(*parts)


def test_1_1_the_scheme_is_kept_and_never_shown() -> None:
    assert [ModelName.parse(text).scheme for text in ("http://h/n/m", "https://h/n/m", "h/n/m", "m")] == [
        "http",
        "https",
        "https",
        "https",
    ]
    assert "http" not in str(ModelName.parse("http://h/n/m"))


@pytest.mark.parametrize(
    "text",
    [
        *("", "^", "mm:", "/nn/mm", "//mm", "//", "hh//", "00@", "-hh/nn/mm:tt", "hh/nn/mm:-tt", "host/name:space/model:tag"),
        *(
            "a//b",
            "-x",
            ".x",
            "m:.t",
            "n.s/m",
            "starter@sha256:00",
            "a/b/c/d",
            "a/b/c/d/e",
            "h/n/m/",
            "/",
            ":",
            ":t",
            "m:t:",
            " m",
            "m ",
        ),
    ],
)
def test_1_1_invalid_names(text: str) -> None:
    with pytest.raises(InvalidModelName, match=r"^invalid model name$"):
        ModelName.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        *("../../../etc/passwd", "..", "../m", "m/..", "h/../m:t", "h/n/..:t", "h/n/m:..", "../n/m", "./m", "h/n/../../x"),
        *("/etc/passwd", "//server/share/m", "\\\\server\\share", "C:\\m", "C:/n/m/..", "n\\m", "~/m", "$HOME/m"),
        *(
            "m\0",
            "m\n",
            "m\r\n",
            "\tm",
            "m\x1b[31m",
            "m\x7f",
            "m\u202e",
            "\u202dm",
            "\ufeffm",
            "m\u200b",
            "\u0430",
            "ｍ",
            "m\u0301",
        ),
        *("user@host/n/m", "user:pw@host/n/m", "h/n/m?x=1", "h/n/m#x", "h?x/n/m", "h%2f/n/m", "m%00", "n m", "m*", "m;x", "m|x"),
        *("x" * 10_000, "x" * 81, "m:" + "t" * 81, "n" * 81 + "/m", "h" * 351 + "/n/m", "[::1]:5000/n/m"),
    ],
    ids=lambda text: ascii(text)[:40],
)
def test_T02_hostile_names(text: str) -> None:
    with pytest.raises(InvalidModelName, match=r"^invalid model name$"):
        ModelName.parse(text)


def test_1_1_the_longest_parts() -> None:
    name = ModelName("h" * 350, "n" * 80, "m" * 80, "t" * 80)
    assert ModelName.parse(str(name)) == name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("-x", "registry.ollama.ai/library/-x:latest"),
        ("a//b", "a/!MISSING!/b:latest"),
        ("starter@sha256:00", "registry.ollama.ai/library/starter@sha256:00"),
        ("mm:", "registry.ollama.ai/library/mm:!MISSING!"),
        ("//mm", "!MISSING!/!MISSING!/mm:latest"),
        ("", "registry.ollama.ai/library/!MISSING!:latest"),
    ],
)
def test_2_2_push_prints_what_is_wrong_with_a_name(text: str, shown: str) -> None:
    assert str(ModelName.parse_loosely(text)) == shown


def test_1_3_folded_names_are_equal_whatever_the_case() -> None:
    assert ModelName.parse("http://H/N/M:T").folded == ModelName.parse("h/n/m:t").folded
    assert ModelName.parse("m:a").folded != ModelName.parse("m:b").folded


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("llama3:8b:local", "llama3:8b"),
        ("starter:local", "starter"),
        ("starter:LOCAL", "starter"),
        ("starter: local ", "starter"),
        (" m:local", "m"),
        ("h/n/m:t:local:local", "h/n/m:t"),
        ("m", "m"),
        ("m:8b", "m:8b"),
        ("m:cloud", "m:cloud"),
        ("m:8b-cloud", "m:8b-cloud"),
        ("h:1/n/m", "h:1/n/m"),
        (":local", ":local"),
    ],
)
def test_1_4_the_local_suffix_is_no_part_of_the_name(text: str, bare: str) -> None:
    assert strip_source(text) == bare


class CountedText(str):
    """Text that knows how many characters of it were copied while it was taken apart from its end."""

    num_cut = 0

    def strip(self, chars: str | None = None) -> str:
        return CountedText(super().strip(chars))

    def rpartition(self, sep: str) -> tuple[str, str, str]:
        head, found, tail = super().rpartition(sep)
        CountedText.num_cut += len(self)
        return CountedText(head), found, tail


def test_1_4_many_suffixes_are_taken_off_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CountedText, "num_cut", 0)
    text = CountedText("x" + ":local" * 1_000)
    assert strip_source(text) == "x"
    assert CountedText.num_cut <= len(text), "a body of megabytes would hold everybody for minutes"


@pytest.mark.parametrize("text", ["x:cloud:local", "x:local:cloud", "x:8b-cloud:local"])
def test_1_4_a_name_has_one_source(text: str) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(f'use either :local or :cloud, not both: "{text}"')):
        strip_source(text)


PARTS = {
    "host": st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}\Z"),
    "namespace": st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_-]{0,79}\Z"),
    "model": st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}\Z"),
    "tag": st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}\Z"),
}


@given(st.builds(ModelName, **PARTS))
def test_every_name_of_the_grammar_survives_printing(name: ModelName) -> None:
    assert name.is_valid
    assert ModelName.parse(str(name)) == name
    assert ModelName.parse(name.shortest).folded == name.folded


SCRAPS = st.sampled_from(
    ["..", ".", "/", "//", "\\", ":", "-", "_", "@", "%2e", "\0", "\n", "a", "B7", "é", "\u202e", "http://", "~", " ", "x" * 81]
)


def stays_inside(text: str) -> bool:
    """Whether the name is accepted; one that is must round-trip and stay below the store's folder."""
    name = ModelName.parse_loosely(text)
    if not name.is_valid:
        return False
    path = PurePosixPath("/store").joinpath(*name.parts)
    assert path.parts == ("/", "store", *name.parts), text
    assert ".." not in path.parts, text
    assert all(part.isascii() and part.isprintable() for part in name.parts), text
    assert ModelName.parse(str(name)).parts == name.parts, text
    return True


@settings(max_examples=1000)
@given(st.one_of(st.text(max_size=40), st.lists(SCRAPS, max_size=12).map("".join)))
def test_T02_what_is_accepted_stays_inside_the_store(text: str) -> None:
    if not stays_inside(text):
        with pytest.raises(InvalidModelName):
            ModelName.parse(text)


def test_T02_two_hundred_thousand_names() -> None:
    dice = random.Random(2)
    scraps = [
        "..",
        ".",
        "/",
        "/",
        ":",
        "-",
        "_",
        "@",
        "%2e",
        "\\",
        "\0",
        "\n",
        "a",
        "B7",
        "é",
        "\u202e",
        "http://",
        "~",
        "x" * 40,
    ]
    accepted = sum(stays_inside("".join(dice.choices(scraps, k=dice.randint(1, 7)))) for _ in range(200_000))
    assert 5_000 < accepted < 195_000, "the fuzz tries both kinds"
