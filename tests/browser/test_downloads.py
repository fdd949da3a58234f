"""Downloads in a real browser: live on their page and in the dock, kept by reload, without a websocket, on phones, in Chinese."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.actions import sideways, violations
from tests.browser.conftest import Faults, Watch, make_owner, owner_link
from tests.conftest import Site, start_site
from tests.registry.fake_hub import FakeHub
from tests.registry.fake_registry import FakeRegistry, Handler, running_registry
from tests.store.gguf_files import GgufFile

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.model]

MIB = 1 << 20
PERCENT = re.compile(r"^[1-9]\d?%")


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """Slow enough to be watched."""
    with running_registry() as registry:
        registry.pace_seconds = 0.05
        yield registry


@pytest.fixture
def pull(registry: FakeRegistry) -> Any:
    """Start a pull of a fresh model on the page; returns its name there."""

    def start(page: Page, size_bytes: int = 8 * MIB) -> str:
        name = f"m{len(registry.manifests)}-{registry.host.rpartition(':')[2]}"
        registry.add_model(f"library/{name}", GgufFile().encode() + random.Random(name).randbytes(size_bytes))
        page.fill("#pull-name", f"http://{registry.host}/library/{name}")
        page.press("#pull-name", "Enter")
        return name

    return start


def row(page: Page, name: str, where: str = "#downloads") -> Locator:
    return page.locator(f"{where} .pull", has_text=name)


def test_a_download_is_live_kept_by_reload_stopped_and_continued(context: Watch, registry: FakeRegistry, pull: Any) -> None:
    page = context().new_page()
    page.goto("/downloads")
    name = pull(page)
    expect(page.locator("#pull-name")).to_have_value("")
    expect(row(page, name).locator(".grow .num")).to_have_text(PERCENT, timeout=20_000)
    page.reload()
    expect(row(page, name)).to_have_attribute("data-state", "loading")
    page.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    expect(page).to_have_title(re.compile(r"^\d+% · Downloads"))
    page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    expect(page).to_have_title(re.compile("^Downloads"))
    page.locator("#rail-new").click()
    page.locator("#text").wait_for()
    expect(row(page, name, "#dock").locator("progress")).to_be_visible()
    page.locator("[data-fold-dock]").click()
    expect(row(page, name, "#dock")).to_be_hidden()
    page.reload()
    expect(row(page, name, "#dock")).to_be_hidden()
    page.locator("[data-fold-dock]").click()
    row(page, name, "#dock").get_by_role("button", name="Cancel").click()
    expect(row(page, name, "#dock")).to_have_attribute("data-state", "stopped")
    expect(row(page, name, "#dock").get_by_role("button", name=re.compile("Discard"))).to_be_visible()
    registry.pace_seconds = 0
    row(page, name, "#dock").get_by_role("button", name="Resume").click()
    expect(row(page, name, "#dock")).to_have_attribute("data-state", "done", timeout=30_000)


def test_without_a_websocket_downloads_are_live_all_the_same(
    context: Watch, faults: Faults, registry: FakeRegistry, pull: Any
) -> None:
    faults.expected.append("/ws/ui/")
    page = context().new_page()
    page.route_web_socket(re.compile("/ws/ui/"), lambda route: route.close(code=1011))
    page.goto("/downloads")
    name = pull(page, 4 * MIB)
    expect(row(page, name).locator(".grow .num")).to_have_text(PERCENT, timeout=30_000)
    registry.pace_seconds = 0
    expect(row(page, name)).to_have_attribute("data-state", "done", timeout=30_000)


def test_a_name_that_is_none_and_a_model_that_is_not_there(context: Watch, faults: Faults, registry: FakeRegistry) -> None:
    faults.expected.append("422")
    page = context().new_page()
    page.goto("/downloads")
    page.fill("#pull-name", "no name!")
    page.press("#pull-name", "Enter")
    expect(page.locator("#pull-error")).to_contain_text("no name of a model")
    page.fill("#pull-name", f"http://{registry.host}/library/nowhere")
    page.press("#pull-name", "Enter")
    expect(row(page, "nowhere").locator(".why")).to_contain_text("has no model of this name")
    row(page, "nowhere").get_by_role("button", name="Remove").click()
    expect(row(page, "nowhere")).to_have_count(0)


@pytest.mark.parametrize(
    ("theme", "width", "locale"),
    [("light", 1440, "en-GB"), ("dark", 390, "en-GB"), ("dark", 1440, "zh-CN"), ("light", 390, "zh-CN")],
)
def test_the_page_and_the_dock_fit_and_are_readable(
    context: Watch, registry: FakeRegistry, pull: Any, axe: str, theme: Any, width: int, locale: str
) -> None:
    page = context(color_scheme=theme, locale=locale, viewport={"width": width, "height": 900}).new_page()
    page.goto("/downloads")
    name = pull(page, 4 * MIB)
    expect(row(page, name).locator(".grow .num")).to_have_text(PERCENT, timeout=30_000)
    expect(row(page, name).locator("p").first).to_have_text("第 1 层" if locale == "zh-CN" else "Layer 1")
    expect(page.locator("h1")).to_have_text("下载" if locale == "zh-CN" else "Downloads")
    assert sideways(page) == 0
    found = {"page": violations(page, axe)}
    page.goto("/")
    expect(row(page, name, "#dock")).to_have_count(1)
    assert sideways(page) == 0
    found["dock"] = violations(page, axe)
    registry.pace_seconds = 0
    expect(row(page, name, "#dock")).to_have_attribute("data-state", "done", timeout=30_000)
    assert found == {"page": [], "dock": []}


def test_bytes_are_discarded_only_after_a_question(context: Watch, registry: FakeRegistry, pull: Any) -> None:
    page = context().new_page()
    page.goto("/downloads")
    name = pull(page)
    expect(row(page, name).locator(".grow .num")).to_have_text(PERCENT, timeout=20_000)
    row(page, name).get_by_role("button", name="Cancel").click()
    discard = row(page, name).locator(".acts").get_by_role("button", name=re.compile("^Discard .*B"))
    discard.press("Enter")
    dialog = page.get_by_role("dialog", name="Discard this download?")
    expect(dialog.get_by_role("button", name="Keep it")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(discard).to_be_focused()
    discard.press("Enter")
    dialog.get_by_role("button", name="Discard").press("Enter")
    expect(row(page, name)).to_have_count(0)
    expect(page.locator("#main h1, .acts button").locator("visible=true").and_(page.locator(":focus"))).to_have_count(1)


def test_a_failure_is_a_sentence_with_what_was_said_behind_it(context: Watch) -> None:
    page = context().new_page()
    page.goto("/downloads")
    page.fill("#pull-name", "http://127.0.0.1:9/library/unreachable")
    page.press("#pull-name", "Enter")
    failed = row(page, "unreachable")
    expect(failed.locator(".why")).to_have_text(re.compile("^Nothing answers at 127.0.0.1:9"))
    expect(page.locator("#alert")).to_contain_text("Nothing answers")
    expect(failed.locator("code")).to_be_hidden()
    failed.get_by_text("What exactly was said").click()
    expect(failed.locator("code")).to_contain_text("connection refused")
    failed.get_by_role("button", name="Remove").click()
    expect(failed).to_have_count(0)


def test_the_form_looks_ahead_and_leaves_a_registry_whose_name_is_typed_over(
    context: Watch, registry: FakeRegistry, axe: str
) -> None:
    page = context().new_page()
    page.goto("/downloads")
    registry.add_model("library/ahead", GgufFile().encode())
    asked, left = threading.Event(), threading.Event()

    def stay_silent(handler: Handler) -> None:
        asked.set()
        if not handler.connection.recv(1):
            left.set()

    registry.script(stay_silent, path="/library/silent/")
    page.fill("#pull-name", f"http://{registry.host}/library/silent")
    assert asked.wait(20)
    page.fill("#pull-name", f"http://{registry.host}/library/ahead")
    assert left.wait(20), "the question is given up at the registry too"
    outlook = page.locator("#pull-outlook .outlook")
    expect(outlook.get_by_role("heading")).to_have_text(f"{registry.host}/library/ahead:latest")
    expect(outlook).to_contain_text("Not installed")
    expect(page.locator("#announce")).to_contain_text("Not installed")
    assert violations(page, axe) == []
    page.press("#pull-name", "Enter")
    expect(row(page, "library/ahead")).to_have_attribute("data-state", "done", timeout=30_000)
    expect(page.locator("#pull-outlook")).to_be_empty()
    page.fill("#pull-name", f"http://{registry.host}/library/ahead")
    expect(outlook).to_contain_text("Installed, up to date")
    expect(page.locator("#pull-go")).to_have_text("Pull again")


def test_a_restart_of_the_server_pauses_a_download_and_loses_nothing(
    browser: Browser, fresh_site: Site, registry: FakeRegistry, pull: Any
) -> None:
    page = browser.new_context(base_url=fresh_site.url).new_page()
    page.goto(owner_link(fresh_site))
    make_owner(page)
    page.locator("#text").wait_for()
    page.goto("/downloads")
    name = pull(page, 6 * MIB)
    expect(row(page, name).locator(".grow .num")).to_have_text(PERCENT, timeout=20_000)
    registry.flow.clear()
    fresh_site.stop()
    again = start_site(fresh_site.home, int(fresh_site.url.rpartition(":")[2]))
    page.reload()
    expect(row(page, name)).to_have_attribute("data-state", re.compile("queued|loading"))
    registry.pace_seconds = 0
    registry.flow.set()
    expect(row(page, name)).to_have_attribute("data-state", "done", timeout=60_000)
    digest = max(registry.sent, key=lambda each: registry.sent[each])
    assert registry.sent[digest] < 1.9 * len(registry.blobs[digest]), "it went on where it was"
    again.stop()


def test_one_chooses_a_quantization_of_a_repository(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> None:
    with running_registry() as hub_registry, running_registry() as cdn:
        hub = FakeHub(hub_registry, cdn)
        for tag, size_bytes in (("Q8_0", 800), ("Q4_K_M", 400), ("Q2_K", 200)):
            hub.add(f"repo-{tag}.gguf", b"x" * size_bytes)
        site = start_site(tmp_path_factory.mktemp("hub") / "home", HF_ENDPOINT=hub_registry.url)
        page = browser.new_context(base_url=site.url).new_page()
        page.goto(owner_link(site))
        make_owner(page)
        page.locator("#text").wait_for()
        page.goto("/downloads")
        page.fill("#pull-name", "https://huggingface.co/user/repo/tree/main")
        expect(page.get_by_role("radio", name="Q4_K_M")).to_be_checked()
        page.get_by_role("radio", name="Q4_K_M").press("ArrowDown")
        expect(page.locator("#pull-name")).to_have_value("hf.co/user/repo:Q2_K")
        expect(page.locator("#outlook-name")).to_have_text("hf.co/user/repo:Q2_K")
        expect(page.get_by_role("radio", name="Q2_K")).to_be_focused()
        site.stop()
