"""Sending, stopping, asking again; what counts twice, what conflicts, and what is not there for others."""

from __future__ import annotations

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from chat import generation, services
from chat.models import Conversation, Message, State
from chat.services import title_of
from llmsite.accounts.models import User
from llmsite.types.errors import Conflict, InvalidRequest, NotFound
from llmsite.types.message import Message as Turn
from llmsite.types.request import ChatRequest
from tests.chat.conftest import Ask, finished, until
from tests.inference.fake_transport import FakeTransport, answer


def request_of(model: FakeTransport, number: int = -1) -> ChatRequest:
    request = model.requests[number]
    assert isinstance(request, ChatRequest)
    return request


async def test_a_first_message_makes_a_chat_with_a_title_and_a_queued_answer(ask: Ask, alice: User, model: FakeTransport) -> None:
    model.queue(*answer("Because."))
    result = await ask("Why is the sky blue?\nAnd the sea?")
    assert result.is_new
    assert result.answer.state == State.QUEUED
    assert result.conversation.title == "Why is the sky blue?"
    done = await finished(result.answer.id)
    assert (done.state, done.content) == (State.DONE, "Because.")
    path = await services.visible_path(await services.get_conversation(alice, result.conversation.id))
    assert [each.id for each in path] == [result.question.id, result.answer.id]


async def test_the_prompt_is_the_visible_path_without_thoughts_and_empty_answers(ask: Ask, model: FakeTransport) -> None:
    model.queue(*answer("One.", thinking=["hm"]))
    first = await ask("First")
    await finished(first.answer.id)
    model.queue(RuntimeError("broken"))
    second = await ask("Second", first.conversation.id)
    await finished(second.answer.id)
    model.queue(*answer("Three."))
    third = await ask("Third", first.conversation.id)
    await finished(third.answer.id)
    request = request_of(model)
    assert request.messages == (Turn("user", "First"), Turn("assistant", "One."), Turn("user", "Second\n\nThird"))
    assert request.user == f"user:{first.conversation.owner_id}"
    assert request.model == "starter"


async def test_the_same_post_twice_makes_one_message(ask: Ask, alice: User, model: FakeTransport) -> None:
    model.queue(*answer("Once."))
    conversation_id = services.new_conversation_id(alice)
    sends = [services.send(alice, conversation_id, "Why?", "starter", "", "same") for _ in range(5)]
    results = await asyncio.gather(*sends)
    assert sum(each.is_new for each in results) == 1
    assert len({each.answer.id for each in results}) == 1
    await finished(results[0].answer.id)
    assert await Message.objects.acount() == 2
    assert len(model.requests) == 1


async def test_answers_are_written_one_at_a_time_in_a_chat(ask: Ask, model: FakeTransport) -> None:
    gate = asyncio.Event()
    model.queue(gate, *answer("Late."))
    first = await ask("First")
    with pytest.raises(Conflict, match="still being written"):
        await ask("Second", first.conversation.id)
    gate.set()
    await finished(first.answer.id)


async def test_a_message_below_a_leaf_that_moved_conflicts(ask: Ask, model: FakeTransport) -> None:
    model.queue(*answer("One."))
    first = await ask("First")
    await finished(first.answer.id)
    with pytest.raises(Conflict, match="went on elsewhere"):
        await ask("Second", first.conversation.id, parent_id=first.question.id)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": "  \n"}, "Write a message first"),
        ({"text": "x" * 1_000_001}, "at most 1000000 fit"),
        ({"text": "a\0b"}, "cannot be stored"),
        ({"text": "a\ud800b"}, "cannot be stored"),
        ({"model": ""}, "Choose a model"),
        ({"send_token": ""}, "out of date"),
    ],
)
async def test_what_cannot_be_sent_is_refused_with_a_sentence(ask: Ask, changes: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        await ask(**changes)
    assert not await Conversation.objects.aexists()


async def test_t50_the_chat_of_another_person_is_like_no_chat(ask: Ask, charlie: User, model: FakeTransport) -> None:
    model.queue(*answer("Secret."))
    result = await ask()
    await finished(result.answer.id)
    unknown = services.new_conversation_id(await User.objects.acreate(username="nobody"))
    texts = set()
    for conversation_id in (result.conversation.id, unknown, "x"):
        for call in (
            services.get_conversation(charlie, conversation_id),
            services.rename(charlie, conversation_id, "Mine"),
            services.delete(charlie, conversation_id),
            services.send(charlie, conversation_id, "Let me in", "starter", "", "token"),
        ):
            with pytest.raises(NotFound) as caught:
                await call
            texts.add(str(caught.value))
    assert len(texts) == 1
    for message_id in (result.question.id, result.answer.id, "x"):
        for call in (services.get_message, services.stop, services.regenerate):
            with pytest.raises(NotFound):
                await call(charlie, message_id)
    assert await Message.objects.acount() == 2


async def test_regenerate_adds_a_sibling_and_keeps_the_old_answer(ask: Ask, alice: User, model: FakeTransport) -> None:
    model.queue(*answer("Old."))
    result = await ask()
    await finished(result.answer.id)
    model.queue(*answer("New."))
    fresh = await services.regenerate(alice, result.answer.id, "other")
    assert fresh.parent_id == result.question.id
    await finished(fresh.id)
    path = await services.visible_path(await services.get_conversation(alice, result.conversation.id))
    assert [each.content for each in path] == ["Why?", "New."]
    assert request_of(model).messages == (Turn("user", "Why?"),)
    assert request_of(model).model == "other"
    assert (await Message.objects.aget(pk=result.answer.id)).content == "Old."


async def test_deleting_a_chat_ends_its_answer(ask: Ask, alice: User, model: FakeTransport) -> None:
    model.queue(*answer("One.")[:1], asyncio.Event())
    result = await ask()
    await until(lambda: (log := generation.find(result.answer.id)) and log.content)
    await services.delete(alice, result.conversation.id)
    await until(lambda: generation.find(result.answer.id) is None)
    assert model.closed == 1
    assert not await Message.objects.aexists()


async def test_a_title_is_one_line_and_not_empty(ask: Ask, alice: User, model: FakeTransport) -> None:
    model.queue(*answer("One."))
    result = await ask()
    assert (await services.rename(alice, result.conversation.id, "  New \n name ")).title == "New name"
    with pytest.raises(InvalidRequest):
        await services.rename(alice, result.conversation.id, " \n")
    await finished(result.answer.id)


async def test_chats_come_newest_first_and_page_by_page(alice: User, charlie: User) -> None:
    @sync_to_async
    def make() -> None:
        moment = timezone.now()
        for number in range(5):
            Conversation.objects.create(pk=f"{number}", owner=alice, updated_at=moment)
        Conversation.objects.create(pk="other", owner=charlie, updated_at=moment)

    await make()
    first = await services.list_conversations(alice, limit=3)
    rest = await services.list_conversations(alice, before=(first[-1].updated_at, first[-1].pk), limit=3)
    assert [each.pk for each in [*first, *rest]] == ["4", "3", "2", "1", "0"]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Short", "Short"),
        ("  First line  \nsecond", "First line"),
        ("word " * 30, " ".join(["word"] * 12) + "…"),
        ("字" * 100, "字" * 59 + "…"),
        ("a b" + "c" * 100, "a b" + "c" * 56 + "…"),
    ],
)
def test_titles_are_the_first_line_cut_at_a_word(text: str, title: str) -> None:
    assert title_of(text) == title
    assert len(title) <= 60
