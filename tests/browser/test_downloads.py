"""Downloads in a real browser: live on their page and in the dock, kept by reload, without a websocket, on phones, in Chinese."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.actions import sideways, violations
from tests.browser.conftest import Faults, Watch
from tests.registry.fake_registry import FakeRegistry, running_registry
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
    expect(row(page, "nowhere").locator(".why")).to_have_text("pull model manifest: file does not exist")
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
