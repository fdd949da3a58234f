"""Marks of images in prompts, and what is a sound (catalogue 5.6)."""

from __future__ import annotations

import pytest

from llmsite.prompt.job import CHATML, RenderJob
from llmsite.prompt.media import MarkPlace, count_media, is_audio, mark_media
from llmsite.prompt.template import Renderer
from llmsite.types.limits import Limits
from llmsite.types.message import Message

ONE, TWO = (b"",), (b"", b"")
MESSAGES = "{{ range .Messages }}<{{ .Role }} {{ len .Images }}>{{ .Content }}{{ end }}"
ROUNDS = "{{ .System }}|{{ .Prompt }}|{{ .Response }}"


def user(text: str, images: tuple[bytes, ...] = ()) -> Message:
    return Message("user", text, images=images)


def texts(place: MarkPlace, *messages: Message) -> list[str]:
    return [message.content for message in mark_media(messages, place)]


@pytest.mark.parametrize(
    ("text", "images", "expected"),
    [
        ("text", (), "text"),
        ("text", ONE, "[img-0]text"),
        ("text", TWO, "[img-0][img-1]text"),
        ("", ONE, "[img-0]"),
        ("a [img] b", ONE, "a [img-0] b"),
        ("a [img] b [img]", TWO, "a [img-0] b [img-1]"),
        ("a [img] b", TWO, "[img-1]a [img-0] b"),
        ("a [img] b [img]", ONE, "a [img-0] b [img]"),
        ("a [img] b", (), "a [img] b"),
        ("a [img-7] b", ONE, "[img-0]a [img-7] b"),
    ],
    ids=[
        "none",
        "prefixed",
        "several prefixed",
        "no text",
        "replaced",
        "each replaced",
        "replaced and prefixed",
        "the first replaced",
        "a place without an image",
        "a number that was there",
    ],
)
def test_5_6_marks_before_the_text(text: str, images: tuple[bytes, ...], expected: str) -> None:
    assert texts("before", user(text, images)) == [expected]


def test_5_6_numbers_count_over_all_messages() -> None:
    talk = (user("a", ONE), Message("assistant", "b"), user("c [img]", TWO))
    assert texts("before", *talk) == ["[img-0]a", "b", "[img-2]c [img-1]"]


def test_5_6_marks_behind_the_text() -> None:
    assert texts("behind", user("a [img]", ONE), user("b", TWO), user("", ONE)) == [
        "a [img][img-0]",
        "b[img-1][img-2]",
        "[img-3]",
    ]


def test_5_6_renderers_place_their_own() -> None:
    assert texts("none", user("a", ONE)) == ["a"]


def render(kind: str, source: str, place: MarkPlace, *messages: Message) -> str:
    job = RenderJob(kind, source, messages, marks=place)  # type: ignore[arg-type]
    return Renderer(Limits()).render(job)


THREE = (user("text"), user("", ONE), user("", ONE))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ range .Messages }}{{ .Content }}{{ end }}", "text\n\n[img-0]\n\n[img-1]"),
        (ROUNDS, "|text\n\n[img-0]\n\n[img-1]|"),
    ],
    ids=["messages", "rounds"],
)
def test_5_6_three_messages_of_the_user_in_a_row(source: str, expected: str) -> None:
    assert render("go", source, "before", *THREE) == expected


def test_5_3_images_of_a_message() -> None:
    assert render("go", MESSAGES, "before", user("a", TWO), Message("assistant", "b")) == "<user 2>[img-0][img-1]a<assistant 0>b"


def test_5_6_a_jinja_template_gets_them_behind_the_text() -> None:
    expected = "<|im_start|>user\na[img-0]<|im_end|>\n<|im_start|>user\nb<|im_end|>\n<|im_start|>assistant\n"
    assert render("jinja", CHATML, "behind", user("a", ONE), user("b")) == expected


def test_they_are_counted() -> None:
    assert count_media((user("a", ONE), user("b"), user("c", TWO))) == 3


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"RIFF\x10\x00\x00\x00WAVEfmt ", True),
        (b"ID3\x04", True),
        (b"\xff\xfb\x90\x00", True),
        (b"\xff\xe0", True),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 ", False),
        (b"RIFF\x10\x00\x00\x00WAV", False),
        (b"\x89PNG\r\n\x1a\n", False),
        (b"\xff\xd8\xff\xe0JFIF", False),
        (b"\xff", False),
        (b"", False),
    ],
    ids=["WAVE", "ID3", "MPEG", "MPEG sync alone", "WebP", "too short for WAVE", "PNG", "JPEG", "one byte", "nothing"],
)
def test_5_6_sounds(data: bytes, expected: bool) -> None:
    assert is_audio(data) is expected
