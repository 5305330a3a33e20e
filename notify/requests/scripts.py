"""The atomic steps of requests: one typed method per Lua script."""

from typing import Any, Final, NamedTuple

from notify.history import history_prelude, word
from notify.keys import due_member
from notify.server import ANSWER_S, Client, ScriptRunner

__all__ = ["FULL", "GONE", "MOVED", "OVERDUE", "RequestScripts", "Served"]

FULL: Final = "full"
GONE: Final = "gone"
MOVED: Final = -2.0
"""The service that takes a request has another name now; the request waits until the service has found that out."""
OVERDUE: Final = -1.0
"""The service that takes a request is overdue; the request waits until the service has sent a heartbeat."""
MAX_WAITING: Final = 1_000
"""Requests that may wait for one service, and answers that may wait for one caller."""
KEPT_MS: Final = 60_000
"""How long an answer is kept after the deadline of its request: the caller may be disconnected for a while."""
LEAST_S: Final = 0.5
"""The least time that a command waits for the server, also if the caller has no time left."""


class Served(NamedTuple):
    """A request that was served, for the history.

    Args:
        service, method: their names.
        has_failed: whether the method raised an error, or is not exported.
        seconds: from the start of the method to its end.
    """

    service: str
    method: str
    has_failed: bool
    seconds: float


class RequestScripts(ScriptRunner):
    """The atomic steps of requests."""

    def __init__(self, client: Client) -> None:
        super().__init__(client, "notify.requests", prelude=history_prelude(client.settings, client.own_keys))

    def send(self, service: str, incarnation: int, request: bytes, *, timeout_s: float) -> str:
        """Send a request to one incarnation of a service. Returns the id of its entry, `GONE` (also if it is overdue) or `FULL`."""
        args: list[str | bytes | int] = [incarnation, request, max(1, round(timeout_s * 1000)), MAX_WAITING]
        keys, within_s = self._keys(service, incarnation), self._answer_within_s(timeout_s)
        answer: bytes = self.run("send", keys, args, action=f"sending a request to {service!r}", timeout_s=within_s)
        return answer.decode()

    def take(self, service: str, incarnation: int, entry_id: str, *, deadline_ms: int, sent_to: str = "") -> float:
        """Take a waiting request.

        Args:
            service, incarnation: the registration of the service.
            entry_id: the request.
            deadline_ms: its deadline, on the server's clock.
            sent_to: the member to which it was sent, by default the service; or the standby that it was before.

        Returns:
            The seconds left until the deadline; 0 if the request must not begin. `OVERDUE` if not yet; `MOVED` if the service has
            another name now.
        """
        args: list[str | bytes | int] = [incarnation, entry_id, deadline_ms]
        member = due_member(service, incarnation)
        keys = [self.keys.service(service), self.keys.requests(sent_to or member), self.keys.promoted(member)]
        left_ms: int = self.run("take", keys, args, action=f"taking a request to {service!r}")
        return left_ms / 1000 if left_ms >= 0 else float(left_ms)

    def give_up(self, service: str, incarnation: int, entry_id: str) -> bool:
        """Remove a request whose caller does not wait any longer. Returns true if the request had not begun; then it never begins."""
        requests = self._keys(service, incarnation)[1]
        with self.client.translating(f"taking back a request to {service!r}"):
            removed: Any = self.client.exchange("XDEL", requests, entry_id, timeout_s=self._answer_within_s(0.0))
        return bool(removed)

    def answer(self, caller: str, answer: bytes, *, left_s: float, served: Served | None = None) -> None:
        """Send an answer to a caller.

        Args:
            caller: the caller.
            answer: the answer.
            left_s: seconds before the deadline of its request.
            served: what to count; ``None`` if this answer may have been sent, and counted, before.
        """
        args: list[str | bytes | int] = [answer, KEPT_MS + round(left_s * 1000), MAX_WAITING]
        if served is None:
            args += ["", "", "", ""]
        else:
            args += ["failed" if served.has_failed else "answered", word(served.service), word(served.method), f"{served.seconds:.6f}"]
        self.run("answer", [self.keys.answers(caller)], args, action="answering a request")

    def _answer_within_s(self, left_s: float) -> float:
        """Return how long a command may wait for the server, for a caller with so much time left."""
        return min(self.client.settings.command_timeout_s, ANSWER_S, max(LEAST_S, left_s))

    def _keys(self, service: str, incarnation: int) -> list[str]:
        return [self.keys.service(service), self.keys.requests(due_member(service, incarnation))]
