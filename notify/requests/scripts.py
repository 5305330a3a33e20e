"""The atomic steps of a request: ask, take, answer."""

from typing import Any, Final

from notify.keys import due_member
from notify.server import Client, ScriptRunner

__all__ = ["FULL", "GONE", "RequestScripts"]

FULL: Final = "full"
GONE: Final = "gone"
MAX_WAITING: Final = 1_000
"""Requests that may wait for one service, and answers for one caller."""
KEPT_MS: Final = 60_000
"""How long an answer is kept after its deadline: its caller may be cut off for a while."""
LEAST_S: Final = 0.5
"""How long a server is waited for at the least, also if the caller has no time left."""


class RequestScripts(ScriptRunner):
    """The atomic steps of requests."""

    def __init__(self, client: Client) -> None:
        super().__init__(client, "notify.requests")

    def send(self, service: str, incarnation: int, request: bytes, *, timeout_s: float) -> str:
        """Put a request before a service. Returns the id of its entry, `GONE` or `FULL`."""
        args: list[str | bytes | int] = [incarnation, request, max(1, round(timeout_s * 1000)), MAX_WAITING]
        keys, patience_s = self._keys(service, incarnation), self._patience_s(timeout_s)
        answer: bytes = self.run("send", keys, args, action=f"asking {service!r}", timeout_s=patience_s)
        return answer.decode()

    def take(self, service: str, incarnation: int, entry_id: str, *, deadline_ms: int) -> float:
        """Take a request that waits. Returns the seconds left until its deadline; 0 if it must not begin."""
        args: list[str | bytes | int] = [incarnation, entry_id, deadline_ms]
        left_ms: int = self.run("take", self._keys(service, incarnation), args, action=f"taking a request to {service!r}")
        return left_ms / 1000

    def give_up(self, service: str, incarnation: int, entry_id: str) -> bool:
        """Take back a request, for a caller who waits no longer. Returns whether it had not begun; now it will not."""
        requests = self._keys(service, incarnation)[1]
        with self.client.translating(f"giving up a request to {service!r}"):
            removed: Any = self.client.exchange("XDEL", requests, entry_id, timeout_s=self._patience_s(0.0))
        return bool(removed)

    def answer(self, caller: str, answer: bytes, *, left_s: float) -> None:
        """Put an answer before a caller, ``left_s`` seconds before it stops waiting."""
        args: list[str | bytes | int] = [answer, KEPT_MS + round(left_s * 1000), MAX_WAITING]
        self.run("answer", [self.keys.answers(caller)], args, action="answering a request")

    def _patience_s(self, left_s: float) -> float:
        """How long a server is waited for on behalf of a caller who has so much time left."""
        return min(self.client.settings.command_timeout_s, max(LEAST_S, left_s))

    def _keys(self, service: str, incarnation: int) -> list[str]:
        return [self.keys.service(service), self.keys.requests(due_member(service, incarnation))]
