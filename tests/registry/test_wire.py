"""Deadlines of a single connection, over a pair of sockets and by a clock that stands still."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from llmsite.registry import wire as module
from llmsite.registry.wire import Wire
from llmsite.types.limits import KIB, Limits

LIMITS = Limits(pull_rate_seconds=60, pull_rate_bytes=60 * KIB)


class Clock:
    """Stands in for the module `time`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def pair(clock: Clock) -> Iterator[tuple[Wire, socket.socket]]:
    """A wire and the other side's socket."""
    near, far = socket.socketpair()
    with near, far:
        yield Wire(near, LIMITS), far


def test_F15_who_takes_a_byte_a_second_holds_a_sender_for_a_minute(clock: Clock, pair: tuple[Wire, socket.socket]) -> None:
    wire, _ = pair
    wire.expect_sending()
    for _second in range(59):
        clock.now += 1
        wire.sendall(b"x")
    clock.now += 1
    with pytest.raises(TimeoutError, match=r"^timeout: the registry takes what is sent too slowly$"):
        wire.sendall(b"x")


def test_F15_who_takes_enough_is_sent_more(clock: Clock, pair: tuple[Wire, socket.socket]) -> None:
    wire, far = pair
    wire.expect_sending()
    for _minute in range(3):
        wire.sendall(bytes(60 * KIB))
        assert len(far.recv(60 * KIB, socket.MSG_WAITALL)) == 60 * KIB
        clock.now += 60
    wire.sendall(b"x")


def test_F15_a_request_over_a_kept_connection_is_measured_from_its_start(clock: Clock, pair: tuple[Wire, socket.socket]) -> None:
    wire, _ = pair
    clock.now += 3600
    wire.expect_sending()
    wire.sendall(b"GET / HTTP/1.1")


def test_F15_a_body_comes_in_the_time_it_was_given_however_fast_it_is(clock: Clock, pair: tuple[Wire, socket.socket]) -> None:
    wire, far = pair
    wire.expect_body()
    wire.expect_within(120)
    buffer = bytearray(60 * KIB)
    for _minute in range(2):
        far.sendall(bytes(60 * KIB))
        assert wire.receive(buffer)
        clock.now += 60
    with pytest.raises(TimeoutError, match=r"^timeout: the registry does not come to the end of its answer$"):
        wire.receive(buffer)


class _SlowLine(socket.socket):
    """Whenever its side waits, a deadline passes in which the other side takes so many bytes; having all, it answers."""

    far: socket.socket
    clock: Clock
    num_left: int
    taken_at_once: int

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        if not self.num_left:
            return super().recv_into(buffer, nbytes, flags)
        self.num_left -= len(self.far.recv(min(self.taken_at_once, self.num_left), socket.MSG_WAITALL))
        if not self.num_left:
            self.far.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        self.clock.now += LIMITS.pull_first_byte_seconds
        raise TimeoutError


@pytest.fixture
def line(clock: Clock) -> Iterator[_SlowLine]:
    near, far = socket.socketpair()
    with _SlowLine(fileno=near.detach()) as line, far:
        line.far, line.clock, line.num_left = far, clock, 128 * KIB
        yield line


def test_an_answer_is_waited_for_once_a_slow_line_has_sent_all(line: _SlowLine) -> None:
    wire, line.taken_at_once = Wire(line, replace(LIMITS, pull_rate_bytes=KIB)), 64 * KIB
    wire.sendall(bytes(line.num_left))
    wire.expect_head()
    assert wire.receive(bytearray(4)) == 4


def test_who_takes_nothing_worth_telling_has_no_longer_to_answer(line: _SlowLine) -> None:
    wire, line.taken_at_once = Wire(line, LIMITS), 1
    wire.sendall(bytes(line.num_left))
    wire.expect_head()
    with pytest.raises(TimeoutError, match=r"^timeout while waiting for the answer$"):
        wire.receive(bytearray(4))
    assert line.num_left == 128 * KIB - 1
