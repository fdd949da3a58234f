"""Tabs on the real application: streaming, resuming, second tabs, strangers, floods and slow readers."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from django.conf import settings
from django.test import AsyncClient, Client, override_settings

from chat import connections, fragments, generation, polling, services
from chat.models import Conversation, Message, State
from chat.pages import turn_of
from llmsite.accounts.models import User
from llmsite.types.chunk import Chunk, Phase
from tests.chat.conftest import Ask, finished, until
from tests.chat.tab import HOST, Page, Tab, open_socket, signed_in
from tests.inference.fake_transport import FakeTransport, answer, final

ANSWER = (Path(__file__).parent.parent / "data" / "chat" / "answers.md").read_text().replace("<!-- next -->\n", "\n\n")
SHELL = (
    '<div id="live"><i id="pong"></i></div><ul id="rail-today"></ul>'
    '<span id="composer-tokens"></span><span id="composer-actions"></span>'
)

sign_in = sync_to_async(signed_in)


async def open_page(user: User, conversation_id: str) -> Page:
    """What a GET of the chat shows: the partials of the real page."""
    conversation = await services.get_conversation(user, conversation_id)
    turns = [turn_of(each) for each in await services.visible_path(conversation)]
    last = turns[-1].view
    assert last is not None
    cursor = fragments.partial("_cursor", {"chat_id": conversation_id, "cursor": last.cursor})
    return Page(SHELL + fragments.partial("_messages", {"turns": turns}) + cursor)


async def open_tab(user: User, conversation_id: str) -> Tab:
    return await Tab.open(await sign_in(user), await open_page(user, conversation_id), conversation_id)


async def final_body(message_id: str) -> str:
    """The body as a page renders it whole, from the row alone."""
    message = await Message.objects.select_related("conversation").aget(pk=message_id)
    return Page(fragments.partial("_turns", {"turns": [turn_of(message)]})).body(message_id)


def pieces(text: str, size: int) -> list[Any]:
    return [Chunk(content=text[start : start + size]) for start in range(0, len(text), size)]


def in_turns(chunks: list[Any], gates: list[asyncio.Event]) -> list[Any]:
    """The chunks with the gates spread evenly among them."""
    script: list[Any] = []
    for number, gate in enumerate(gates):
        script += [*chunks[number * len(chunks) // len(gates) : (number + 1) * len(chunks) // len(gates)], gate]
    return script


async def test_a_tab_sees_the_answer_grow_and_ends_with_the_whole_render(ask: Ask, alice: User, model: FakeTransport) -> None:
    gates = [asyncio.Event() for _ in range(60)]
    model.queue(Phase("queued", position=3), *in_turns(pieces(ANSWER, 15), gates), final())
    result = await ask()
    chat_id, answer_id = result.conversation.id, result.answer.id
    tab = await open_tab(alice, chat_id)
    await tab.run(lambda: tab.page.state(chat_id) == State.WRITING)
    for gate in gates:
        before = len(tab.batches)
        gate.set()
        await tab.run(lambda before=before: len(tab.batches) > before)
    await tab.run(lambda: tab.page.state(chat_id) == State.DONE)
    await finished(answer_id)
    assert tab.page.body(answer_id) == await final_body(answer_id)
    foot = tab.page.find(f"m-{answer_id}-foot")
    assert foot is not None
    assert "tokens" in foot.text()
    assert any('-code" hx-swap-oob="beforeend"' in each for each in tab.batches), "code should grow by its text alone"
    await tab.leave()


async def test_every_batch_ends_with_the_cursor(ask: Ask, alice: User, model: FakeTransport) -> None:
    gate = asyncio.Event()
    model.queue(Chunk(thinking="Hm"), gate, *pieces("Some text.", 2), final())
    result = await ask()
    tab = await open_tab(alice, result.conversation.id)
    gate.set()
    await tab.run(lambda: tab.page.state(result.conversation.id) == State.DONE)
    assert tab.batches
    for each in tab.batches:
        last = each[each.rindex("<i id=") :]
        assert last.startswith(f'<i id="cur-c:{result.conversation.id}" hidden data-g=')
    await tab.leave()


async def test_thinking_goes_its_own_way_and_is_summed_up(ask: Ask, alice: User, model: FakeTransport) -> None:
    gates = [asyncio.Event() for _ in range(3)]
    model.queue(Chunk(thinking="First <"), gates[0], Chunk(thinking=" then"), gates[1], Chunk(content="So."), gates[2], final())
    result = await ask()
    chat_id, answer_id = result.conversation.id, result.answer.id
    tab = await open_tab(alice, chat_id)

    def thoughts() -> str:
        element = tab.page.find(f"m-{answer_id}-think-body")
        return element.text() if element else ""

    await tab.run(lambda: thoughts() == "First <")
    gates[0].set()
    await tab.run(lambda: thoughts() == "First < then")
    gates[1].set()
    await tab.run(lambda: tab.page.state(chat_id) == State.WRITING)
    gates[2].set()
    await tab.run(lambda: tab.page.state(chat_id) == State.DONE)
    summary = tab.page.find(f"m-{answer_id}-think-sum")
    assert summary is not None
    assert summary.text().startswith("Thought for")
    assert thoughts() == "First < then"
    await tab.leave()


async def test_a_reload_or_a_second_tab_at_every_tenth_ends_with_the_same_text(
    ask: Ask, alice: User, model: FakeTransport
) -> None:
    gates = [asyncio.Event() for _ in range(10)]
    chunks = pieces(ANSWER, 7)
    model.queue(Chunk(thinking="Hm"), *in_turns(chunks, gates), final())
    result = await ask()
    chat_id, answer_id = result.conversation.id, result.answer.id
    tabs = []
    for number, gate in enumerate(gates):
        size = min(len(ANSWER), (number + 1) * len(chunks) // 10 * 7)
        await until(lambda size=size: (log := generation.find(answer_id)) and len(log.content) == size)
        tabs.append(await open_tab(alice, chat_id))
        gate.set()
    for tab in tabs:
        await tab.run(lambda tab=tab: tab.page.state(chat_id) == State.DONE)
    await finished(answer_id)
    expected = await final_body(answer_id)
    for tab in tabs:
        assert tab.page.body(answer_id) == expected
        await tab.leave()


async def test_a_tab_that_slept_resumes_from_its_cursor(ask: Ask, alice: User, model: FakeTransport) -> None:
    gates = [asyncio.Event() for _ in range(12)]
    model.queue(*in_turns(pieces(ANSWER, 7), gates), final())
    result = await ask()
    chat_id, answer_id = result.conversation.id, result.answer.id
    tab = await open_tab(alice, chat_id)
    for gate in gates[:-1]:
        before = len(tab.batches)
        gate.set()
        await tab.run(lambda before=before, tab=tab: len(tab.batches) > before)
        await tab.leave()  # and whatever came in between is lost
        tab = await Tab.open(tab.client, tab.page, chat_id)
    gates[-1].set()
    await tab.run(lambda: tab.page.state(chat_id) == State.DONE)
    await finished(answer_id)
    assert tab.page.body(answer_id) == await final_body(answer_id)
    await tab.leave()
    # once more with everything seen: nothing to send
    tab = await Tab.open(tab.client, tab.page, chat_id)
    await tab.say({"t": "ping"})
    assert await tab.socket.receive_from(timeout=5) == fragments.PONG
    await tab.leave()


async def test_a_restart_that_lost_text_sends_the_article_whole(ask: Ask, alice: User, model: FakeTransport) -> None:
    model.queue(Chunk(content="One paragraph.\n\nAnother\n\nA third that was never saved"), asyncio.Event())
    result = await ask()
    chat_id, answer_id = result.conversation.id, result.answer.id
    await until(lambda: (log := generation.find(answer_id)) and log.content)
    tab = await open_tab(alice, chat_id)
    await tab.leave()
    log = generation.find(answer_id)
    assert log is not None
    assert log.task is not None
    generation._running.clear()
    log.task.cancel()
    await Message.objects.filter(pk=answer_id).aupdate(content="One paragraph.\n\nAnot", state=State.WRITING, seq=1)
    await sync_to_async(services.recover)()
    tab = await Tab.open(tab.client, tab.page, chat_id)
    await tab.run(lambda: tab.page.state(chat_id) == State.INTERRUPTED)
    assert tab.page.body(answer_id) == await final_body(answer_id)
    status = tab.page.find(f"m-{answer_id}-status")
    assert status is not None
    assert "kept" in status.text()
    await tab.leave()


async def test_a_second_tab_gets_the_turn_that_the_first_one_sent(ask: Ask, alice: User, model: FakeTransport) -> None:
    model.queue(*answer("One."))
    result = await ask("First")
    chat_id = result.conversation.id
    await finished(result.answer.id)
    tab = await open_tab(alice, chat_id)
    gate = asyncio.Event()
    model.queue(gate, *answer("Two."))
    second = await ask("Second", chat_id)
    await tab.run(lambda: tab.page.find(f"m-{second.answer.id}"))
    tokens = tab.page.find("composer-tokens")
    assert tokens is not None
    assert second.answer.id in tokens.inner()
    gate.set()
    await tab.run(lambda: tab.page.state(chat_id) == State.DONE)
    assert tab.page.body(second.answer.id) == "".join(['<div class="b" id="m-', second.answer.id, '-b0"><p>Two.</p></div>'])
    model.queue(*answer("Two again."))
    await finished(second.answer.id)
    third = await services.regenerate(alice, second.answer.id)
    await tab.run(lambda: tab.page.find(f"m-{third.id}") and tab.page.state(chat_id) == State.DONE)
    assert tab.page.find(f"m-{second.answer.id}") is None
    assert "Two again." in tab.page.body(third.id)
    await tab.leave()


async def test_a_page_of_a_new_chat_may_subscribe_before_its_first_message(
    ask: Ask, alice: User, charlie: User, model: FakeTransport
) -> None:
    chat_id = services.new_conversation_id(alice)
    page = Page(SHELL + f'<div id="messages"></div><i id="cur-c:{chat_id}"></i>')
    tab = await Tab.open(await sign_in(alice), page, chat_id)
    stranger = await Tab.open(await sign_in(charlie), Page(SHELL + f'<i id="cur-c:{chat_id}"></i>'), chat_id)
    await stranger.run(lambda: stranger.page.state(chat_id) == "gone")
    model.queue(*answer("Hello."))
    result = await services.send(alice, chat_id, "Hi", "starter", "", "token")
    await tab.run(lambda: tab.page.state(chat_id) == State.DONE)
    assert "Hello." in tab.page.body(result.answer.id)
    await tab.leave()
    await stranger.leave()


async def test_t50_a_stranger_joins_nothing_and_cannot_tell_a_chat_from_none(
    ask: Ask, alice: User, charlie: User, model: FakeTransport
) -> None:
    gate = asyncio.Event()
    model.queue(Chunk(content="Secret"), gate, final())
    result = await ask()
    unknown = services.new_conversation_id(alice)
    replies = []
    for chat_id in (result.conversation.id, unknown):
        tab = await Tab.open(await sign_in(charlie), Page(f'<i id="cur-c:{chat_id}"></i>'), chat_id)
        await tab.run(lambda tab=tab: tab.batches)
        replies.append(tab.batches[0].replace(chat_id, "<id>"))
        await tab.say({"t": "sub", "topic": f"u:{alice.pk}"})
        await tab.say({"t": "ping"})
        await tab.run(lambda tab=tab: len(tab.batches) > 1)
        gate.set()
        await until(lambda: generation.find(result.answer.id) is None)
        await tab.say({"t": "ping"})
        await tab.run(lambda tab=tab: len(tab.batches) > 2)
        assert tab.batches[1:] == [fragments.PONG, fragments.PONG]
        await tab.leave()
    assert replies[0] == replies[1]


async def test_the_rail_shows_what_is_written_and_what_finished_unseen(ask: Ask, alice: User, model: FakeTransport) -> None:
    client = await sign_in(alice)
    tab = Tab(client, Page(SHELL))
    await tab.socket.connect()
    await tab.say({"t": "sub", "topic": f"u:{alice.pk}"})
    await tab.say({"t": "ping"})
    await tab.run(lambda: tab.batches)
    gate = asyncio.Event()
    model.queue(Chunk(content="a"), gate, final())
    result = await ask("Question")
    rail_id = f"rail-item-{result.conversation.id}"
    await tab.run(lambda: tab.page.find(rail_id))
    gate.set()
    await tab.run(lambda: (item := tab.page.find(rail_id)) and "finished, not seen yet" in item.text())
    await services.mark_seen(alice, result.conversation.id)
    await tab.run(lambda: (item := tab.page.find(rail_id)) and "not seen" not in item.text())
    await services.rename(alice, result.conversation.id, "Other title")
    await tab.run(lambda: (item := tab.page.find(rail_id)) and "Other title" in item.text())
    await services.delete(alice, result.conversation.id)
    await tab.run(lambda: tab.page.find(rail_id) is None)
    await tab.leave()


async def test_an_answer_that_is_watched_does_not_finish_unseen(ask: Ask, alice: User, model: FakeTransport) -> None:
    model.queue(Chunk(content="a"), *(gates := [asyncio.Event()]), final())
    result = await ask()
    tab = await open_tab(alice, result.conversation.id)
    await tab.say({"t": "ping"})
    await tab.run(lambda: fragments.PONG in tab.batches)
    gates[0].set()
    await finished(result.answer.id)
    assert not (await Conversation.objects.aget(pk=result.conversation.id)).is_unseen
    await tab.leave()
    assert not connections.is_watched(result.conversation.id)


async def test_a_hidden_tab_hears_of_states_only_and_catches_up_when_it_is_shown(
    ask: Ask, alice: User, model: FakeTransport
) -> None:
    gates = [asyncio.Event() for _ in range(3)]
    model.queue(Chunk(content="a"), gates[0], *pieces("bcdefgh", 1), gates[1], final())
    result = await ask()
    chat_id = result.conversation.id
    tab = await open_tab(alice, chat_id)
    await tab.run(lambda: tab.page.state(chat_id) == State.WRITING)
    await tab.say({"t": "vis", "hidden": True})
    await tab.say({"t": "ping"})
    await tab.run(lambda: fragments.PONG in tab.batches)
    before = len(tab.batches)
    gates[0].set()
    await until(lambda: (log := generation.find(result.answer.id)) and log.content == "abcdefgh" and log.hint_timer is None)
    await tab.say({"t": "ping"})
    await tab.run(lambda: len(tab.batches) > before)
    assert tab.batches[before] == fragments.PONG
    await tab.say({"t": "vis", "hidden": False})
    await tab.run(lambda: "abcdefgh" in tab.page.body(result.answer.id))
    gates[1].set()
    await tab.run(lambda: tab.page.state(chat_id) == State.DONE)
    await tab.leave()


async def test_a_slow_reader_gets_one_catch_up_instead_of_a_growing_queue(ask: Ask, alice: User, model: FakeTransport) -> None:
    first, rest = asyncio.Event(), asyncio.Event()
    model.queue(Chunk(content="start\n\n"), first, *pieces(ANSWER, 3), rest, final())
    result = await ask()
    chat_id, answer_id = result.conversation.id, result.answer.id
    page = await open_page(alice, chat_id)
    tab = Tab(await sign_in(alice), page)
    reader = asyncio.Event()
    put = tab.socket.output_queue.put

    async def put_when_read(message: Any) -> None:
        if message["type"] == "websocket.send" and first.is_set():
            await reader.wait()
        await put(message)

    tab.socket.output_queue.put = put_when_read
    await tab.socket.connect()
    await tab.subscribe(chat_id)
    await tab.run(lambda: tab.page.state(chat_id) == State.WRITING)
    before = len(tab.batches)
    first.set()
    await until(lambda: (log := generation.find(answer_id)) and len(log.content) > len(ANSWER))
    rest.set()
    await finished(answer_id)
    reader.set()
    await tab.run(lambda: tab.page.state(chat_id) == State.DONE)
    assert len(tab.batches) - before <= 2
    assert tab.page.body(answer_id) == await final_body(answer_id)
    await tab.leave()


async def test_f31_hints_that_the_layer_drops_lose_no_text(
    ask: Ask, alice: User, model: FakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generation, "_PACE_SECONDS", 0.0)
    model.queue(gate := asyncio.Event(), *pieces(ANSWER, 1), final())
    result = await ask()
    chat_id, answer_id = result.conversation.id, result.answer.id
    tabs = [await open_tab(alice, chat_id) for _ in range(5)]
    gate.set()
    for tab in tabs:
        await tab.run(lambda tab=tab: tab.page.state(chat_id) == State.DONE)
    await finished(answer_id)
    expected = await final_body(answer_id)
    for tab in tabs:
        assert tab.page.body(answer_id) == expected
        await tab.leave()


@pytest.mark.parametrize("how", ["disable", "sign out", "delete session", "password"])
async def test_t52_a_socket_closes_when_its_rights_end(
    alice: User, model: FakeTransport, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(connections, "CHECK_SECONDS", 0.02)
    client = await sign_in(alice)
    tab = await Tab.open(client, Page(SHELL), services.new_conversation_id(alice))
    match how:
        case "disable":
            await User.objects.filter(pk=alice.pk).aupdate(state=User.State.DISABLED)
        case "sign out":
            await client.alogout()
        case "delete session":
            await sync_to_async(client.session.flush)()
        case "password":
            alice.set_password("another one")
            await alice.asave()
    assert await tab.close_code() == 4401
    await tab.leave()


async def test_a_subscription_after_the_rights_ended_closes_at_once(alice: User, model: FakeTransport) -> None:
    tab = await Tab.open(await sign_in(alice), Page(SHELL), services.new_conversation_id(alice))
    await User.objects.filter(pk=alice.pk).aupdate(is_active=False)
    await tab.subscribe(services.new_conversation_id(alice))
    assert await tab.close_code() == 4401
    await tab.leave()


async def test_t42_foreign_origins_and_strangers_get_no_socket(alice: User, model: FakeTransport) -> None:
    client = await sign_in(alice)
    for origin in ("http://evil.example", "null", "http://localhost:1", "https://localhost.evil.example"):
        socket = open_socket(client, origin=origin)
        connected, code = await socket.connect()
        assert (connected, code) == (False, 4403)
    socket = open_socket(Client())
    connected, _ = await socket.connect()
    assert connected
    assert (await socket.receive_output())["code"] == 4401
    await socket.disconnect()


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("not json", 4400),
        ("[1]", 4400),
        ("[" * 5_000, 4400),
        ('"\\ud800"', 4400),
        (b"\x00\x01", 4400),
        ('{"t":"sub","topic":"' + "x" * 300_000 + '"}', 1009),
        ('{"t":"hello","v":"0.0.0-other"}', 4409),
    ],
    ids=["no json", "no object", "deep", "surrogate", "binary", "large", "other build"],
)
async def test_t30_t82_messages_that_close_the_socket(alice: User, model: FakeTransport, message: str | bytes, code: int) -> None:
    tab = await Tab.open(await sign_in(alice), Page(SHELL), services.new_conversation_id(alice))
    await tab.socket.send_to(**({"bytes_data": message} if isinstance(message, bytes) else {"text_data": message}))
    assert await tab.close_code() == code
    await tab.leave()


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"t": None},
        {"t": "unknown"},
        {"t": "sub"},
        {"t": "sub", "topic": 5},
        {"t": "sub", "topic": "c:" + "é" * 22},
        {"t": "sub", "topic": "c:../../x"},
        {"t": "sub", "topic": "x:1"},
        {"t": "sub", "topic": "u:0"},
        {"t": "sub", "topic": "c:x\ud800"},
        {"t": "unsub", "topic": "c:never"},
        {"t": "vis", "hidden": "yes"},
        {"t": "hello", "v": 5.5, "tab": []} | {"v": ""},
    ],
)
async def test_messages_that_mean_nothing_are_ignored(alice: User, model: FakeTransport, message: dict[str, Any]) -> None:
    tab = Tab(await sign_in(alice), Page(SHELL))
    await tab.socket.connect()
    await tab.say(message)
    await tab.say({"t": "ping"})
    assert await tab.socket.receive_from(timeout=5) == fragments.PONG
    await tab.leave()


@pytest.mark.parametrize("cursor", [5, "x", [], {}, {"g": 1, "n": 0, "seq": 0}, {"g": "x", "n": "1", "seq": 0}, {"g": "x" * 99}])
async def test_a_bad_cursor_is_like_none(ask: Ask, alice: User, model: FakeTransport, cursor: Any) -> None:
    model.queue(*answer("Text."))
    result = await ask()
    await finished(result.answer.id)
    tab = Tab(await sign_in(alice), await open_page(alice, result.conversation.id))
    await tab.socket.connect()
    await tab.say({"t": "sub", "topic": f"c:{result.conversation.id}", "cur": cursor})
    await tab.run(lambda: tab.batches)
    assert "Text." in tab.page.body(result.answer.id)
    await tab.leave()


async def test_t83_a_flood_of_messages_closes_the_socket(alice: User, model: FakeTransport) -> None:
    tab = await Tab.open(await sign_in(alice), Page(SHELL), services.new_conversation_id(alice))
    for _ in range(settings.LLMSITE_LIMITS.socket_message_burst + 10):
        await tab.socket.send_to(text_data=json.dumps({"t": "nothing"}))
    assert await tab.close_code() == 4429
    await tab.leave()


async def test_topics_of_a_socket_are_bounded(alice: User, model: FakeTransport) -> None:
    tab = Tab(await sign_in(alice), Page(SHELL))
    await tab.socket.connect()
    for _ in range(settings.LLMSITE_LIMITS.socket_topics + 1):
        await tab.subscribe(services.new_conversation_id(alice))
    assert await tab.close_code() == 4429
    await tab.leave()


# polling


async def poll(client: Client, chat_id: str, cursor: Any) -> Any:
    browser = AsyncClient(headers={"host": HOST})
    browser.cookies = client.cookies
    return await browser.get("/live/poll", {"topic": f"c:{chat_id}", "cur": json.dumps(cursor)})


async def test_polling_brings_the_same_batches(ask: Ask, alice: User, model: FakeTransport) -> None:
    gates = [asyncio.Event() for _ in range(5)]
    model.queue(*in_turns(pieces(ANSWER, 60), gates), final())
    result = await ask()
    chat_id, answer_id = result.conversation.id, result.answer.id
    await until(lambda: (log := generation.find(answer_id)) and log.content)
    page, client = await open_page(alice, chat_id), await sign_in(alice)
    for gate in gates:
        gate.set()
        response = await poll(client, chat_id, page.cursor(chat_id))
        assert response.status_code == 200
        assert response["Cache-Control"] == "no-store"
        assert response["X-Accel-Buffering"] == "no"
        page.apply(response.content.decode())
    while page.state(chat_id) != State.DONE:
        page.apply((await poll(client, chat_id, page.cursor(chat_id))).content.decode())
    await finished(answer_id)
    assert page.body(answer_id) == await final_body(answer_id)


async def test_a_poll_without_news_ends_empty(
    ask: Ask, alice: User, charlie: User, model: FakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "POLL_SECONDS", 0.05)
    model.queue(*answer("Text."))
    result = await ask()
    await finished(result.answer.id)
    page = await open_page(alice, result.conversation.id)
    response = await poll(await sign_in(alice), result.conversation.id, page.cursor(result.conversation.id))
    assert (response.status_code, response.content) == (204, b"")
    foreign = await poll(await sign_in(charlie), result.conversation.id, None)
    missing = await poll(await sign_in(charlie), services.new_conversation_id(alice), None)
    assert (foreign.status_code, foreign.content) == (missing.status_code, missing.content) == (404, b"")


async def test_a_poll_without_a_chat_hears_of_the_rail(ask: Ask, alice: User, model: FakeTransport) -> None:
    model.queue(*answer("Text."))
    browser = AsyncClient(headers={"host": HOST})
    browser.cookies = (await sign_in(alice)).cookies
    waiting = asyncio.create_task(browser.get("/live/poll"))
    await until(lambda: any(name.startswith("user.") for name in get_channel_layer().groups))
    result = await ask()
    response = await waiting
    assert f'id="rail-item-{result.conversation.id}"' in response.content.decode()
    assert (await browser.get("/live/poll", {"topic": "u:0"})).status_code == 404
    await finished(result.answer.id)


async def test_the_total_of_sockets_is_bounded(alice: User, model: FakeTransport) -> None:
    with override_settings(LLMSITE_LIMITS=replace(settings.LLMSITE_LIMITS, sockets_total=1)):
        first = await Tab.open(await sign_in(alice), Page(SHELL), services.new_conversation_id(alice))
        second = Tab(first.client, Page(SHELL))
        await second.socket.connect()
        assert await second.close_code() == 1013
        await second.leave()
        await first.leave()
