"""The pages and forms of the chat: whole, in parts for htmx, without script, and for those who have no right to them."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import AsyncClient
from django.utils import timezone

from chat import picker, services
from chat.models import Conversation, Message, State
from llmsite.accounts.models import User
from llmsite.types.chunk import ModelDetails
from models_app.services import InstalledModel
from tests.chat.conftest import Ask, finished
from tests.inference.fake_transport import FakeTransport, answer

HTMX = {"HX-Request": "true"}
PAGE = {"Accept": "text/html"}


def installed(name: str, *capabilities: str) -> InstalledModel:
    return InstalledModel(name, "0" * 64, 0.0, 9_600_000, ModelDetails(parameter_size="4.7M", num_ctx=1024), capabilities)


@pytest.fixture(autouse=True)
def models(monkeypatch: pytest.MonkeyPatch) -> list[InstalledModel]:
    """What is installed; tests may change the list."""
    models = [installed("starter:latest", "completion", "thinking"), installed("bert", "embedding")]

    async def list_models() -> list[InstalledModel]:
        return models

    async def loaded() -> set[str]:
        return {"starter:latest"}

    monkeypatch.setattr(picker.services, "list_models", list_models)
    monkeypatch.setattr(picker, "_loaded_names", loaded)
    return models


@pytest.fixture
async def browser(alice: User, model: FakeTransport) -> AsyncClient:
    """Alice, signed in."""
    client = AsyncClient()
    await client.aforce_login(alice)
    return client


def text_of(response: HttpResponse) -> str:
    return response.content.decode()


def form_of(page: str) -> dict[str, str]:
    """The hidden fields of the composer and where it sends."""
    fields: dict[str, str] = dict(re.findall(r'name="(send_token|parent)" value="([^"]*)"', page))
    found = re.search(r'action="(/c/[^"]+/send)"', page)
    assert found
    return fields | {"action": found[1], "model": "starter:latest"}


async def post(client: AsyncClient, form: dict[str, str], text: str, headers: dict[str, str] | None = None, **more: str) -> Any:
    data = {name: value for name, value in form.items() if name != "action"} | {"text": text} | more
    return await client.post(form["action"], data, headers=headers or {})


async def test_a_new_chat_is_a_whole_page_or_its_main(browser: AsyncClient) -> None:
    whole = await browser.get("/", headers=PAGE)
    assert text_of(whole).startswith("<!doctype html>")
    assert "HX-Request" in whole["Vary"]
    part = await browser.get("/", headers=HTMX)
    assert re.match(r"\s*<title>New chat · llmsite</title>\s*<main id=\"main\"", text_of(part))
    assert 'id="rail"' not in text_of(part)
    assert "hx-history-elt" in text_of(whole)
    assert "hx-history-elt" in text_of(part)


async def test_only_models_that_chat_are_offered(browser: AsyncClient) -> None:
    page = text_of(await browser.get("/", headers=PAGE))
    assert 'value="starter:latest"' in page
    assert "bert" not in page


@pytest.mark.parametrize(("is_admin", "words"), [(True, "llmsite pull"), (False, "Ask an administrator")])
async def test_without_a_model_the_page_says_what_to_do(
    browser: AsyncClient, alice: User, models: list[InstalledModel], is_admin: bool, words: str
) -> None:
    models.clear()
    alice.is_superuser = is_admin
    await alice.asave()
    page = text_of(await browser.get("/", headers=PAGE))
    assert words in page
    assert 'id="composer"' not in page


async def test_a_form_without_script_ends_in_a_redirect(browser: AsyncClient, model: FakeTransport) -> None:
    model.queue(*answer("Because."))
    form = form_of(text_of(await browser.get("/", headers=PAGE)))
    response = await post(browser, form, "Why?\r\nReally?")
    assert response.status_code == 302
    message = await Message.objects.aget(role="assistant")
    await finished(message.id)
    page = text_of(await browser.get(response["Location"]))
    assert "Why?\nReally?" in page
    assert "<p>Because.</p>" in page
    assert f'data-g="{message.id}"' in page
    assert 'data-state="done"' in page


async def test_the_first_send_brings_main_and_its_address(browser: AsyncClient, model: FakeTransport) -> None:
    model.queue(*answer("Because."))
    form = form_of(text_of(await browser.get("/", headers=PAGE)))
    response = await post(browser, form, "Why?", HTMX)
    assert (response["HX-Retarget"], response["HX-Reswap"]) == ("#main", "outerHTML")
    assert response["HX-Push-Url"] == form["action"].removesuffix("/send")
    assert 'hx-swap-oob="afterbegin"' in text_of(response)


async def test_the_next_send_brings_two_turns_and_a_new_token(browser: AsyncClient, ask: Ask, model: FakeTransport) -> None:
    model.queue(*answer("One."))
    first = await ask("First")
    await finished(first.answer.id)
    model.queue(*answer("Two."))
    form = form_of(text_of(await browser.get(f"/c/{first.conversation.id}")))
    assert form["parent"] == first.answer.id
    response = await post(browser, form, "Second", HTMX)
    body = text_of(response)
    assert "HX-Retarget" not in response
    assert body.count("<article") == 2
    fresh = re.search(r'name="send_token" value="([^"]+)"', body)
    assert fresh
    assert fresh[1] != form["send_token"]
    again = await post(browser, form, "Second", HTMX)
    assert again["HX-Retarget"] == "#main"
    assert await Message.objects.filter(role="user").acount() == 2


async def test_the_switch_says_whether_to_think(browser: AsyncClient, model: FakeTransport, models: list[InstalledModel]) -> None:
    cases: list[tuple[str, dict[str, str], bool | None]] = [
        ("starter:latest", {"think": "1"}, True),
        ("starter:latest", {}, False),
        ("plain", {"think": "1"}, None),
    ]
    models.append(installed("plain", "completion"))
    for name, extra, expected in cases:
        model.queue(*answer("Yes."))
        form = form_of(text_of(await browser.get("/", headers=PAGE))) | {"model": name}
        await post(browser, form, "Hm", HTMX, **extra)
        newest = await Message.objects.filter(role="assistant").alatest("created_at")
        await finished(newest.id)
        assert newest.think is expected


@pytest.mark.parametrize("text", ["", " \n ", "x" * 1_000_001], ids=["empty", "blank", "too long"])
async def test_what_cannot_be_sent_is_said_beside_the_box(browser: AsyncClient, text: str) -> None:
    form = form_of(text_of(await browser.get("/", headers=PAGE)))
    response = await post(browser, form, text, HTMX)
    assert response.status_code == 422
    assert response["HX-Retarget"] == "#send-error"
    assert 'role="alert"' in text_of(response)
    whole = await post(browser, form, text)
    assert whole.status_code == 422
    assert 'id="composer"' in text_of(whole)
    assert not await Conversation.objects.aexists()


async def test_a_chat_that_went_on_elsewhere_is_a_dialog_that_keeps_the_text(
    browser: AsyncClient, ask: Ask, model: FakeTransport
) -> None:
    model.queue(*answer("One."))
    first = await ask("First")
    await finished(first.answer.id)
    form = form_of(text_of(await browser.get(f"/c/{first.conversation.id}")))
    model.queue(*answer("Two."))
    second = await ask("Second", first.conversation.id)
    await finished(second.answer.id)
    response = await post(browser, form, "Third", HTMX)
    assert response.status_code == 409
    assert 'id="dialog-title"' in text_of(response)
    whole = await post(browser, form, "Third & last")
    assert whole.status_code == 409
    assert "Third &amp; last</textarea>" in text_of(whole)


async def test_stop_answers_202_and_the_row_says_so(browser: AsyncClient, ask: Ask, model: FakeTransport) -> None:
    gate = asyncio.Event()
    model.queue(*answer("One.")[:-1], gate)
    first = await ask("First")
    response = await browser.post(f"/g/{first.answer.id}/stop", headers=HTMX)
    assert response.status_code == 202
    assert 'id="composer-actions"' in text_of(response)
    done = await finished(first.answer.id)
    assert done.state in (State.STOPPED, State.WAITING)


async def test_regenerate_shows_the_new_answer_in_place_of_the_old(browser: AsyncClient, ask: Ask, model: FakeTransport) -> None:
    model.queue(*answer("One."))
    first = await ask("First")
    await finished(first.answer.id)
    model.queue(*answer("Other."))
    response = await browser.post(f"/m/{first.answer.id}/regenerate", headers=HTMX)
    body = text_of(response)
    assert body.count("<article") == 2
    assert first.answer.id not in body
    assert "data-morph" in body


async def test_rename_answers_the_title_and_refuses_an_empty_one(browser: AsyncClient, ask: Ask, model: FakeTransport) -> None:
    model.queue(*answer("One."))
    first = await ask("First")
    url = f"/c/{first.conversation.id}/rename"
    body = text_of(await browser.post(url, {"title": "<Better>"}, headers=HTMX))
    assert "<title>&lt;Better&gt; · llmsite</title>" in body
    assert f'id="rail-item-{first.conversation.id}"' in body
    refused = await browser.post(url, {"title": "  "}, headers=HTMX)
    assert refused.status_code == 422
    assert 'aria-invalid="true"' in text_of(refused)
    assert (await browser.post(url, {"title": "Plain"})).status_code == 302


async def test_delete_ends_in_a_new_chat(browser: AsyncClient, ask: Ask, model: FakeTransport) -> None:
    model.queue(*answer("One."))
    first = await ask("First")
    await finished(first.answer.id)
    response = await browser.post(f"/c/{first.conversation.id}/delete")
    assert response["Location"] == "/"
    assert (await browser.get(f"/c/{first.conversation.id}")).status_code == 404


async def test_a_message_comes_as_article_text_or_place(browser: AsyncClient, ask: Ask, model: FakeTransport) -> None:
    model.queue(*answer("One *two*."))
    first = await ask("First")
    await finished(first.answer.id)
    url = f"/c/{first.conversation.id}/m/{first.answer.id}"
    assert "<em>two</em>" in text_of(await browser.get(url, headers=HTMX))
    plain = await browser.get(f"{url}?as=text")
    assert (text_of(plain), plain["Content-Type"]) == ("One *two*.", "text/plain; charset=utf-8")
    assert (await browser.get(url))["Location"].endswith(f"#m-{first.answer.id}")


async def test_others_find_nothing(charlie: User, ask: Ask, model: FakeTransport) -> None:
    model.queue(*answer("One."))
    first = await ask("First")
    await finished(first.answer.id)
    client = AsyncClient()
    await client.aforce_login(charlie)
    chat, message = first.conversation.id, first.answer.id
    for url in (f"/c/{chat}", f"/c/{chat}/m/{message}", f"/c/{chat}/m/{message}?as=text"):
        assert (await client.get(url)).status_code == 404
    for url in (f"/c/{chat}/send", f"/c/{chat}/rename", f"/c/{chat}/delete", f"/g/{message}/stop", f"/m/{message}/regenerate"):
        data = {"text": "x", "title": "x", "send_token": "x", "model": "starter:latest", "parent": message}
        assert (await client.post(url, data)).status_code == 404, url
    assert "First" not in text_of(await client.get("/", headers=PAGE))


async def test_what_changes_something_is_never_a_get(browser: AsyncClient, ask: Ask, model: FakeTransport) -> None:
    model.queue(*answer("One."))
    first = await ask("First")
    await finished(first.answer.id)
    chat, message = first.conversation.id, first.answer.id
    for url in (f"/c/{chat}/send", f"/c/{chat}/rename", f"/c/{chat}/delete", f"/g/{message}/stop", f"/m/{message}/regenerate"):
        assert (await browser.get(url)).status_code == 405


async def test_the_rail_is_grouped_by_the_readers_days_and_goes_on(browser: AsyncClient, alice: User) -> None:
    now = datetime(2026, 11, 25, 1, 30, tzinfo=UTC)
    ages = [timedelta(hours=1), timedelta(hours=2), timedelta(days=3), *(timedelta(days=20, minutes=n) for n in range(60))]
    for number, age in enumerate(ages):
        await Conversation.objects.acreate(
            id=services.new_conversation_id(alice), owner=alice, title=f"Chat {number}", updated_at=now - age
        )
    browser.cookies["llmsite_zone"] = "Asia/Shanghai"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timezone, "now", lambda: now)
        page = text_of(await browser.get("/", headers=PAGE))
        headings = re.findall(r'<p id="rail-head-[^"]+">([^<]+)</p>', page)
        more = re.search(r'hx-get="(/rail[^"]+)"', page)
        assert more
        rest = text_of(await browser.get(more[1].replace("&amp;", "&"), headers=HTMX))
    assert headings == ["Today", "Previous 7 days", "November"]
    assert len(re.findall('id="rail-item-', page)) == 40
    assert len(re.findall('id="rail-item-', rest)) == len(ages) - 40
    assert "<p id=" not in rest


@pytest.mark.parametrize("zone", ["Nowhere/Land", "../../etc/passwd", "\0", ""])
async def test_a_strange_time_zone_is_the_servers(browser: AsyncClient, zone: str) -> None:
    browser.cookies["llmsite_zone"] = zone
    assert (await browser.get("/", headers=PAGE)).status_code == 200
