"""Flags, words and usage texts (catalogue 9.1; rows `usage.*` of the recorded runs are in test_transcripts.py)."""

import pytest

from llmsite.cli.arguments import Flag, UsageError, Verb, exactly, parse, suggestions, usage_of
from llmsite.cli.main import VERBS

FLAGS = (
    Flag("format", "Response format"),
    Flag("think", "Think", alone="true"),
    Flag("verbose", "Show timings", is_switch=True, short="v"),
    Flag("quantize", "Quantize", short="q"),
)


@pytest.mark.parametrize(
    ("given", "words", "values"),
    [
        (["a", "--verbose", "b"], ("a", "b"), {"verbose": True}),
        (["--verbose=false", "a"], ("a",), {"verbose": False}),
        (["--format", "json", "a"], ("a",), {"format": "json"}),
        (["--format=json"], (), {"format": "json"}),
        (["--format="], (), {"format": ""}),
        (["--think", "false"], ("false",), {"think": "true"}),
        (["--think=false"], (), {"think": "false"}),
        (["--think="], (), {"think": "true"}),
        (["-vq", "x"], (), {"verbose": True, "quantize": "x"}),
        (["-qx"], (), {"quantize": "x"}),
        (["-q=x"], (), {"quantize": "x"}),
        (["--", "--verbose", "-x"], ("--verbose", "-x"), {"verbose": False}),
        (["-", "a"], ("-", "a"), {}),
    ],
)
def test_flags_and_words_mix(given, words, values):
    arguments = parse(given, FLAGS)
    assert arguments.words == words
    assert {name: arguments.values[name] for name in values} == values


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (["--bogus"], "unknown flag: --bogus"),
        (["-x"], "unknown shorthand flag: 'x' in -x"),
        (["-vx"], "unknown shorthand flag: 'x' in -vx"),
        (["--format"], "flag needs an argument: --format"),
        (["-q"], "flag needs an argument: 'q' in -q"),
        (
            ["-v=maybe"],
            'invalid argument "maybe" for "-v, --verbose" flag: strconv.ParseBool: parsing "maybe": invalid syntax',
        ),
    ],
)
def test_a_flag_that_cannot_be_meant_is_named(given, text):
    with pytest.raises(UsageError) as caught:
        parse(given, FLAGS)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("lst", ["list", "ps"]),
        ("ru", ["run", "ps", "cp", "rm"]),
        ("sto", ["show", "stop"]),
        ("craete", ["create"]),
        ("bogus", []),
        ("version", []),
    ],
)
def test_a_near_miss_is_suggested(word, near):
    assert suggestions(word, VERBS) == near


def test_the_usage_of_a_verb_lists_its_flags_by_name():
    verb = Verb("stop", "stop MODEL", "Stop a running model", lambda _: 0, exactly(1), FLAGS)
    assert usage_of(verb, lambda _: "address") == (
        "Stop a running model\n\nUsage:\n  llmsite stop MODEL [flags]\n\nFlags:\n"
        "      --format string           Response format\n"
        "  -h, --help                    help for stop\n"
        "  -q, --quantize string         Quantize\n"
        '      --think string[="true"]   Think\n'
        "  -v, --verbose                 Show timings\n"
        "\nEnvironment Variables:\n      OLLAMA_HOST   address\n"
    )
