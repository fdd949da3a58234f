"""Modelfile text to instructions: every rule, error and test vector of catalogue 4.1."""

from __future__ import annotations

import pytest

from llmsite.modelfile.parser import INSTRUCTIONS, Command, ModelfileError, parse
from llmsite.types.limits import MIB, Limits

COMMANDS = (
    'command must be one of "from", "license", "template", "system", "adapter", "draft", "renderer", "parser", "parameter", '
    '"message", or "requires"'
)
ROLES = 'message role must be one of "system", "user", or "assistant"'


def read(text: str | bytes) -> list[tuple[str, ...]]:
    """Name, key where there is one, value."""
    return [(each.name, *filter(None, [each.key]), each.args) for each in parse(text).commands]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('FROM "     model 1"', "     model 1"),
        ("FROM     FOOO BAR    ", "FOOO BAR"),
        ("FROM m\nSYSTEM x", "x"),
        ("FROM m\nSYSTEM\tx", "x"),
        ('FROM m\nSYSTEM """\nThis is a\nmultiline system.\n"""', "\nThis is a\nmultiline system.\n"),
        ('FROM m\nSYSTEM """\nThis is a\nmultiline system."""', "\nThis is a\nmultiline system."),
        ('FROM m\nSYSTEM """This is a\nmultiline system.\n  """  ', "This is a\nmultiline system.\n  "),
        ('FROM m\nSYSTEM ""', ""),
        ('FROM m\nSYSTEM """"""', ""),
        ("FROM m\nSYSTEM \n", ""),
        ('FROM m\nSYSTEM "a\nb"\n', "a\nb"),
        ('FROM m\nSYSTEM "a" b\nc"\n', 'a" b\nc'),
        ('FROM m\nSYSTEM """a """ b\nc"""\n', 'a """ b\nc'),
        ('FROM m\nSYSTEM """"\n"""\n', '"\n'),
        ('FROM m\nSYSTEM """a "quoted" word"""', 'a "quoted" word'),
        ('FROM m\nSYSTEM "  kept  "', "  kept  "),
        ('FROM m\nSYSTEM say "hi"', 'say "hi"'),
        ("FROM m\nSYSTEM 'single'", "'single'"),
        (r"FROM m" + "\n" + r'SYSTEM "a\nb"', r"a\nb"),
        ("FROM m\nSYSTEM a # b", "a # b"),
        ("FROM m\nSYSTEM a\tb", "a\tb"),
        ('FROM m\nSYSTEM "a\r\nb"\r\n', "a\r\nb"),
        ("FROM m\nSYSTEM a\x00\x1b[0m\u00a0\u3000\u200db", "a[0mb"),
        ("FROM m\nSYSTEM 你好 é 🙂", "你好 é 🙂"),
        ("FROM m\nPARAMETER stop <|im_end|>", "<|im_end|>"),
        ("FROM m\nPARAMETER  temperature   0.7", "0.7"),
    ],
    ids=ascii,
)
def test_4_1_a_value(text, value):
    assert parse(text).commands[-1].args == value


@pytest.mark.parametrize("word", ["from", "FROM", "From", "fRoM"])
def test_4_1_instructions_have_no_case(word):
    assert read(f"{word} m") == [("from", "m")]


@pytest.mark.parametrize("name", [each for each in INSTRUCTIONS if each not in ("parameter", "message")])
def test_4_1_every_instruction_takes_a_value(name):
    assert read(f"FROM m\n{name.upper()} x y")[-1] == (name, "x y")


def test_4_1_a_whole_file():
    text = """
# a comment
   # another one

ADAPTER ./lora.gguf
from starter
\tParameter num_ctx 512
PARAMETER stop "User: "
TEMPLATE \"\"\"{{ .System }}
{{ .Prompt }}\"\"\"
MESSAGE system You are a parser.
MESSAGE user Hey there!
MESSAGE assistant Hello: I want to parse all the things!
# the end"""
    assert read(text) == [
        ("adapter", "./lora.gguf"),
        ("from", "starter"),
        ("parameter", "num_ctx", "512"),
        ("parameter", "stop", "User: "),
        ("template", "{{ .System }}\n{{ .Prompt }}"),
        ("message", "system", "You are a parser."),
        ("message", "user", "Hey there!"),
        ("message", "assistant", "Hello: I want to parse all the things!"),
    ]
    assert parse(text).commands[3] == Command("parameter", "User: ", 8, 1, "stop")
    assert parse(text).commands[2].column == 2


