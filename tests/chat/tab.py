"""A browser tab for tests: a small document tree, out-of-band swaps as htmx and our script do them, and the tab's one socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from html import escape
from html.parser import HTMLParser
from typing import Any, Final

from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.test import Client

from llmsite.accounts.models import User
from llmsite.asgi import application

_VOID: Final = {"br", "hr", "input", "use", "img", "meta", "link"}
HOST: Final = "localhost:11434"


class Element:
    def __init__(self, tag: str, attributes: dict[str, str]) -> None:
        self.tag = tag
        self.attributes = attributes
        self.children: list[Element | str] = []

    def walk(self) -> Iterator[Element]:
        yield self
        for each in self.children:
            if isinstance(each, Element):
                yield from each.walk()

    def find(self, element_id: str) -> Element | None:
        return next((each for each in self.walk() if each.attributes.get("id") == element_id), None)

    def inner(self) -> str:
        return "".join(each if isinstance(each, str) else each.outer() for each in merged(self.children))

    def outer(self) -> str:
        attributes = "".join(f' {name}="{escape(value)}"' for name, value in self.attributes.items())
        return f"<{self.tag}{attributes}>" + ("" if self.tag in _VOID else f"{self.inner()}</{self.tag}>")

    def text(self) -> str:
        return "".join(each if isinstance(each, str) else each.text() for each in self.children)


def merged(children: list[Element | str]) -> Iterator[Element | str]:
    """Neighbouring texts as one, escaped."""
    text = ""
    for each in children:
        if isinstance(each, str):
            text += each
            continue
        if text:
            yield escape(text, quote=False)
            text = ""
        yield each
    if text:
        yield escape(text, quote=False)


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("root", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attributes})
        self._open[-1].children.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._open[-1].children.append(Element(tag, {name: value or "" for name, value in attributes}))

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self._open[-1].tag == tag, f"</{tag}> closes <{self._open[-1].tag}>"
            self._open.pop()

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)


def parse(html: str) -> Element:
    builder = _Builder()
    builder.feed(html)
    builder.close()
    assert len(builder._open) == 1, "an element was not closed"
    return builder.root


class Page:
    """The document of a tab. Elements whose place is not there are ignored, as our script does."""

    def __init__(self, html: str) -> None:
        self.root = parse(html)

    def apply(self, batch: str) -> None:
        for element in parse(batch).children:
            if isinstance(element, Element):
                how = element.attributes.pop("hx-swap-oob", None)
                if how is not None:
                    element.attributes.pop("data-morph", None)
                    self._swap(how, element)
        ids = [each.attributes["id"] for each in self.root.walk() if "id" in each.attributes]
        assert len(ids) == len(set(ids)), "an id is there twice"

    def _swap(self, how: str, element: Element) -> None:
        target_id = element.attributes["id"]
        parent, place = self._place(target_id)
        if parent is None:
            return
        target = parent.children[place]
        assert isinstance(target, Element)
        match how:
            case "true" | "outerHTML":
                parent.children[place] = element
            case "beforeend":
                present = {each.attributes.get("id") for each in target.walk()}
                # a turn that came by both ways is there once
                target.children += [
                    e for e in element.children if isinstance(e, str) or e.attributes.get("id", "") not in present
                ]
            case "afterbegin":
                target.children[:0] = element.children
            case "innerHTML":
                target.children = element.children
            case "delete":
                del parent.children[place]
            case _:
                raise AssertionError(how)

    def _place(self, element_id: str) -> tuple[Element | None, int]:
        for each in self.root.walk():
            for number, child in enumerate(each.children):
                if isinstance(child, Element) and child.attributes.get("id") == element_id:
                    return each, number
        return None, 0

    def find(self, element_id: str) -> Element | None:
        return self.root.find(element_id)

    def cursor(self, conversation_id: str) -> dict[str, Any] | None:
        element = self.find(f"cur-c:{conversation_id}")
        if element is None or "data-g" not in element.attributes:
            return None
        values = element.attributes
        return {"g": values["data-g"], "n": int(values["data-n"]), "seq": int(values["data-seq"])}

    def state(self, conversation_id: str) -> str:
        element = self.find(f"cur-c:{conversation_id}")
        return element.attributes.get("data-state", "") if element else ""

    def body(self, message_id: str) -> str:
        element = self.find(f"m-{message_id}-body")
        assert element is not None
        return element.inner()


class Tab:
    """A page with its socket. `run` applies what comes until a condition holds."""

    def __init__(self, client: Client, page: Page) -> None:
        self.client = client
        self.page = page
        self.batches: list[str] = []
        self.socket = open_socket(client)

    @classmethod
    async def open(cls, client: Client, page: Page, conversation_id: str) -> Tab:
        tab = cls(client, page)
        connected, _ = await tab.socket.connect()
        assert connected
        await tab.subscribe(conversation_id)
        return tab

    async def subscribe(self, conversation_id: str) -> None:
        await self.say({"t": "sub", "topic": f"c:{conversation_id}", "cur": self.page.cursor(conversation_id)})

    async def say(self, message: Any) -> None:
        await self.socket.send_to(text_data=json.dumps(message))

    async def run(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                batch = await self.socket.receive_from(timeout=20)
                self.batches.append(batch)
                self.page.apply(batch)

    async def close_code(self) -> int:
        """The code with which the server closes."""
        async with asyncio.timeout(20):
            while True:
                event = await self.socket.receive_output(timeout=20)
                if event["type"] == "websocket.close":
                    return int(event.get("code", 1000))

    async def leave(self) -> None:
        await self.socket.disconnect()


def signed_in(user: User) -> Client:
    client = Client(headers={"host": HOST})
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def open_socket(client: Client, **changes: str) -> WebsocketCommunicator:
    headers = {"host": HOST, "origin": f"http://{HOST}", "accept-language": "en", **changes}
    name = settings.SESSION_COOKIE_NAME
    if name in client.cookies:
        headers["cookie"] = f"{name}={client.cookies[name].value}"
    pairs = [(key.encode(), value.encode()) for key, value in headers.items()]
    communicator = WebsocketCommunicator(application, "/ws/ui/", headers=pairs)
    communicator.scope["client"] = ["127.0.0.1", 50_000]
    communicator.scope["server"] = ["127.0.0.1", 11_434]
    return communicator
