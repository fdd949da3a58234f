"""From the printed link to an answer, and in and out again: what a person does in the first minutes."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.actions import NUMBERS, answer, ask, expect_state, expect_text, violations, wait_until
from tests.browser.conftest import NAME, PASSWORD, Faults, Watch, make_owner, make_steady, owner_link, sign_in
from tests.conftest import Site, start_site

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.model]


@pytest.fixture(scope="module")
def new_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site that nobody has used; the tests on it stand in the order in which things happen."""
    site = start_site(tmp_path_factory.mktemp("site") / "home")
    make_steady(site)
    yield site
    site.stop()


@pytest.fixture
def visitor(browser: Browser, new_site: Site) -> Iterator[Page]:
    """Somebody who comes there."""
    context = browser.new_context(base_url=new_site.url)
    yield context.new_page()
    context.close()


def test_setup_without_its_link_says_where_to_find_it(visitor: Page) -> None:
    visitor.goto("/")
    expect(visitor).to_have_url(re.compile("/setup$"))
    expect(visitor.get_by_role("heading", name="Setup needs its link")).to_be_visible()
    expect(visitor.locator("input[type=password]")).to_have_count(0)


def test_axe_finds_nothing_at_setup(visitor: Page, new_site: Site, axe: str) -> None:
    for address in ("/setup", owner_link(new_site), "/sign-in", "/nothing-here"):
        visitor.goto(address)
        assert violations(visitor, axe) == []


def test_the_owner_link_leads_to_an_account_and_an_answer(visitor: Page, new_site: Site) -> None:
    faults = Faults(new_site.url)
    faults.expected.append("422")
    faults.watch(visitor)
    visitor.goto(owner_link(new_site))
    make_owner(visitor, password="password")
    expect(visitor.locator(".field", has=visitor.locator("#id_password2"))).to_contain_text("too common")
    make_owner(visitor)
    expect(visitor.get_by_role("heading", name=re.compile("Hello, mara"))).to_be_visible()
    expect(visitor.locator("#text")).to_be_focused()
    assert visitor.locator("#rail-list p").is_hidden(), "no heading over no chats"
    ask(visitor, "What is 2 + 2?")
    expect_text(visitor, "2 + 2 = 4")
    expect_state(visitor, "done")
    expect(visitor).to_have_url(re.compile(r"/c/[\w-]{22}$"))
    expect(visitor).to_have_title("What is 2 + 2? · llmsite")
    expect(visitor.locator("#rail-today .rail-item")).to_have_text("What is 2 + 2?")
    faults.check()


def test_the_owner_link_works_once(visitor: Page, new_site: Site) -> None:
    visitor.goto(owner_link(new_site))
    expect(visitor).to_have_url(re.compile("/sign-in"))


def test_a_wrong_password_names_neither_field(context: Watch, faults: Faults) -> None:
    faults.expected.append("422")
    page = context(storage_state=None).new_page()
    sign_in(page, password="not this one")
    expect(page.get_by_role("alert")).to_have_text("Name and password do not fit together.")
    expect(page.locator("#id_username")).to_have_value(NAME)
    page.fill("#id_password", PASSWORD)
    page.press("#id_password", "Enter")
    expect(page.locator("#text")).to_be_visible()


def test_signing_out_ends_the_session_and_wipes_drafts(context: Watch) -> None:
    page = context(storage_state=None).new_page()
    sign_in(page)
    page.fill("#text", "a secret draft")
    wait_until(page, "localStorage.getItem('draft:new') === 'a secret draft'")
    page.click(".rail-user")
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/sign-in"))
    assert page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('draft:'))") == []
    page.goto("/")
    expect(page).to_have_url(re.compile("/sign-in"))


def test_a_session_that_ends_during_use_keeps_the_message(context: Watch, faults: Faults) -> None:
    faults.expected += ["401", "4401", "WebSocket"]
    page = context(storage_state=None).new_page()
    sign_in(page)
    ask(page, "Hello")
    expect_state(page, "done")
    page.fill("#text", NUMBERS)
    page.context.clear_cookies(name="llmsite_session")
    page.press("#text", "Enter")
    expect(page).to_have_url(re.compile("/sign-in"))
    page.fill("#id_username", NAME)
    page.fill("#id_password", PASSWORD)
    page.press("#id_password", "Enter")
    expect(page.locator("#text")).to_have_value(NUMBERS)
    expect(answer(page)).to_contain_text("Hello!")
