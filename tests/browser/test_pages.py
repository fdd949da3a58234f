"""How pages behave on a desk, on a phone, in Chinese, by keyboard, for a screen reader, and without script."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.actions import answer, ask, expect_state, expect_text, sideways, violations, wait_until
from tests.browser.conftest import Faults, Watch

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.model]

_AT_END = """(() => {
  const box = document.getElementById("scroller");
  return box.scrollHeight - box.clientHeight - box.scrollTop < 2;
})()"""
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


def test_a_phone_has_a_drawer_and_sends_by_the_button(context: Watch) -> None:
    page = context(**PHONE).new_page()
    page.goto("/")
    assert sideways(page) == 0
    page.fill("#text", "Show me a markdown example")
    page.press("#text", "Enter")
    expect(page.locator("#text")).to_have_value("Show me a markdown example\n")
    page.tap("#send")
    expect_state(page, "done")
    assert sideways(page) == 0
    expect(page.locator("#rail")).to_be_hidden()
    page.tap("[data-rail]")
    expect(page.locator("#rail")).to_be_visible()
    page.locator("#rail-list .rail-item").first.tap()
    expect(page.locator("#rail")).to_be_hidden()
    address = page.url
    for leave in (lambda: page.keyboard.press("Escape"), page.go_back, lambda: page.tap("[data-rail-close]")):
        page.tap("[data-rail]")
        expect(page.locator("#rail")).to_be_visible()
        leave()
        expect(page.locator("#rail")).to_be_hidden()
        expect(page).to_have_url(address)


def test_a_chat_opens_although_its_line_changes_meanwhile(page: Page) -> None:
    ask(page, "Hello")
    expect_state(page, "done")
    address = page.url
    other = page.context.new_page()
    other.goto(address)
    other.wait_for_load_state()
    page.click("#rail-new")
    expect(page.locator("#messages > .turn")).to_have_count(0)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route(address, hold)
    line = page.locator(f"#rail-item-{address.rpartition('/')[2]} a")
    line.click()
    other.click("#title")
    other.fill("#rename-field", "Renamed meanwhile")
    other.press("#rename-field", "Enter")
    expect(line).to_have_text("Renamed meanwhile")
    held[0].continue_()
    expect(page).to_have_url(address)
    expect(page.locator("#messages > .turn")).to_have_count(2)


@pytest.mark.parametrize("width", [320, 768, 1024, 1200])
def test_no_width_scrolls_sideways(context: Watch, width: int) -> None:
    page = context(viewport={"width": width, "height": 700}).new_page()
    page.goto("/")
    assert sideways(page) == 0
    ask(page, "Show me a markdown example")
    expect_state(page, "done")
    assert sideways(page) == 0


def test_chinese_is_chosen_and_kept(context: Watch) -> None:
    page = context(locale="zh-CN", storage_state=None).new_page()
    page.goto("/sign-in")
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    page.get_by_role("button", name="简体中文").click()
    expect(page.get_by_role("button", name="登录")).to_be_visible()


def test_a_chat_in_chinese(context: Watch) -> None:
    page = context(locale="zh-CN", viewport={"width": 360, "height": 740}).new_page()
    page.goto("/")
    assert sideways(page) == 0
    page.get_by_role("button", name="了解怎么用").click()
    expect_text(page, "下载模型，请运行：llmsite pull gemma2:9b")
    expect_state(page, "done")
    expect(answer(page).locator(".stats")).to_contain_text("词元/秒")
    assert sideways(page) == 0


def test_the_theme_changes_at_once_and_is_remembered(page: Page) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == "rgb(250, 248, 244)"
    page.click(".rail-user")
    with page.expect_response(re.compile("/theme$")):
        page.get_by_role("button", name="Dark").click()
    assert page.evaluate(background) == "rgb(21, 23, 26)"
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.evaluate(background) == "rgb(21, 23, 26)"


def test_a_chat_is_renamed_and_deleted(page: Page) -> None:
    ask(page, "Hello")
    expect_state(page, "done")
    address = page.url
    page.click("#title")
    expect(page.locator("#rename-field")).to_have_value("Hello")
    page.fill("#rename-field", "A <b>new</b> name")
    page.press("#rename-field", "Enter")
    expect(page.locator("#title")).to_have_text("A <b>new</b> name")
    expect(page.locator('#rail-list [aria-current="page"] > span').first).to_have_text("A <b>new</b> name")
    expect(page).to_have_title("A <b>new</b> name · llmsite")
    page.reload()
    page.get_by_role("button", name="More").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("button", name="Keep it")).to_be_focused()
    page.locator("#delete").get_by_role("button", name="Delete").click()
    expect(page).not_to_have_url(address)
    expect(page.locator("#rail-list")).not_to_contain_text("A <b>new</b> name")


def test_navigation_swaps_main_and_keeps_the_socket(page: Page) -> None:
    ask(page, "Hello")
    expect_state(page, "done")
    first = page.url
    page.evaluate("window.kept = true")
    page.click("#rail-new")
    expect(page.locator("#messages.hello")).to_be_visible()
    expect(page.locator("#text")).to_be_focused()
    page.go_back()
    expect(page).to_have_url(first)
    expect(answer(page)).to_contain_text("Hello!")
    expect(page.locator("#rail-list [aria-current=page]")).to_have_count(1)
    assert page.evaluate("window.kept")
    ask(page, "What is 2 + 2?")
    expect_text(page, "2 + 2 = 4")


def test_a_chat_that_finished_elsewhere_has_a_dot(page: Page) -> None:
    ask(page, "Write the numbers 1 to 100")
    expect(page).to_have_url(re.compile("/c/"))
    first = page.url.rpartition("/")[2]
    page.click("#rail-new")
    expect(page.locator(f"#rail-item-{first} .dot")).to_be_visible(timeout=30_000)
    page.click(f"#rail-item-{first} a")
    expect(page.locator(f"#rail-item-{first} .dot")).to_have_count(0)


def test_drafts_survive_reload_and_other_chats(page: Page) -> None:
    page.fill("#text", "half a thought")
    page.reload()
    expect(page.locator("#text")).to_have_value("half a thought")
    ask(page, "Hello")
    expect(page.locator("#text")).to_have_value("")
    expect_state(page, "done")
    page.fill("#text", "another")
    page.click("#rail-new")
    expect(page.locator("#text")).to_have_value("")
    page.go_back()
    expect(page.locator("#text")).to_have_value("another")


def test_a_suggestion_does_not_cost_the_draft(page: Page) -> None:
    page.fill("#text", "half a thought")
    page.get_by_role("button", name="Ask what it can do").click()
    expect_state(page, "done")
    expect(page.locator("#messages .said")).to_have_text("What can you do?")
    expect(page.locator("#text")).to_have_value("half a thought")


def test_a_chat_deleted_elsewhere_says_so(page: Page) -> None:
    ask(page, "Hello")
    expect_state(page, "done")
    other = page.context.new_page()
    other.goto(page.url)
    other.get_by_role("button", name="More").click()
    other.get_by_role("button", name="Delete").click()
    other.locator("#delete").get_by_role("button", name="Delete").click()
    page.bring_to_front()
    expect(page.locator("#banner")).to_contain_text("This chat is no longer there.")
    page.locator("#banner").get_by_role("button", name="New chat").click()
    expect(page.locator("#messages.hello")).to_be_visible()


def test_what_is_typed_while_a_message_is_sent_is_kept(page: Page) -> None:
    page.route("**/send", lambda route: (page.keyboard.type(" and more"), route.continue_()))
    ask(page, "Hello")
    expect_state(page, "done")
    expect(page.locator("#text")).to_have_value("and more")
    expect(page.locator("#text")).to_be_focused()


def test_a_failed_send_keeps_the_message_and_offers_a_retry(page: Page, faults: Faults) -> None:
    faults.expected += ["500", "ERR_FAILED", "sendError", "afterRequest"]
    ways = iter(["abort", "fault", "through"])

    def answer_badly(route: Any) -> None:
        way = next(ways)
        if way == "abort":
            route.abort()
        elif way == "fault":
            route.fulfill(status=500, body="no")
        else:
            route.continue_()

    page.route("**/send", answer_badly)
    ask(page, "Hello")
    expect(page.locator("#banner")).to_contain_text("did not answer")
    expect(page.locator("#text")).to_have_value("Hello")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#banner")).to_contain_text("error 500")
    page.get_by_role("button", name="Try again").click()
    expect_state(page, "done")
    expect(page.locator("#banner")).to_be_empty()
    expect(page.locator("#messages > .turn")).to_have_count(2)


def test_a_double_click_on_send_makes_one_message(page: Page) -> None:
    page.fill("#text", "Hello")
    page.dblclick("#send")
    expect_state(page, "done")
    page.reload()
    expect(page.locator("#messages > .turn")).to_have_count(2)


def test_composing_chinese_does_not_send(page: Page) -> None:
    page.fill("#text", "ni hao")
    page.evaluate("""() => {
      const press = (options) => document.getElementById("text")
        .dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true, ...options }));
      press({ isComposing: true });
      press({ keyCode: 229 });
      press({ key: "Process" });
    }""")
    expect(page.locator("#text")).to_have_value("ni hao")
    expect(page.locator("#messages.hello")).to_be_visible()


def test_the_reader_is_not_moved_by_new_text(page: Page) -> None:
    for number in (1, 2):
        ask(page, "Show me a markdown example")
        expect(page.locator('#messages > [data-role="user"]')).to_have_count(number)
        expect_state(page, "done")
    top = page.evaluate("document.querySelectorAll('[data-role=user]')[1].getBoundingClientRect().top")
    head = page.evaluate("document.getElementById('scroller').getBoundingClientRect().top")
    assert abs(top - head - 16) <= 2
    page.evaluate("document.getElementById('scroller').scrollTop = 0")
    ask_elsewhere = page.context.new_page()
    ask_elsewhere.goto(page.url)
    ask(ask_elsewhere, "Tell me a story.")
    expect_state(page, "done")
    assert page.evaluate("document.getElementById('scroller').scrollTop") == 0
    page.bring_to_front()
    page.click("#jump")
    wait_until(page, _AT_END)


def test_an_unknown_address_has_a_page(page: Page, faults: Faults) -> None:
    faults.expected.append("404")
    page.goto("/c/nothing-of-the-kind-xx")
    expect(page.get_by_role("heading", level=1)).to_have_text("There is nothing at this address.")
    page.get_by_role("link", name="Back to the chat").click()
    expect(page.locator("#text")).to_be_visible()


def test_forms_work_without_script(context: Watch) -> None:
    page = context(java_script_enabled=False).new_page()
    page.goto("/")
    page.fill("#text", "What is 2 + 2?")
    page.click("#send")
    expect(page).to_have_url(re.compile("/c/"))
    for _ in range(50):
        page.reload()
        if "2 + 2 = 4" in page.content():
            break
    expect(answer(page)).to_contain_text("2 + 2 = 4")
    expect(page.locator("#title")).to_have_text("What is 2 + 2?")


def test_it_can_be_used_by_keyboard_alone(page: Page) -> None:
    page.keyboard.type("Hello")
    page.keyboard.press("Enter")
    expect_state(page, "done")
    expect(page.locator("#text")).to_be_focused()
    page.focus("#think-switch input")
    page.keyboard.press("Enter")
    page.focus("#picker")
    page.keyboard.press("Enter")
    page.focus("#models input:checked")
    page.keyboard.press("Enter")
    expect(page.locator("#models")).to_be_hidden()
    expect(page.locator("#messages > .turn")).to_have_count(2)
    page.keyboard.press("Control+Shift+O")
    expect(page.locator("#messages.hello")).to_be_visible()
    expect(page.locator("#text")).to_be_focused()


def test_the_announcer_speaks_and_the_log_is_silent(page: Page) -> None:
    expect(page.locator("#messages")).to_have_attribute("aria-live", "off")
    ask(page, "Tell me a story.")
    expect(page.locator("#announce")).to_contain_text("Answer finished", timeout=30_000)


@pytest.mark.parametrize(
    ("theme", "width", "locale"),
    [("light", 1440, "en-GB"), ("dark", 390, "en-GB"), ("dark", 1440, "zh-CN"), ("light", 390, "zh-CN")],
)
def test_axe_finds_nothing(context: Watch, axe: str, theme: Any, width: int, locale: str) -> None:
    options: dict[str, Any] = {"color_scheme": theme, "viewport": {"width": width, "height": 900}, "locale": locale}
    page = context(**options).new_page()
    page.goto("/")
    found = {"new chat": violations(page, axe)}
    ask(page, "给我一个 Markdown 示例" if locale == "zh-CN" else "Show me a markdown example", think=True)
    expect_state(page, "done")
    answer(page).locator("summary").click()
    found["chat"] = violations(page, axe)
    page.click("#picker")
    found["picker"] = violations(page, axe)
    page.keyboard.press("Escape")
    page.click("#title")
    found["rename"] = violations(page, axe)
    stranger = context(storage_state=None, **options).new_page()
    stranger.goto("/sign-in")
    found["sign-in"] = violations(stranger, axe)
    assert {name: each for name, each in found.items() if each} == {}
