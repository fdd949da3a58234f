"""Limits: names tell their unit, and each can be set from the environment."""

from __future__ import annotations

from dataclasses import fields

import pytest

from llmsite.env import BadVariable, read_limits
from llmsite.types.limits import Limits


def test_each_limit_can_be_set() -> None:
    for field in fields(Limits):
        limits = read_limits({f"LLMSITE_LIMIT_{field.name.upper()}": " '7' "})
        assert getattr(limits, field.name) == 7
        assert type(getattr(limits, field.name)) is type(getattr(Limits(), field.name)) or field.type == "float"


def test_only_the_word_unlimited_takes_a_limit_away() -> None:
    limits = read_limits({"LLMSITE_LIMIT_BODY_BYTES": "unlimited", "LLMSITE_LIMIT_TEMPLATE_SECONDS": "unlimited"})
    assert limits.body_bytes == 2**62
    assert limits.template_seconds == float("inf")
    assert read_limits({"PATH": "/bin"}) == Limits()


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        (
            "LLMSITE_LIMIT_BODY_BYTES",
            "64 MiB",
            r"LLMSITE_LIMIT_BODY_BYTES='64 MiB' is not understood: expected a number or unlimited",
        ),
        ("LLMSITE_LIMIT_BODY_BYTES", "", "expected a number or unlimited"),
        ("LLMSITE_LIMIT_NOPE", "1", "LLMSITE_LIMIT_NOPE is no limit"),
    ],
)
def test_a_bad_limit_is_named(name: str, value: str, problem: str) -> None:
    with pytest.raises(BadVariable, match=problem):
        read_limits({name: value})


def test_names_tell_what_is_counted() -> None:
    for field in fields(Limits):
        if field.type == "float":
            assert field.name.endswith(("_seconds", "_per_second"))
        assert getattr(Limits(), field.name) >= 0
