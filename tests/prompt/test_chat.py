"""Conversations: collation, rounds, cuts (catalogue 5.3 to 5.5)."""

import pytest

from llmsite.prompt import chat
from llmsite.prompt.chat import Round
from llmsite.types.message import Message, ToolCall

S, U, A, T = (Message(role, role[0].upper()) for role in ("system", "user", "assistant", "tool"))


def test_neighbours_of_one_role_are_merged_but_tool_results_are_not() -> None:
    merged = chat.collate([U, Message("user", "V"), A, A, T, T, S, S])
    assert [(each.role, each.content) for each in merged] == [
        ("user", "U\n\nV"),
        ("assistant", "A\n\nA"),
        ("tool", "T"),
        ("tool", "T"),
        ("system", "S\n\nS"),
    ]


def test_merging_keeps_calls_and_thoughts() -> None:
    first = Message("assistant", "a", thinking="x", tool_calls=(ToolCall("f", {}),))
    second = Message("assistant", "b", tool_calls=(ToolCall("g", {}),))
    (merged,) = chat.collate([first, second])
    assert (merged.thinking, [call.name for call in merged.tool_calls]) == ("x", ["f", "g"])


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([U], [Round(prompt="U")]),
        ([S, U, A, U], [Round("S", "U", "A"), Round(prompt="U")]),
        ([U, S, U], [Round(prompt="U"), Round("S", "U")]),
        ([U, A], [Round(prompt="U", response="A")]),
        ([A, U], [Round(response="A"), Round(prompt="U")]),
        ([U, A, T, U], [Round(prompt="U", response="A"), Round(prompt="U")]),
        ([], [Round()]),
    ],
    ids=["one", "5.4 a user message flushes", "5.4 a system message flushes", "prefill", "answer first", "tool skipped", "none"],
)
def test_rounds(messages: list[Message], expected: list[Round]) -> None:
    assert chat.rounds(messages) == expected


def test_a_cut_keeps_the_system_messages_before_it_and_the_last_message() -> None:
    talk = [S, U, A, Message("system", "S2"), Message("user", "U2")]
    kept = [[message.content for message in chat.cut(talk, start)] for start in chat.cuts(talk)]
    assert kept == [["S", "U", "A", "S2", "U2"], ["S", "A", "S2", "U2"], ["S", "S2", "U2"]]


@pytest.mark.parametrize("talk", [[], [U], [S]])
def test_a_single_message_cannot_be_cut(talk: list[Message]) -> None:
    assert chat.cuts(talk) == [0]
    assert list(chat.cut(talk, 0)) == talk


def test_thoughts_of_earlier_answers_are_dropped() -> None:
    thought = Message("assistant", "<think>\nhm\n</think>\n\nA")
    assert [each.content for each in chat.without_thoughts([U, thought, U, thought])] == ["U", "A", "U", thought.content]
