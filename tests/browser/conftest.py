"""A real Chromium on a real server. Without a Chromium these tests are skipped; when CI is set they fail instead."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, Request, sync_playwright

from llmsite.inspector.pool import read_gguf_sync
from llmsite.modelfile.create import Part, Recipe, create_model
from llmsite.store.model import ModelStore
from llmsite.types.name import ModelName
from tests.bench.cache import CACHE
from tests.browser.actions import STEADY
from tests.conftest import Site, start_site

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ARGUMENTS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NAME: Final = "mara"
PASSWORD: Final = "a thread of ink"
AXE: Final = "4.14.1"

Watch = Callable[..., BrowserContext]


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    # one per module: while it runs its event loop, pytest-asyncio cannot run another
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        message = "no Chromium on this machine: apt-get install chromium fonts-noto-cjk"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
    yield browser
    browser.close()


@pytest.fixture
def fresh_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site that nobody has used, for tests that set it up."""
    site = start_site(tmp_path_factory.mktemp("site") / "home")
    make_steady(site)
    yield site
    if site.process.poll() is None:
        site.stop()


class Faults:
    """What a page must not do: errors in its console, requests to other hosts, sideways scroll."""

    def __init__(self, own: str) -> None:
        self.own = own
        self.found: list[str] = []
        self.expected: list[str] = []

    def watch(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.found.append(f"{page.url}: {error}"))
        page.on("request", self._request)

    def check(self) -> None:
        unexpected = [each for each in self.found if not any(word in each for word in self.expected)]
        assert not unexpected, unexpected

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.found.append(f"{message.location.get('url', '')}: {message.text}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self.own, self.own.replace("http", "ws"), "data:", "blob:")):
            self.found.append(f"a request to {request.url}")


@pytest.fixture
def faults(serve: Site) -> Iterator[Faults]:
    """Checked at the end of each test."""
    faults = Faults(serve.url)
    yield faults
    faults.check()


def make_steady(site: Site) -> None:
    """The starter at temperature 0 as the newest model and so the one that new chats ask: its answers are known."""
    store = ModelStore(site.home / "models")
    starter = store.find("starter")
    facts = read_gguf_sync(starter.model_path, store.limits)
    recipe = Recipe((Part(starter.model_digest, facts),), parameters={"temperature": 0})
    create_model(store, ModelName.parse(STEADY), recipe)


@pytest.fixture(scope="module")
def state(serve: Site, browser: Browser) -> Any:
    """Cookies of the owner, who came in by the owner link or, in later modules, by the sign-in page."""
    make_steady(serve)
    context = browser.new_context(base_url=serve.url)
    page = context.new_page()
    page.goto(owner_link(serve))
    if page.locator("#id_password2").count():
        make_owner(page)
    else:
        sign_in(page)
    page.locator("#text").wait_for()
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def context(serve: Site, browser: Browser, state: Any, faults: Faults) -> Iterator[Watch]:
    """Makes contexts (a device each) in which the owner is signed in; options as for Playwright's `new_context`."""
    made: list[BrowserContext] = []

    def make(**options: Any) -> BrowserContext:
        settings: dict[str, Any] = {"base_url": serve.url, "storage_state": state, "viewport": {"width": 1440, "height": 900}}
        fresh = browser.new_context(**(settings | options))
        fresh.set_default_timeout(20_000)
        fresh.on("page", faults.watch)
        made.append(fresh)
        return fresh

    yield make
    for each in made:
        each.close()


@pytest.fixture
def page(context: Watch) -> Page:
    """The signed-in owner at a new chat, on a desk."""
    page = context().new_page()
    page.goto("/")
    return page


@pytest.fixture(scope="module")
def axe() -> str:
    """The script of axe-core, from npm, kept outside the tree."""
    folder = CACHE.with_name("llmsite-tests") / f"axe-core-{AXE}"
    script = folder / "package" / "axe.min.js"
    if not script.exists():
        _fetch_axe(folder)
    if not script.exists():
        message = f"axe-core {AXE} is not in {folder} and npm cannot fetch it"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return script.read_text()


def _fetch_axe(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    npm = shutil.which("npm")
    if npm is None:
        return
    subprocess.run([npm, "pack", "--silent", f"axe-core@{AXE}"], cwd=folder, check=False, timeout=120, stdout=subprocess.DEVNULL)
    for archive in folder.glob("*.tgz"):
        shutil.unpack_archive(archive, folder, filter="data")


def owner_link(site: Site) -> str:
    """The one-time link that it printed."""
    return next(word for line in site.lines for word in line.split() if "/setup?t=" in word)


def make_owner(page: Page, name: str = NAME, password: str = PASSWORD) -> None:
    page.fill("#id_username", name)
    page.fill("#id_password1", password)
    page.fill("#id_password2", password)
    page.locator("main button").click()


def sign_in(page: Page, name: str = NAME, password: str = PASSWORD) -> None:
    page.goto("/sign-in")
    page.fill("#id_username", name)
    page.fill("#id_password", password)
    page.locator("main button").click()
