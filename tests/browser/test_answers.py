"""An answer is written once and seen everywhere: streamed, reloaded in the middle, in a second tab, stopped, without a socket."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, WebSocketRoute, expect

from tests.browser.actions import ALL_NUMBERS, answer, ask, body, expect_state, expect_text, in_the_middle, wait_until
from tests.browser.conftest import Faults, Watch, make_owner, owner_link
from tests.conftest import Site, start_site

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.model]


def test_a_reload_in_the_middle_loses_nothing(page: Page, serve: Site) -> None:
    with in_the_middle(page, serve):
        seen = body(page).inner_text()
        assert ALL_NUMBERS.startswith(seen)
        page.reload()
        expect(answer(page)).to_have_attribute("aria-busy", "true")
        assert body(page).inner_text().startswith(seen)
        expect(page.locator("#stop")).to_be_visible()
    expect_text(page, ALL_NUMBERS)
    expect_state(page, "done")
    expect(answer(page)).not_to_have_attribute("aria-busy", "true")
    expect(page.locator("#send")).to_be_visible()
    page.reload()
    expect_text(page, ALL_NUMBERS)


def test_a_second_tab_in_the_middle_follows(page: Page, serve: Site) -> None:
    with in_the_middle(page, serve):
        second = page.context.new_page()
        second.goto(page.url)
        expect(answer(second)).to_have_attribute("aria-busy", "true")
    for tab in (page, second):
        expect_text(tab, ALL_NUMBERS)
        expect_state(tab, "done")


def test_another_tab_gets_the_messages_of_this_one(page: Page) -> None:
    ask(page, "Hello")
    expect_state(page, "done")
    second = page.context.new_page()
    second.goto(page.url)
    ask(page, "What is 2 + 2?")
    expect(second.locator('#messages > [data-role="assistant"]')).to_have_count(2)
    expect_text(second, "2 + 2 = 4")
    expect_state(second, "done")
    ask(second, "Hello")
    expect(page.locator('#messages > [data-role="assistant"]')).to_have_count(3)
    expect_text(page, "Hello! I am the llmsite starter model. How can I help you?")


def test_stop_keeps_what_was_written(page: Page, serve: Site) -> None:
    with in_the_middle(page, serve):
        page.click("#stop")
        expect_state(page, "stopped")
    kept = body(page).inner_text()
    assert ALL_NUMBERS.startswith(kept)
    assert kept != ALL_NUMBERS
    expect(answer(page).locator(".turn-status")).to_contain_text("Stopped by you")
    page.reload()
    assert body(page).inner_text() == kept
    answer(page).get_by_role("button", name="Regenerate").click()
    expect_text(page, ALL_NUMBERS)
    expect(page.locator("#messages > .turn")).to_have_count(2)


def test_escape_in_the_composer_stops(page: Page, serve: Site) -> None:
    with in_the_middle(page, serve):
        page.press("#text", "Escape")
        expect_state(page, "stopped")


def test_without_a_socket_polling_brings_the_answer(context: Watch, faults: Faults) -> None:
    faults.expected += ["WebSocket", "Event"]
    page = context().new_page()
    page.route_web_socket(re.compile("/ws/ui/"), lambda route: route.close(code=1011))
    page.goto("/")
    ask(page, "Count from 1 to 10")
    expect_text(page, "1, 2, 3, 4, 5, 6, 7, 8, 9, 10")
    expect_state(page, "done")
    expect(page.locator("#banner")).to_contain_text("Live by polling")


def test_a_lost_socket_is_made_up_for(context: Watch, serve: Site) -> None:
    page = context().new_page()
    routes: list[WebSocketRoute] = []

    def connect(route: WebSocketRoute) -> None:
        route.connect_to_server()
        routes.append(route)

    page.route_web_socket(re.compile("/ws/ui/"), connect)
    page.goto("/")
    with in_the_middle(page, serve):
        routes[-1].close(code=1012)
    expect_text(page, ALL_NUMBERS)
    expect_state(page, "done")
    assert len(routes) > 1


def test_thoughts_are_folded_and_stay_as_the_reader_left_them(page: Page) -> None:
    ask(page, "What is 47 + 38?", think=True)
    expect_text(page, "47 + 38 = 85")
    thoughts = answer(page).locator(".think")
    expect(thoughts.locator("summary")).to_contain_text("Thought for")
    expect(thoughts).not_to_have_attribute("open", "")
    thoughts.locator("summary").click()
    expect(thoughts.locator("div")).to_contain_text("7 + 8 = 15")
    ask(page, "Hello")
    expect(page.locator("#messages .think").first).to_have_attribute("open", "")


def test_markdown_is_laid_out_and_code_can_be_copied(context: Watch) -> None:
    page = context(permissions=["clipboard-read", "clipboard-write"]).new_page()
    page.goto("/")
    page.get_by_role("button", name="See how an answer looks").click()
    expect_state(page, "done")
    expect(body(page).locator("h3").first).to_have_text("Markdown example")
    expect(body(page).locator("td").first).to_have_text("Alice")
    body(page).locator("[data-copy-code]").click()
    expect(page.locator("#toasts")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "def add(a, b):\n    return a + b\n\nprint(add(2, 3))"
    answer(page).locator(".foot [data-copy]").click()
    wait_until(page, "navigator.clipboard.readText().then((text) => text.startsWith('# Markdown example'))")


def test_an_answer_cut_short_by_a_kill_is_marked(browser: Browser, fresh_site: Site) -> None:
    page = browser.new_context(base_url=fresh_site.url).new_page()
    page.goto(owner_link(fresh_site))
    make_owner(page)
    with in_the_middle(page, fresh_site):
        page.wait_for_timeout(1500)  # the row is at most a second behind
        seen = body(page).inner_text()
        fresh_site.process.kill()
        fresh_site.process.wait()
    again = start_site(fresh_site.home, int(fresh_site.url.rpartition(":")[2]))
    page.reload()
    expect_state(page, "interrupted")
    assert body(page).inner_text() == seen
    answer(page).get_by_role("button", name="Regenerate").click()
    expect_text(page, ALL_NUMBERS)
    again.stop()
