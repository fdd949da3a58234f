"""Sections of `show` (catalogue 9.3); whole runs are in test_transcripts.py."""

from __future__ import annotations

import pytest

from llmsite.cli.boxes import section, wrap
from llmsite.cli.model_card import format_float, format_value, model_card

DETAILS = {"family": "test", "parameter_size": "7B", "quantization_level": "FP16"}
METADATA = {"general.architecture": "test", "test.context_length": 4096, "test.embedding_length": 768}


def test_9_3_the_example_of_the_catalogue():
    assert model_card({"details": DETAILS, "model_info": METADATA}, is_verbose=False) == (
        "  Model\n"
        "    architecture        test    \n"
        "    parameters          7B      \n"
        "    context length      4096    \n"
        "    embedding length    768     \n"
        "    quantization        FP16    \n"
        "\n"
    )


def test_9_3_without_metadata_the_details_speak():
    assert model_card({"details": DETAILS}, is_verbose=True) == (
        "  Model\n    architecture    test    \n    parameters      7B      \n    quantization    FP16    \n\n"
    )


def test_T58_what_the_maker_of_a_model_wrote_moves_no_cursor():
    answer = {"details": {"family": "\x1b[2Jtest"}, "license": "Free\x1b]0;title\x07\u202e", "capabilities": ["a\rb"]}
    card = model_card(answer, is_verbose=True)
    assert card.replace("\n", "").isprintable()
    assert "Free]0;title" in card


def test_9_3_all_sections_in_order():
    answer = {
        "details": DETAILS | {"parameter_size": ""},
        "model_info": METADATA | {"general.parameter_count": 8_030_261_312, "test.scale": 8e9},
        "requires": "0.14.0",
        "capabilities": ["completion", "vision"],
        "projector_info": {
            "general.architecture": "clip",
            "general.parameter_count": 487_000,
            "clip.vision.embedding_length": 128,
            "clip.vision.projection_dim": 256,
        },
        "parameters": 'stop                           "<|im_end|>"\ntemperature                    0',
        "tensors": [{"name": "token_embd.weight", "type": "Q4_K", "shape": [42, 3117]}],
        "system": "One\n\n  Two  \nThree\n",
        "license": "MIT License\nall rights",
    }
    text = model_card(answer, is_verbose=True)
    titles = ["Model", "Capabilities", "Projector", "Parameters", "Metadata", "Tensors", "System", "License"]
    assert [line.strip() for line in text.split("\n") if line.startswith("  ") and line[2] != " "] == titles
    for line in (
        "    parameters          8.0B      ", "    requires            0.14.0    ", "    dimensions          256     ",
        '    stop           "<|im_end|>"    ', f"    test.scale{' ' * 17}8e+09{' ' * 14}",
        "    token_embd.weight    Q4_K    [42 3117]    ", "    Two    ", "    ...    ", "    all rights     ",
    ):  # fmt: skip
        assert f"{line}\n" in text
    assert "Three" not in text
    assert "Metadata" not in model_card(answer, is_verbose=False)


def test_9_3_further_lines_stand_two_columns_to_the_right():
    text = section("Metadata", [["key", "Tiny built-in chat model of llmsite, trained from scratch"], ["longer key", "x"]])
    assert text == (
        "  Metadata\n"
        "    key           Tiny built-in chat model of       \n"
        "                    llmsite, trained from scratch     \n"
        "    longer key    x                                 \n"
        "\n"
    )


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("short", ["short"]),
        ("x" * 40, ["x" * 40]),
        ("one two three", ["one two", "three"]),
        ("aaa bb cc ddddd", ["aaa", "bb cc", "ddddd"]),  # less ragged than filling the first line
        ("你好 世界 你好", ["你好", "世界", "你好"]),
        ("a  b " * 3, ["a  b a ", "b a  b "]),
    ],
)
def test_words_are_wrapped_with_even_ends(text, lines):
    assert wrap(text, 7 if "x" not in text else 30) == lines


def test_a_long_text_wraps_without_taking_forever():
    lines = wrap("word " * 50_000, 100)
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"), (10000, "10000"), (131072, "131072"), (1000000, "1e+06"), (4737280, "4.73728e+06"), (8e9, "8e+09"),
        (1e-05, "1e-05"), (0.0001, "0.0001"), (0.5, "0.5"), (-2.5e-07, "-2.5e-07"), (100, "100"), (1e21, "1e+21"),
    ],
)  # fmt: skip
def test_9_3_numbers_as_go_prints_them(number, text):
    assert format_float(number) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([1] * 3104, "[1 1 1 ...+3101 more]"),
        (["Ċ Ċ", "e r", "x"], "[Ċ Ċ e r ...+1 more]"),
        (["a very long entry", "b"], "[a very long entry ...+1 more]"),
        ([1, 2], "[1 2]"),
        ([], "[]"),
        (True, "true"),
        (False, "false"),
        ("text", "text"),
        (None, "<nil>"),
        ([True, 0.5], "[true 0.5]"),
    ],
)
def test_9_3_values_of_metadata(value, text):
    assert format_value(value) == text
