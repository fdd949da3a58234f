"""What a person does on the chat page, and what they then see. Waits are for what appears, never for time."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator

import httpx
import psutil
from playwright.sync_api import Locator, Page, expect

from tests.conftest import Site

STEADY = "starter:steady"
"""The starter at temperature 0: its answers are known."""
NUMBERS = "Write the numbers 1 to 100"
_HAS_BEGUN = """[...document.querySelectorAll("#messages .prose")].at(-1)?.textContent.length > 5"""
PATIENCE = 150_000
"""Milliseconds for an answer: a busy machine writes a tenth as fast."""
ALL_NUMBERS = ", ".join(str(number) for number in range(1, 101))


def ask(page: Page, text: str, *, think: bool = False) -> None:
    """Write a message and send it with Enter."""
    switch = page.locator("#think-switch input")
    if switch.count() and switch.is_checked() != think:
        page.locator("#think-switch").click()
    page.fill("#text", text)
    page.wait_for_load_state()  # after a sign-in the box is there before the script that reads Enter
    page.press("#text", "Enter")


def answer(page: Page) -> Locator:
    """The last answer on the page."""
    return page.locator('#messages > [data-role="assistant"]').last


def body(page: Page) -> Locator:
    return answer(page).locator(".prose")


def expect_state(page: Page, state: str) -> None:
    expect(answer(page)).to_have_attribute("data-state", state, timeout=PATIENCE)


def expect_text(page: Page, text: str) -> None:
    expect(body(page)).to_have_text(text, timeout=PATIENCE)


def wait_until(page: Page, expression: str) -> None:
    """Ask until the expression is true; Playwright's own waiting needs `eval`, which the page's policy forbids."""
    deadline = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < deadline:
        if page.evaluate(expression):
            return
        page.wait_for_timeout(5)
    raise AssertionError(f"never became true: {expression}\n{page.locator('main').inner_text()}")


def runners_of(site: Site) -> list[psutil.Process]:
    """The processes that hold models."""
    children = psutil.Process(site.process.pid).children(recursive=True)
    return [each for each in children if "llmsite.engine.runner" in " ".join(each.cmdline())]


@contextlib.contextmanager
def in_the_middle(page: Page, site: Site) -> Iterator[None]:
    """Asks for the numbers and holds the runner still once the page shows some of them. It goes on at the end.

    It writes them all in a quarter of a second, so it is let go for moments until the page shows something, however busy the
    machine is.
    """
    httpx.post(f"{site.url}/api/generate", json={"model": STEADY}, timeout=PATIENCE / 1000).raise_for_status()  # loads it
    runners = runners_of(site)
    assert runners
    _signal(runners, signal.SIGSTOP)
    try:
        ask(page, NUMBERS)
        while not _has_begun(page):
            _signal(runners, signal.SIGCONT)
            page.wait_for_timeout(5)
            _signal(runners, signal.SIGSTOP)
        yield
    finally:
        _signal(runners, signal.SIGCONT)


def _signal(runners: list[psutil.Process], number: int) -> None:
    for each in runners:
        with contextlib.suppress(psutil.NoSuchProcess):  # the test may have ended it
            each.send_signal(number)


def _has_begun(page: Page) -> bool:
    """Whether the page shows some words of the answer within a moment."""
    for _ in range(40):
        if page.evaluate(_HAS_BEGUN):
            return True
        page.wait_for_timeout(5)
    return False


def sideways(page: Page) -> int:
    """Pixels by which the page could be scrolled sideways."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def violations(page: Page, axe: str) -> list[str]:
    """What axe has against the page as it is now."""
    page.evaluate(axe)  # through the debugger, so the page's policy does not matter
    report = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [f"{each['id']}: {[node['html'][:160] for node in each['nodes']]}" for each in report["violations"]]
