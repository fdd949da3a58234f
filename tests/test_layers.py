"""Holds the import table of docs/structure.md: which room may import which, and through which door each dependency enters.

Imports are read with `ast`, so an import inside a function counts like any other.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
APPS = ("models_app", "chat", "api")

# room -> rooms of ours it may import; the longest matching prefix of a module's path is its room
ROOMS: dict[str, set[str]] = {
    "llmsite": set(),
    "llmsite.env": {"llmsite.types"},
    "llmsite.logs": set(),
    "llmsite.sandbox": set(),
    "llmsite.priority": set(),
    "llmsite.versions": set(),
    "llmsite.staticfiles": set(),
    "llmsite.settings": {"llmsite.env", "llmsite", "llmsite.accounts", "llmsite.logs"},
    "llmsite.celery": {"llmsite.env", "llmsite.settings", "llmsite.priority"},
    "llmsite.types": set(),
    "llmsite.store": {"llmsite.types"},
    "llmsite.prompt": {"llmsite.types"},
    "llmsite.parsers": {"llmsite.types"},
    "llmsite.modelfile": {"llmsite.types", "llmsite.store"},
    "llmsite.registry": {"llmsite", "llmsite.types", "llmsite.store", "llmsite.modelfile"},
    "llmsite.engine": {"llmsite.types", "llmsite.store", "llmsite.env", "llmsite.sandbox", "llmsite.priority"},
    "llmsite.inspector": {"llmsite.types", "llmsite.store", "llmsite.prompt", "llmsite.env", "llmsite.sandbox"},
    "llmsite.inference": {
        "llmsite.types",
        "llmsite.store",
        "llmsite.prompt",
        "llmsite.parsers",
        "llmsite.engine",
        "llmsite.inspector",
    },
    "llmsite.inference.client": {"llmsite.types"},
    "llmsite.cluster": {"llmsite.types", "llmsite.inference"},
    "llmsite.cli": {
        "llmsite",
        "llmsite.types",
        "llmsite.modelfile",
        "llmsite.store.digest",
        "llmsite.inference.client",
        "llmsite.env",
    },
    "llmsite.backend": {
        "llmsite.types",
        "llmsite.store",
        "llmsite.env",
        "llmsite.inference",
        "llmsite.inference.client",
        "llmsite.engine",
        "llmsite.cluster",
        "llmsite.inspector",
        "llmsite.celery",
    },
    "llmsite.worker": {"llmsite.inference", "llmsite.engine", "llmsite.cluster", "llmsite.celery", "llmsite.backend"},
    "llmsite.serving": {"llmsite.types"},
    "llmsite.serve": {
        "llmsite",
        "llmsite.types",
        "llmsite.env",
        "llmsite.accounts",
        "llmsite.engine",
        "llmsite.inference",
        "llmsite.inspector",
        "llmsite.celery",
        "llmsite.backend",
        "llmsite.serving",
        "llmsite.startup",
        "llmsite.asgi",
        "models_app",
        "chat",
    },
    "llmsite.startup": {"llmsite.env", "llmsite.celery", "llmsite.accounts", "llmsite.versions", "models_app", "chat"},
    "llmsite.accounts": {"llmsite", "llmsite.types"},
    "llmsite.accounts.management": {"llmsite.accounts", "llmsite.serve", "llmsite.startup", "llmsite.types", "llmsite.env"},
    "llmsite.urls": {"*"},
    "llmsite.asgi": {"*"},
    "models_app": {
        "llmsite.env",
        "llmsite.types",
        "llmsite.store",
        "llmsite.modelfile",
        "llmsite.registry",
        "llmsite.prompt",
        "llmsite.inspector.pool",
        "llmsite.engine.quantize",
        "llmsite.accounts",
        "llmsite.backend",
    },
    "models_app.tasks": {
        "models_app",
        "llmsite.types",
        "llmsite.store",
        "llmsite.engine.quantize",
        "llmsite.celery",
        "llmsite.backend",
    },
    "models_app.apps": {"models_app", "llmsite.celery"},
    "models_app.management": {
        "models_app",
        "llmsite.types",
        "llmsite.store",
        "llmsite.backend",
        "llmsite.startup",
        "llmsite.versions",
    },
    "chat": {"llmsite", "llmsite.types", "llmsite.accounts", "llmsite.backend", "models_app.services", "models_app.progress"},
    "chat.generation": {"chat", "llmsite.types", "llmsite.accounts", "llmsite.backend", "llmsite.inference.client"},
    "api": {
        "llmsite",
        "llmsite.types",
        "llmsite.accounts",
        "llmsite.backend",
        "llmsite.inference.client",
        "llmsite.store",
        "models_app.services",
        "models_app.jobs",
        "models_app.downloads",
        "models_app.progress",
    },
}

# dependency -> the modules it may enter through (a package stands for all its modules)
DOORS: dict[str, set[str]] = {
    "llama_cpp": {"llmsite.engine.llama"},
    "celery": {"llmsite.celery", "llmsite.worker", "models_app.tasks"},
    "channels": {
        "llmsite.asgi",
        "llmsite.backend",
        "llmsite.worker",
        "llmsite.accounts.sockets",
        "llmsite.cluster",
        "models_app.consumers",
        "chat.consumers",
        "chat.polling",
        "chat.routing",
        "chat.generation",
    },
    "daphne": {"llmsite.serving"},
    "twisted": {"llmsite.serving"},
    "huggingface_hub": {"llmsite.registry.huggingface"},
    "httpx2": {"llmsite.registry.huggingface"},
    "cryptography": {"llmsite.registry.keys"},
    "httpx": {"llmsite.cli.rest"},
    "jinja2": {"llmsite.prompt.jinja"},
    "gotpl": {"llmsite.prompt.gotemplate"},
    "nh3": {"chat.markup"},
    "markdown_it": {"chat.markdown", "chat.markdown_cjk", "chat.markdown_math", "chat.markdown_tail", "chat.markup"},
    "mdit_py_plugins": {"chat.markdown"},
    "pygments": {"chat.markup"},
}
NO_DJANGO = [
    *("llmsite.cli", "llmsite.cluster", "llmsite.engine", "llmsite.env", "llmsite.inference", "llmsite.inspector"),
    *("llmsite.modelfile", "llmsite.parsers", "llmsite.prompt", "llmsite.registry", "llmsite.store", "llmsite.types"),
]


@dataclass(frozen=True)
class Import:
    """One import statement: who imports what, and where it stands."""

    module: str
    target: str
    line: int

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


def _modules() -> Iterator[tuple[str, Path]]:
    for package in ("llmsite", *APPS):
        for path in sorted((ROOT / package).rglob("*.py")):
            if "migrations" in path.parts:
                continue
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def _is_module(dotted: str) -> bool:
    path = ROOT / dotted.replace(".", "/")
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists() or path.is_dir()


def _imports(module: str, path: Path) -> Iterator[Import]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield Import(module, name.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno} uses a relative import"
            base = node.module or ""
            for name in node.names:
                deeper = f"{base}.{name.name}"
                ours = base.split(".")[0] in ("llmsite", *APPS)
                yield Import(module, deeper if ours and _is_module(deeper) else base, node.lineno)


ALL = [each for module, path in _modules() for each in _imports(module, path)]


def _within(module: str, room: str) -> bool:
    return module == room or module.startswith(room + ".")


def _room(module: str) -> str:
    return max((room for room in ROOMS if _within(module, room)), key=len)


def _may_import(each: Import) -> bool:
    room = _room(each.module)
    allowed = ROOMS[room]
    if "*" in allowed:
        return True
    target_room = _room(each.target)
    app = each.module.split(".")[0]
    if app in APPS and _within(each.target, app):
        return True
    # "llmsite" alone is the version, not the house; a room may import itself and what it is a part of
    if target_room == room or (room.count(".") and _within(room, target_room) and target_room != "llmsite"):
        return True
    return any(_within(each.target, name) if name != "llmsite" else each.target == "llmsite" for name in allowed)


def test_every_room_imports_only_what_the_table_allows() -> None:
    ours = [each for each in ALL if each.target.split(".")[0] in ("llmsite", *APPS)]
    assert len(ours) > 20
    assert [str(each) for each in ours if not _may_import(each)] == []


@pytest.mark.parametrize("dependency", DOORS)
def test_a_dependency_enters_through_its_door(dependency: str) -> None:
    users = [each for each in ALL if _within(each.target, dependency)]
    assert [str(each) for each in users if not any(_within(each.module, door) for door in DOORS[dependency])] == []


def test_libraries_know_no_django_and_no_celery() -> None:
    bad = [
        each
        for each in ALL
        if each.target.split(".")[0] in ("django", "celery") and any(_within(each.module, room) for room in NO_DJANGO)
    ]
    assert [str(each) for each in bad] == []


def test_only_env_reads_the_environment() -> None:
    allowed = {"llmsite.env"}
    for module, path in _modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if module not in allowed and isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.getenv"):
                line = path.read_text().splitlines()[node.lineno - 1]
                assert "DJANGO_SETTINGS_MODULE" in line, f"{module}:{node.lineno} reads the environment"
