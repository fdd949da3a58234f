"""`llmsite check`: what it prints, what it repairs, and with which code it ends."""

from __future__ import annotations

import os
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from llmsite import startup
from llmsite.modelfile.create import Part, Recipe, create_model
from llmsite.store.gguf import GgufFacts
from llmsite.store.model import ModelStore
from llmsite.types.name import ModelName
from models_app import services
from models_app.management.commands import check_store
from models_app.models import Blob, Model
from tests.store.gguf_files import GgufFile

pytestmark = pytest.mark.django_db(transaction=True)


def add(store: ModelStore, name: str, extra: bytes = b"") -> str:
    digest = store.blobs.put(GgufFile().encode() + extra)
    part = Part(digest, GgufFacts(architecture="llama", parameter_count=7_000_000_000, file_type="F16"))
    create_model(store, ModelName.parse(name), Recipe((part,)))
    return digest


def run(*words: str) -> tuple[int, list[str]]:
    """Exit code and lines."""
    out = StringIO()
    try:
        call_command("check_store", *words, stdout=out, stderr=StringIO())
    except SystemExit as end:
        return int(end.code or 0), out.getvalue().splitlines()
    return 0, out.getvalue().splitlines()


def test_a_whole_store_ends_with_0(store: ModelStore) -> None:
    add(store, "a")
    code, lines = run()
    assert code == 0
    assert "1 models, 2 blobs, 2 of them read" in lines
    assert lines[-1] == "everything is whole"
    versions = {line.split()[0] for line in lines if "at least" in line}
    assert {"Django", "daphne", "Pillow", "SQLite"} <= versions
    assert "1 models, 2 blobs, 0 of them read" in run("--quick")[1]


def test_damage_is_told_with_what_to_do_and_ends_with_1(store: ModelStore) -> None:
    digest = add(store, "a")
    add(store, "b", b"\0")
    store.blobs.path(digest).write_bytes(b"GGUF damaged")
    code, lines = run("--quick")
    assert code == 1
    assert f"1 damaged blobs were set aside in {store.root / 'damaged'}; nothing is served from there" in lines
    problem = f"blob {digest}: its content is not what it was"
    assert f"a:latest is damaged ({problem}): create it again, or remove it: llmsite rm a:latest" in lines
    assert lines[-1] == "not everything is whole"
    assert not any(line.startswith("b:latest") for line in lines)
    store.remove(ModelName.parse("a"))
    assert run()[0] == 0


def test_the_rows_are_made_anew_from_the_manifests(store: ModelStore) -> None:
    add(store, "a")
    services.list_models_now()
    row = Model.objects.get()
    Model.objects.update(template="wrong", size_bytes=1)
    Model.objects.create(model="ghost", host="h", namespace="n", tag="t", manifest_ns=1, manifest_bytes=1)
    Blob.objects.all().delete()
    assert run()[0] == 0
    again = Model.objects.get()
    assert (again.pk, again.template, again.size_bytes) == (row.pk, row.template, row.size_bytes)
    assert Blob.objects.count() == 2


def test_what_nobody_uses_is_swept_unless_pruning_is_off(store: ModelStore, settings: Any) -> None:
    add(store, "a")
    unused = store.blobs.put(b"unused")
    os.utime(store.blobs.path(unused), (1, 1))
    settings.LLMSITE_PRUNES = False
    run()
    assert store.blobs.has(unused)
    settings.LLMSITE_PRUNES = True
    assert "1 files that no model uses were removed" in run()[1]
    assert not store.blobs.has(unused)


def test_10_1_blobs_under_their_old_names_are_taken_over(store: ModelStore) -> None:
    add(store, "a")
    for path in list(store.blobs.folder.iterdir()):
        path.rename(path.with_name(path.name.replace("-", ":")))
    assert run()[0] == 0
    assert store.find("a")


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (startup.Refused("the database is of a newer release", 1), 2, "the store cannot be checked: the database is of a newer"),
        (PermissionError(13, "Permission denied"), 2, "the store cannot be checked"),
        (KeyboardInterrupt(), 130, "llmsite check --quick goes on from here"),
    ],
)
def test_what_cannot_be_checked_is_told(store: ModelStore, monkeypatch: Any, error: BaseException, code: int, text: str) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(check_store, "check_store", fail)
    with pytest.raises(CommandError, match=text) as caught:
        run()
    assert caught.value.returncode == code


def test_on_a_terminal_the_reading_is_shown(store: ModelStore) -> None:
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    add(store, "a")
    screen = Terminal()
    call_command("check_store", stdout=StringIO(), stderr=screen)
    assert "\rreading 0.0 of 0.0 GiB" in screen.getvalue()
    assert screen.getvalue().endswith("\r\033[K")


def test_a_store_that_cannot_be_looked_into_is_told_before_serving(store: ModelStore) -> None:
    store.root.mkdir(parents=True)
    (store.root / "blobs").write_bytes(b"no folder")
    with pytest.raises(startup.Refused, match=r"^the model store \S+/models cannot be used: Not a directory$"):
        startup.adopt_store()
