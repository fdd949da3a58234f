"""Turns: who of several waiting users comes next. Start-time fair queueing: one turn per request, users alternate."""

from __future__ import annotations

from typing import Generic, TypeVar

Q = TypeVar("Q")


class Turns(Generic[Q]):
    """Turn numbers, counted for each queue by itself. Smaller comes first; equal ones are the caller's to order.

    A user's requests get one number after the other, beginning where the queue is now: whoever sends thirty at once shares
    the first number with everybody else and waits with the rest, and a newcomer never overtakes one who waits long enough.
    """

    def __init__(self) -> None:
        self._reached: dict[Q, int] = {}
        self._last: dict[Q, dict[str, int]] = {}

    def join(self, queue: Q, user: str) -> int:
        """The turn of one more request of this user."""
        users = self._last.setdefault(queue, {})
        turn = max(self._reached.get(queue, 0), users.get(user, 0)) + 1
        users[user] = turn
        return turn

    def reach(self, queue: Q, turn: int) -> None:
        """A request with this turn has been served."""
        self._reached[queue] = max(turn, self._reached.get(queue, 0))

    def forget(self, queue: Q) -> None:
        """Nobody waits there any longer."""
        self._reached.pop(queue, None)
        self._last.pop(queue, None)
