"""The atomic steps of a worker's lease: renew it, and give it back."""

from collections.abc import Sequence
from typing import NamedTuple

from notify.server import Client, ScriptRunner
from workers import rq_keys
from workers.scripts.clock_watch import ClockWatch

__all__ = ["LeaseScripts", "Renewal"]


class Renewal(NamedTuple):
    """The answer to a renewal.

    Args:
        is_new: the worker had no lease: it has just started, or was taken for dead.
        dead: a worker whose lease is over, for this worker to clean up after; empty if there is none.
        leads: this worker is the leader from now on, for the length of a lease.
        job_id: the job that the dead worker was running, or empty.
        is_unlisted: RQ's hash of the worker is gone: its time was over because the server's clock jumped, or somebody deleted it.
        callbacks: the newest callback that is owed for each queue of the worker, empty where there is none; see `OwedCallback`.
        is_replaced: another worker has the name by now; nothing was done.
    """

    is_new: bool
    dead: str
    leads: bool
    job_id: str
    is_unlisted: bool
    callbacks: tuple[bytes, ...] = ()
    is_replaced: bool = False


class LeaseScripts(ScriptRunner):
    """The atomic steps of leases. All keys are passed as KEYS but those of workers, which the script builds from a prefix."""

    def __init__(self, client: Client) -> None:
        super().__init__(client, "workers.scripts")
        self._watch = ClockWatch()

    def renew_lease(
        self, worker: str, *, lease_ms: int, away_ms: int, birth: str = "", memory_kib: int | None = None, queues: Sequence[str] = ()
    ) -> Renewal:
        """Renew the lease of a worker, and elect the leader.

        Args:
            worker: the name of the worker.
            lease_ms: how long the lease lasts.
            away_ms: if no worker renewed a lease for longer than this, the server was away, or its clock jumped:
                then every lease begins anew.
            birth: when the worker was registered, as RQ writes it; empty: the lease is renewed whoever has the name.
            memory_kib: the memory of the worker's processes, which is written into its hash; ``None`` writes nothing.
            queues: the names of the queues of the worker.
        """
        keys = [self.keys.leases, self.keys.renewed, self.keys.leader, self.keys.clock, *map(self.keys.callbacks, queues)]
        args: list[str | bytes | int] = [worker, birth, lease_ms, away_ms, rq_keys.worker(""), "" if memory_kib is None else memory_kib]
        args += self._watch.args()
        is_new, dead, leads, job_id, is_unlisted, now_ms, newest, is_replaced = self.run(
            "renew_lease", keys, args, action="renewing the lease of a worker"
        )
        self._watch.answered(int(now_ms))
        dead, job_id = dead.decode(errors="replace"), job_id.decode(errors="replace")
        return Renewal(bool(is_new), dead, bool(leads), job_id, bool(is_unlisted), tuple(newest), bool(is_replaced))

    def release_lease(self, worker: str, *, birth: str) -> None:
        """Give back the lease of a worker that was registered at ``birth``, and the lead if it leads."""
        keys = [self.keys.leases, self.keys.leader, self.keys.cron_workers]
        self.run("release_lease", keys, [worker, birth, rq_keys.worker("")], action="giving back the lease of a worker")
