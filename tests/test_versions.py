"""The floors of the libraries that safety rests on: read from the package, compared as numbers."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from llmsite import startup, versions
from llmsite.startup import Refused, check_versions
from llmsite.versions import Version, list_versions, read_floors


def test_the_floors_are_those_of_the_package() -> None:
    found = {each.name: each for each in list_versions()}
    assert {"Django", "daphne", "Pillow", "huggingface-hub", "llama-cpp-python", "SQLite"} <= set(found)
    assert found["Django"].floor == "5.2.17"
    assert found["daphne"].floor == "4.2.2"
    assert all(each.floor != "0" for each in found.values())
    assert [name for name, each in found.items() if each.is_old and each.is_demanded] == []
    assert (found["SQLite"].found, found["SQLite"].is_demanded) == (sqlite3.sqlite_version, False)


@pytest.mark.parametrize(
    ("line", "floors"),
    [
        ("django<5.3,>=5.2.17", {"django": "5.2.17"}),
        ("Pillow>=12.3,<14", {"pillow": "12.3"}),
        ("gotpl==0.1.0", {"gotpl": "0.1.0"}),
        ("psycopg[binary]<4,>=3.2; extra == 'postgres'", {"psycopg": "3.2"}),
        ("huggingface_hub >= 2", {"huggingface-hub": "2"}),
        ("types-Pygments; extra == 'test'", {}),
    ],
)
def test_how_a_requirement_is_read(line: str, floors: dict[str, str]) -> None:
    assert read_floors([line]) == floors


@pytest.mark.parametrize(
    ("found", "floor", "is_old"),
    [
        ("5.2.16", "5.2.17", True),
        ("5.2.17", "5.2.17", False),
        ("5.10", "5.2.17", False),
        ("4.9.9", "5", True),
        ("6.0rc1", "5.2", False),
    ],
)
def test_versions_are_compared_as_numbers(found: str, floor: str, is_old: bool) -> None:
    assert Version("x", found, floor).is_old is is_old


def test_a_library_that_is_too_old_refuses_the_start_outside_debug(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    check_versions()
    old = [Version("Django", "5.2.1", "5.2.17"), Version("SQLite", "3.1", versions.SQLITE_FLOOR, is_demanded=False)]
    monkeypatch.setattr(startup, "list_versions", lambda: old)
    with pytest.raises(Refused, match=r"Django 5\.2\.1 is too old: 5\.2\.17 or newer is needed"):
        check_versions()
    settings.DEBUG = True
    check_versions()
