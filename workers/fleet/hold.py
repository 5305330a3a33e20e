"""The hold of a worker on its name: whether another worker has taken it meanwhile.

A worker that is frozen for longer than its lease counts as dead, and another one may start under its name. When the frozen one goes on,
all keys of that name belong to the other: it must not write them, and ends.
"""

from collections.abc import Callable
from typing import Any

from notify.process import steady_s
from notify.server import Client
from workers import rq_keys
from workers.errors import WorkerReplacedError

__all__ = ["NameHold"]


class NameHold:
    """The hold of one worker on its name. Safe from any thread.

    The registration of a worker is known by its moment of birth, which no other registration of the name has.

    Args:
        client: the client of the worker.
        worker: the name of the worker.
        lease_s: seconds that the worker may be silent before another one may take its name.
        replaced: called once when the name is lost.
    """

    def __init__(self, client: Client, worker: str, *, lease_s: float, replaced: Callable[[], object] = lambda: None) -> None:
        self._client = client
        self._worker, self._lease_s, self._replaced = worker, lease_s, replaced
        self._confirmed_s = 0.0
        self.birth = ""
        """When the worker was registered, as RQ writes it; empty before that."""
        self.is_lost = False
        """True once it is known that another worker has the name."""

    def begin(self, birth: str) -> None:
        """Record that the worker has been registered under its name."""
        self.birth, self.is_lost = birth, False
        self.confirm(steady_s())

    def confirm(self, asked_s: float) -> None:
        """Record that the lease was renewed: until it is over, nobody takes the name.

        Args:
            asked_s: when the renewal was sent, by `steady_s`.
        """
        self._confirmed_s = asked_s

    def is_fresh(self) -> bool:
        """Return whether the worker certainly has its name, without asking the server."""
        return not self.is_lost and steady_s() - self._confirmed_s < self._lease_s

    def is_replaced(self) -> bool:
        """Return whether another worker has the name. The server is asked only if the worker may have been frozen for a lease.

        Raises:
            ServerError: Redis did not answer, or refused.
        """
        if self.birth and not self.is_lost and not self.is_fresh():
            asked_s = steady_s()
            with self._client.translating(f"looking who has the name of worker {self._worker}"):
                born: Any = self._client.hget(rq_keys.worker(self._worker), "birth")
            if born is None or born == self.birth.encode():
                self.confirm(asked_s)
            else:
                self.lose()
        return self.is_lost

    def lose(self) -> None:
        """Record that another worker has the name."""
        if not self.is_lost:
            self.is_lost = True
            self._replaced()

    def raise_if_lost(self) -> None:
        """Raise `WorkerReplacedError` if another worker has the name."""
        if self.is_lost:
            raise WorkerReplacedError(
                f"worker {self._worker} ends: it was silent for longer than its lease of {self._lease_s:g} s, and another worker has taken"
                " its name: its job was tried again or failed"
            )
