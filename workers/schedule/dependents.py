"""Dependents: cancels jobs with ``on_dependency_failure="cancel"`` when a job on which they depend has ended without success."""

from typing import Final

from notify.server import Client
from workers.scripts import AT_ONCE, DependentScripts

__all__ = ["Dependents"]

PAUSE_S: Final = 1.0
"""The pause after all jobs were looked at. Most ends are noticed at once, by the worker that records them: this finds the others."""
IDLE_PAUSE_S: Final = 2.0
"""The pause while there is no such job."""
MIN_PAUSE_S: Final = 0.05


class Dependents:
    """A duty of the leader: looks at the jobs that wait for other jobs. Several workers may run it at once; one is enough.

    It finds every end of a dependency, however it came: a failure, a stop, a cancel, a lost service, a job that expired, and a worker
    that died before it could enqueue or cancel the dependents.

    Args:
        client: the client of the thread that calls `run`.
    """

    def __init__(self, client: Client) -> None:
        self._scripts = DependentScripts(client)
        self._passed = 0

    def run(self) -> float:
        """Look at some of the jobs, in turn.

        Returns:
            Seconds until the next call.

        Raises:
            ServerError: Redis did not answer, or refused.
        """
        checked = self._scripts.check_all(passed=self._passed, count=AT_ONCE)
        was_first, self._passed = self._passed == 0, self._passed + checked.waiting
        if checked.looked_at == AT_ONCE:
            return MIN_PAUSE_S
        self._passed = 0
        return IDLE_PAUSE_S if was_first and not checked.looked_at else PAUSE_S
