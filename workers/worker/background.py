"""The background threads of a worker: they watch for losses, sweep the directory, keep the lease, and lead if it is elected."""

from collections.abc import Callable, Sequence

from notify.directory import Monitor
from notify.server import Client
from workers.fleet import Leader, Lease, NameHold
from workers.loss import HeldJobs, LossWatcher
from workers.schedule import Cron, Dependents, RateLimits, Scheduler
from workers.scripts import Run, RunCheck

__all__ = ["Background"]


class Background:
    """Starts and stops the parts of a worker that have threads of their own. After `close` they can be opened again.

    Args:
        client: the client of the worker, which the parts share.
        worker: the name of the worker.
        lease_s: seconds that the worker may be silent before another worker takes it for dead.
        stop: called, in the thread of the loss watcher, with a run that must end and the check that says why.
        revive: called, in the thread of the lease, when another worker took this one for dead by mistake.
        queues: the names of the queues of the worker.
        owed: called, in the thread of the lease, with the newest callback that is owed for each queue; see `Lease`.
        is_working: asked, in the thread of the lease, before each renewal; see `Lease`.
        hold: the hold of the worker on its name.
    """

    def __init__(
        self,
        client: Client,
        worker: str,
        *,
        lease_s: float,
        stop: Callable[[Run, RunCheck], None],
        revive: Callable[[Client], None],
        is_working: Callable[[], bool] = lambda: True,
        queues: Sequence[str] = (),
        owed: Callable[[Sequence[bytes]], object] = lambda _: None,
        hold: NameHold,
    ) -> None:
        self._client = client
        self._worker = worker
        self._lease_s = lease_s
        self._stop = stop
        self._revive = revive
        self._is_working = is_working
        self._queues, self._owed, self._hold = queues, owed, hold
        self.changed: Callable[[], None] = lambda: None
        """Called, in the thread of the loss watcher, after every change of a service. The loop of the worker sets it."""
        self.workers_of_process = 1
        """How many workers share the process: each reports its part of the memory."""
        self.loss_watcher: LossWatcher | None = None
        """Watches the current run; ``None`` while this is closed."""
        self._monitor: Monitor | None = None
        self._leader: Leader | None = None
        self._lease: Lease | None = None

    @property
    def leads(self) -> bool:
        """Whether this worker is the leader."""
        leader = self._leader
        return leader is not None and leader.leads

    def open(self) -> None:
        """Start all parts; they are live when this returns. After an error none runs, and this may be called again.

        Raises:
            ServerError: the server did not answer, or refused.
        """
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        client = self._client
        self._leader = leader = Leader([duty(client).run for duty in (Scheduler, Cron, HeldJobs, Dependents, RateLimits)])
        self.loss_watcher = LossWatcher(client, self._stop, returned=leader.hurry, changed=lambda: self.changed())
        self.loss_watcher.open()
        self._monitor = Monitor(client).open()
        leader.open()
        self._lease = Lease(
            client,
            self._worker,
            lease_s=self._lease_s,
            revive=self._revive,
            lead=leader.lead_until,
            is_working=self._is_working,
            queues=self._queues,
            owed=self._owed,
            hold=self._hold,
            sharing=self.workers_of_process,
        )
        self._lease.open()

    def close(self, *, unfinished: Sequence[Run] = ()) -> None:
        """Stop all parts that were started; the lease is given up last. See `Lease.close` for ``unfinished``."""
        for part in (self._monitor, self.loss_watcher, self._leader):
            if part is not None:
                part.close()
        if self._lease is not None:
            self._lease.close(unfinished=unfinished)
        self._monitor = self.loss_watcher = self._leader = self._lease = None
