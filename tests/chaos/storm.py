"""The faults: kills processes of workers and services, freezes workers, and kills and restarts the server."""

import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

import notify
from notify.testing import PrivateServer
from tests.chaos.jobs import JOURNAL
from tests.support.processes import Process
from tests.workers.conftest import KEEP_MARKS, ROOT, children
from workers import Pool, WorkerOptions

__all__ = ["LEASE_S", "SERVICE", "Storm"]

SERVICE: Final = "chaos-store"
TTL_S: Final = 1.0
LEASE_S: Final = 2.0
PAUSE_S: Final = (0.05, 0.45)
"""The pause between two faults."""
KINDS: Final = {"horse": 12, "worker": 8, "fork server": 3, "service": 6, "freeze": 2, "server": 3}
"""How often each fault happens, in relation to the others."""


class Storm:
    """Workers and a service on a server, and the faults that they suffer. Use it as a context manager, then call `blow`.

    Args:
        server: the server.
        seed: decides the faults.
        size: the number of workers.
        journal: the file in which the jobs note their steps.
        window: how many jobs each worker claims; by default as it chooses.
        kinds: how often each fault happens, in relation to the others.
        own_queues: a queue for each worker that no other one serves, and that it serves first.
    """

    def __init__(
        self,
        server: PrivateServer,
        *,
        seed: int,
        size: int,
        journal: Path,
        window: int | None = None,
        kinds: Mapping[str, int] = KINDS,
        own_queues: Sequence[str] = (),
    ) -> None:
        self.faults: Counter[str] = Counter()
        self._server, self._random, self._size = server, random.Random(seed), size
        self._kinds, self._own_queues = kinds, own_queues
        settings = notify.Settings(url=server.url, log_length=1_000_000, connect_timeout_s=1.0, command_timeout_s=2.0)
        self._options = WorkerOptions(
            settings=settings, queues=("chaos",), modules=("tests.chaos.jobs",), lease_s=LEASE_S, log_level="CRITICAL", window=window
        )
        self._environ = {**os.environ, **KEEP_MARKS, "PYTHONPATH": str(ROOT), JOURNAL: str(journal)}
        self._pools: list[Pool] = []
        self._service: Process | None = None
        self._frozen: list[int] = []

    def __enter__(self) -> "Storm":
        self._pools = [self._open_pool(number) for number in range(self._size)]
        self._service = Process("service", self._server.url, SERVICE, TTL_S)
        self._service.told()
        return self

    def __exit__(self, *_: object) -> None:
        self._thaw()
        for pool in self._pools:
            pool.stop()
        for pool in self._pools:
            pool.close(grace_s=5)
        self._end_service()

    def blow(self, *, faults: int, is_over: Callable[[], bool]) -> None:
        """Cause that many faults, or fewer if the jobs are over. After it everything runs again."""
        kinds = [*self._kinds]
        for number in range(faults):
            if is_over():
                break
            kind = self._random.choices(kinds, [*self._kinds.values()])[0] if number >= len(kinds) else kinds[number]  # each at least once
            self._cause(kind)
            self._mend()
            threading.Event().wait(self._random.uniform(*PAUSE_S))
        self._thaw()
        self._mend()

    def _cause(self, kind: str) -> None:
        worker = self._random.choice(self._pools).processes[0].pid
        tree = _descendants(worker)
        match kind:
            case "worker":
                self._kill(kind, worker)
            case "fork server" if tree:
                self._kill(kind, tree[0])
            case "horse" if len(tree) > 1:
                self._kill(kind, tree[1])
            case "host" if len(tree) > 1:
                for pid in (tree[0], worker, tree[1]):  # the fork server first: nobody is left to say what had begun
                    self._kill("", pid)
                self.faults[kind] += 1
            case "freeze" if not self._frozen:
                self._frozen = [worker, *tree]
                self._signal(self._frozen, signal.SIGSTOP)
                self.faults[kind] += 1
                threading.Timer(self._random.uniform(0.5, 2 * LEASE_S), self._thaw).start()
            case "service" if self._service is not None:
                self._kill(kind, self._service.pid)
            case "server":
                self._server.kill()
                threading.Event().wait(self._random.uniform(0.0, 1.0))
                self._server.restart()
                self.faults[kind] += 1

    def _kill(self, kind: str, pid: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            if kind:
                self.faults[kind] += 1

    def _mend(self) -> None:
        """Replace workers that died, and start the service again if it died."""
        for number, pool in enumerate(self._pools):
            if pool.processes[0].poll() is not None:
                pool.close()
                self._pools[number] = self._open_pool(number)
        if self._service is None or self._service.has_ended:
            self._end_service()
            self._service = Process("service", self._server.url, SERVICE, TTL_S)

    def _end_service(self) -> None:
        if self._service is not None:
            self._service.dispose()

    def _thaw(self) -> None:
        self._signal(self._frozen, signal.SIGCONT)
        self._frozen = []

    @staticmethod
    def _signal(pids: list[int], number: signal.Signals) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _open_pool(self, number: int) -> Pool:
        own = tuple(self._own_queues[number : number + 1])
        pool = Pool(
            msgspec.structs.replace(self._options, queues=(*own, *self._options.queues)), size=1, environ=self._environ, max_restarts=None
        )
        pool.open()
        return pool


def _descendants(pid: int) -> list[int]:
    """Return the fork server of a worker and its horse, as far as they run."""
    found: list[int] = []
    with suppress(OSError):
        while below := children(pid):
            pid = below[0]
            found.append(pid)
    return found
