"""The runs that the horse was given, and that have not begun: no place is free for them yet, or a job blocks the event loop."""

from collections import deque
from collections.abc import Container

from workers.line import Line, Place
from workers.worker.side_by_side.member import Member

__all__ = ["Unbegun"]


class Unbegun:
    """Keeps these runs, the oldest first: runs begin in their order.

    Args:
        line: knows what has begun.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._members: deque[Member] = deque()

    def __len__(self) -> int:
        return len(self._members)

    def add(self, member: Member) -> None:
        """Add a run that was given to the horse."""
        self._members.append(member)

    def remove(self, members: Container[Member]) -> None:
        """Remove runs that go back to their queue."""
        self._members = deque(member for member in self._members if member not in members)

    def look(self) -> None:
        """Remove those that have begun, and those that are over."""
        begun = self._line.horse.begun
        while self._members and (self._members[0].place.number <= begun or self._members[0].place.is_over):
            self._members.popleft().begin()

    def places(self) -> list[Place]:
        """Return their places in the line."""
        return [member.place for member in self._members]

    @property
    def waited_s(self) -> float:
        """Seconds for which the oldest one waits."""
        return self._members[0].waited_s if self._members else 0.0