def test_4_1_names_of_parameters_are_checked_when_a_model_is_made():
    assert read("FROM foo\nPARAMETER what the \nSYSTEM lemons make lemonade ") == [
        ("from", "foo"),
        ("parameter", "what", "the"),
        ("system", "lemons make lemonade"),
    ]


@pytest.mark.parametrize(
    "data",
    [
        "FROM bob\nSYSTEM é\n".encode(),
        "\ufeffFROM bob\nSYSTEM é\n".encode(),
        "\ufeffFROM bob\nSYSTEM é\n".encode("utf-16-le"),
        "\ufeffFROM bob\nSYSTEM é\n".encode("utf-16-be"),
        b"FROM bob\r\nSYSTEM \xc3\xa9\r\n",
    ],
    ids=["utf-8", "utf-8 with a mark", "utf-16 little", "utf-16 big", "lines of Windows"],
)
def test_4_1_encodings(data):
    assert read(data) == [("from", "bob"), ("system", "é")]


def test_4_1_what_is_no_text_is_kept_as_replacement():
    assert read(b"FROM bob\nSYSTEM a\xffb") == [("from", "bob"), ("system", "a\ufffdb")]


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("", "no FROM line", (1, 1)),
        ("# FROM x", "no FROM line", (1, 9)),
        ("SYSTEM x\n", "no FROM line", (2, 1)),
        ("FROM starter\nFROBNICATE x\n", f"(line 2): {COMMANDS}", (2, 1)),
        ("FROM starter\n  1x y\n", f"(line 2): {COMMANDS}", (2, 3)),
        ("FROM starter\nSYS-TEM x\n", f"(line 2): {COMMANDS}", (2, 1)),
        ("FROM starter\nSYSTEM# x\n", f"(line 2): {COMMANDS}", (2, 1)),
        ("FROM\n", f"(line 2): {COMMANDS}", (1, 1)),
        ("FROM starter\r\nBAD x", f"(line 3): {COMMANDS}", (2, 1)),
        ('FROM starter\nSYSTEM "a\nb"\nBAD x', f"(line 4): {COMMANDS}", (4, 1)),
        ("FROM starter\nMESSAGE badguy x\n", f"(line 2): {ROLES}", (2, 9)),
        ("FROM starter\nMESSAGE User x\n", f"(line 2): {ROLES}", (2, 9)),
        ('FROM starter\nSYSTEM """x\n', "unexpected EOF", (2, 8)),
        ('FROM starter\nSYSTEM """This is a multiline system.""', "unexpected EOF", (2, 8)),
        ('FROM starter\nSYSTEM "', "unexpected EOF", (2, 8)),
        ('FROM starter\nSYSTEM "a" b', "unexpected EOF", (2, 8)),
        ("FROM", "unexpected EOF", (1, 1)),
        ("FROM starter\nPARAMETER temp", "unexpected EOF", (2, 11)),
        ("FROM starter\nPARAMETER ", "unexpected EOF", (2, 11)),
        ("FROM starter\nMESSAGE user", "unexpected EOF", (2, 9)),
        ("FROM starter\nPARAMETER temp\n", "unexpected EOF: temp", (2, 11)),
        ("FROM starter\nPARAMETER te-mp 1\n", "unexpected EOF: te", (2, 11)),
        ("FROM starter\nMESSAGE system\n", "unexpected EOF: system", (2, 9)),
        ("FROM starter\nMESSAGE user1 x\n", "unexpected EOF: user", (2, 9)),
    ],
    ids=ascii,
)
def test_4_1_an_error_and_where_it_is(text, message, place):
    with pytest.raises(ModelfileError) as caught:
        parse(text)
    assert str(caught.value) == message
    assert (caught.value.line, caught.value.column) == place


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("FORM starter\n", "from"),
        ("FROM starter\nPARAMETERS temperature 1", "parameter"),
        ("FROM starter\nsytem x", "system"),
        ("FROM starter\nMESSAGE assitant x", "assistant"),
        ("FROM starter\nMESSAGE User x", "user"),
        ("FROM starter\nFROBNICATE x", ""),
        ("FROM\n", ""),
        ('FROM starter\nSYSTEM "x', ""),
    ],
)
def test_what_was_perhaps_meant(text, hint):
    with pytest.raises(ModelfileError) as caught:
        parse(text)
    assert caught.value.hint == hint


def test_a_modelfile_is_bounded():
    with pytest.raises(ModelfileError, match=r"^the Modelfile is larger than 1 MiB$"):
        parse(b"#" * (MIB + 1))
    assert read("FROM m\n#" + "x" * (MIB - 20)) == [("from", "m")]
    with pytest.raises(ModelfileError):
        parse("FROM starter", Limits(modelfile_bytes=5))
