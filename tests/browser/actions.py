"""What a person does on the chat page, and what they then see. Waits are for what appears, never for time."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator

import psutil
from playwright.sync_api import Locator, Page, expect

from tests.conftest import Site

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
def in_the_middle(page: Page, serve: Site) -> Iterator[None]:
    """Holds the runner still once the answer has some words: the real thing, caught for sure. It goes on at the end."""
    wait_until(page, _HAS_BEGUN)
    runners = runners_of(serve)
    assert runners
    for each in runners:
        each.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for each in runners:
            with contextlib.suppress(psutil.NoSuchProcess):  # the test may have ended it
                each.send_signal(signal.SIGCONT)


def sideways(page: Page) -> int:
    """Pixels by which the page could be scrolled sideways."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def violations(page: Page, axe: str) -> list[str]:
    """What axe has against the page as it is now."""
    page.evaluate(axe)  # through the debugger, so the page's policy does not matter
    report = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [f"{each['id']}: {[node['html'][:160] for node in each['nodes']]}" for each in report["violations"]]
