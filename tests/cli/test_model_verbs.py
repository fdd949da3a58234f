"""Recorded runs of Ollama's `create`, `show`, `cp`, `rm`, `pull`, `push` and of `run` of a missing model, in their order.

Each row leaves behind what the next one meets, as when they were recorded; so this site is of its own. It reaches hosts with TLS
through a proxy where nobody listens: as without a network. The other host of the rows is the site of all tests, or this one.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import pytest

from llmsite.cli.main import run_program
from llmsite.modelfile.parser import parse
from tests.cli.terminal import Terminal
from tests.conftest import Site, environment_of, free_port, start_site
from tests.inference.stock import PROJECTOR, STARTER

pytestmark = [pytest.mark.process, pytest.mark.model]

PATH: Final = Path(__file__).parents[1] / "data/ollama/cli-transcripts.jsonl"
VERBS: Final = ("create", "show", "cp", "rm", "pull", "push")
ALSO: Final = ("run.missing", "run.pulls", "session.missing_model")
ALL: Final = {row["name"]: row for row in map(json.loads, PATH.read_text().splitlines())}

NOT_REPLAYED: Final = {
    "our verbs have our flags; test_main.py has them": ("help.",),
    "test_transcripts.py has them": ("usage.", "no_server."),
    "made with random weights, which nobody kept": ("made.plain", "made.embed", "show.tiny", "show.embed"),
    "made by a session": ("session.saved_modelfile",),
    "names another home than that of the server": ("rm.empty",),
}  # fmt: skip


class Ran(NamedTuple):
    stdout: str
    stderr: str
    exit: int


def is_replayed(row: dict[str, Any]) -> bool:
    if row["name"].startswith(tuple(start for starts in NOT_REPLAYED.values() for start in starts)):
        return False
    return row["argv"][:1] != [] and (row["argv"][0] in VERBS or row["name"].startswith(ALSO))


ROWS: Final = {name: row for name, row in ALL.items() if is_replayed(row)}
OURS: Final[dict[str, dict[str, Any]]] = {
    # the bytes were there already, and no frame came in time
    "run.pulls": {"stderr": ALL["pull.fine"]["stderr"]},
    # a name instead of a path of the server (threats (a), rule 9)
    "push.missing_insecure": {
        "stderr": "retrieving manifest\ncouldn't retrieve manifest\n"
        "Error: open <host>/library/nope:latest: no such file or directory\n"
    },
}


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the Modelfiles lie in, with the files they name."""
    folder = tmp_path_factory.mktemp("kitchen")
    (folder / "red.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    return folder


@pytest.fixture(scope="module")
def larder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the GGUF files lie, without a Modelfile."""
    folder = tmp_path_factory.mktemp("larder")
    for path in (STARTER, PROJECTOR):
        shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("verbs") / "home"
    started = start_site(
        home,
        OLLAMA_GO_TEMPLATE="true",
        LLMSITE_REGISTRY_PUSH="loopback",
        LLMSITE_REGISTRY_PROXY="environment",
        HTTPS_PROXY=f"http://127.0.0.1:{free_port()}",
    )
    yield started
    started.stop()


@pytest.fixture(scope="module")
def neighbour(serve: Site) -> Iterator[Site]:
    """A site that has a model named `it`."""
    httpx.post(f"{serve.url}/api/copy", json={"source": "starter", "destination": "it"}).raise_for_status()
    yield serve
    httpx.request("DELETE", f"{serve.url}/api/delete", json={"model": "it"}).raise_for_status()


@pytest.fixture
def run(site: Site, kitchen: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run the program in this process, without a terminal, in the kitchen or another folder."""

    def run_it(*argv: str, folder: Path = kitchen, stdin: str = "") -> Ran:
        monkeypatch.setenv("OLLAMA_HOST", site.url)
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        monkeypatch.chdir(folder)
        code = run_program(list(argv))
        return Ran(*capsys.readouterr(), code)

    return run_it


def comparable(text: str) -> str:
    """Without what the catalogue calls not comparable: digests, paths, which layers are there, which small blobs get a bar.

    A small model was quantized before its first frame there.
    """
    text = re.sub(r"sha256([:-])[0-9a-f]{64}", r"sha256\1<digest>", text)
    text = re.sub(r"(pulling|pushing) [0-9a-f]{12}", r"\1 <digest>", text)
    text = re.sub(r"^quantizing .*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^(?:pulling|pushing) <digest>.* B\n", _without_small, text, flags=re.MULTILINE)
    text = re.sub(r"(?:using existing|creating new) layer", "<layer>", text)
    text = re.sub(r'((?:Get|Head) "[^"]+": ).*', r"\1<network problem>", text)
    text = re.sub(r"(Head) .*", r"\1 <network problem>", text)
    text = re.sub(r"^FROM \S*/blobs/", "FROM <path>/blobs/", text, flags=re.MULTILINE)
    text = re.sub(r"\S+(/none\.gguf)", r"<path>\1", text)
    return _with_sorted_lines(text)


def _without_small(line: re.Match[str]) -> str:
    return line[0] if line[0].endswith("MB\n") else ""


def _with_sorted_lines(text: str) -> str:
    """PARAMETER lines, and those of sections and of `--parameters`, in one order: Ollama's is that of a Go map.

    Tensors too: Ollama writes a GGUF file anew and moves them (2.18, accident).
    """
    names = r"(?:PARAMETER |    |)(?:temperature|seed|stop|num_ctx|num_predict)"
    tensors = r"    [\w.]+\.weight +F\d+ +\[\d[\d ]*\]"
    blocks = re.compile(rf"(?:^{names} +\S.*\n)+|(?:^{tensors} *\n)+", re.MULTILINE)
    return blocks.sub(lambda block: "".join(sorted(block[0].splitlines(keepends=True))), text)


def prepare(row: dict[str, Any], kitchen: Path, larder: Path) -> list[str]:
    """Write the row's Modelfile; returns the arguments."""
    argv = list(row["argv"])
    if "file" in row:
        name = argv[argv.index("-f") + 1] if "-f" in argv else "Modelfile"
        (kitchen / name).write_text(row["file"].replace("<path>", str(larder)))
    return argv


def host_of(row: dict[str, Any], site: Site, neighbour: Site) -> str:
    """What `<host>` of a row stands for."""
    if row["name"].endswith(".closed"):
        return f"127.0.0.1:{free_port()}"
    host = site if row["argv"][0] == "push" else neighbour
    return host.url.removeprefix("http://")


def set_the_table(row: dict[str, Any], run: Callable[..., Ran], host: str) -> None:
    """What the recorder did between the rows."""
    if row["name"] == "push.fine":
        run("cp", "calm", f"http://{host}/library/calm")
    if row["name"] in ("run.pulls", "screen.pull"):
        run("rm", f"http://{host}/library/it")


@pytest.mark.parametrize("row", [row for row in ROWS.values() if "keys" not in row], ids=lambda row: row["name"])
def test_a_run_is_the_recorded_one(row, run, site, neighbour, kitchen, larder):
    expected = row | OURS.get(row["name"], {})
    host = host_of(row, site, neighbour)
    argv = [word.replace("<host>", host) for word in prepare(row, kitchen, larder)]
    if row["name"] == "pull.not_there":
        argv = [word.replace("/it", "/nothing") for word in argv]
    set_the_table(row, run, host)
    ran = run(*argv, folder=larder if row["name"] == "create.file_missing_beside_gguf" else kitchen)
    wanted = Ran(*(comparable(expected[key].replace("<host>", host)) for key in ("stdout", "stderr")), expected["exit"])
    assert Ran(comparable(ran.stdout), comparable(ran.stderr), ran.exit) == wanted


@pytest.mark.parametrize("row", [row for row in ROWS.values() if "keys" in row], ids=lambda row: row["name"])
def test_the_screen_is_the_recorded_one(row, run, site, neighbour, kitchen, larder, monkeypatch):
    for name in ("create.full", "create.from_gguf"):
        run(*prepare(ALL[name], kitchen, larder))
    host = host_of(row, site, neighbour)
    set_the_table(row, run, host)
    monkeypatch.chdir(kitchen)
    terminal = Terminal([word.replace("<host>", host) for word in row["argv"]], environment_of(site.home, site.url))
    code = terminal.finish()
    terminal.close()
    shown = comparable("\n".join(terminal.screen) + "\n")
    assert shown == comparable("\n".join(row["screen"]) + "\n")
    assert code == row.get("exit", 0)


def test_every_exception_is_a_row():
    assert OURS.keys() <= ROWS.keys()
    assert all(any(name.startswith(start) for name in ALL) for starts in NOT_REPLAYED.values() for start in starts)


DEMO: Final = '''FROM starter
PARAMETER temperature 0.25
PARAMETER seed 1
PARAMETER stop "User: "
PARAMETER stop <|im_end|>
SYSTEM """Answer "briefly".
Always."""
TEMPLATE """{{ .System }}
{{ range .Messages }}{{ .Role }}: {{ .Content }}
{{ end }}"""
MESSAGE user Hello!
MESSAGE assistant "  Hello there.  "
LICENSE """MIT License

"as is" """
LICENSE another
'''


def layers_of(site: Site, model: str) -> list[tuple[str, str]]:
    """Media type and digest of each layer of an installed model."""
    manifest = json.loads((site.home / "models/manifests/registry.ollama.ai/library" / model / "latest").read_text())
    return [(layer["mediaType"], layer["digest"]) for layer in manifest["layers"]]


def test_a_model_shown_and_created_again_has_the_same_layers(run, site, kitchen):
    (kitchen / "demo.txt").write_text(DEMO)
    assert run("create", "demo", "-f", "demo.txt").exit == 0
    shown = run("show", "demo", "--modelfile").stdout
    weights = parse(shown).commands[0].args
    assert Path(weights).is_file()
    for name, text in (("again", shown), ("from-name", shown.replace(weights, "demo"))):
        (kitchen / f"{name}.txt").write_text(text)
        assert run("create", name, "-f", f"{name}.txt").exit == 0
    assert layers_of(site, "again") == layers_of(site, "demo")
    assert run("show", "again", "--modelfile").stdout.replace("again:", "demo:") == shown
    assert run("show", "demo", "--parameters").stdout == run("show", "again", "--parameters").stdout


def test_a_model_obeys_its_system_prompt(run, kitchen):
    (kitchen / "ping").write_text("FROM starter\nSYSTEM Always answer with the word PING.\nPARAMETER temperature 0\n")
    assert run("create", "ping", "-f", "ping").exit == 0
    assert run("run", "ping", "--think=false", "Hello!").stdout == "PING\n\n"


def test_a_loaded_model_is_let_go_before_it_is_removed(run, kitchen):
    (kitchen / "short").write_text("FROM starter\nPARAMETER temperature 0\n")
    run("create", "short", "-f", "short")
    run("run", "short", "--think=false", "Hello!")
    assert "short:latest" in run("ps").stdout
    assert run("rm", "short") == ("deleted 'short'\n", "", 0)
    assert "short:latest" not in run("ps").stdout
