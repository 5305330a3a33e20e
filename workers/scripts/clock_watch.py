"""Compares the clock of the server with that of this process, which never jumps and goes on while the machine is suspended."""

from notify.process import steady_s

__all__ = ["ClockWatch"]


class ClockWatch:
    """Remembers the last answer of the server that told its clock; ``parts/clock_jump.lua`` tells a jump from time that passed by it."""

    def __init__(self) -> None:
        self._before_ms: int | None = None
        self._answered_at = 0.0

    def args(self) -> list[str | bytes | int]:
        """Return ``before_ms`` and ``elapsed_ms`` for a script."""
        if self._before_ms is None:
            return ["", 0]
        return [self._before_ms, round((steady_s() - self._answered_at) * 1000)]

    def answered(self, now_ms: int) -> None:
        """Note an answer that has just come, and the clock that it tells."""
        self._before_ms, self._answered_at = now_ms, steady_s()
