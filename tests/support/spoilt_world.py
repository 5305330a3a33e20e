"""Everything that the packages keep in Redis, made by themselves: services, jobs in each state, workers, schedules; and a round of all
that reads it."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import rq

import notify
from notify import ServiceNotFoundError
from notify.directory import Monitor
from notify.directory.scripts import Beat, DirectoryScripts
from tests.support.workers_here import act, make_worker
from tests.support.workers_here import fail as break_down
from workers import Queue, cron_jobs, explain, find_jobs, preview_loss, queues
from workers import job as mark
from workers.fleet.reaper import Reaper
from workers.loss import HeldJobs, LossWatcher
from workers.overview import count_needing, worker_progress
from workers.queue.queue import requeue
from workers.schedule import Cron, Scheduler, register_cron
from workers.scripts import ClaimScripts
from workers.scripts.lease import LeaseScripts

LEASE_MS = 60_000


@mark("q0", every_s=3600)
def every_hour() -> None: ...


break_down = mark("q0")(break_down)


class Refusals:
    """Stands for the backoff of a worker whose claim Redis refused: in a test nobody repairs the keys meanwhile."""

    def failed(self, problem: Exception, **_: Any) -> float:
        raise problem

    def over(self) -> None: ...


class World:
    """The world. Each part of a round is one step that a service, a worker, an application or an operator does."""

    def __init__(self, bus: notify.Bus) -> None:
        self.bus = bus
        self.queue = Queue("q0", connection=bus.redis)
        self.directory = DirectoryScripts(bus.redis)
        self.incarnations: dict[str, int] = {}
        self.leases = LeaseScripts(bus.redis)
        self.worker = make_worker(bus, "w0")
        self.worker._loop._refusals = Refusals()  # type: ignore[assignment]  # see there
        self.watcher = LossWatcher(bus.redis, lambda run, check: None)
        self._fill()

    def close(self) -> None:
        self.bus.redis.flushall()
        self.worker.teardown()
        self.watcher.close()

    def _fill(self) -> None:
        bus, client = self.bus, self.bus.redis
        Monitor(client).sweep()
        for name, ttl_ms in {"svc": 60_000, "back": 60_000, "late": 3_000, "gone": 60_000}.items():
            self.register(name, ttl_ms)
        client.zadd(bus.keys.due, {f"late#{self.incarnations['late']}": 1})
        Monitor(client).sweep()
        bus.directory.withdraw("gone", self.incarnations["gone"], reason="killed", why="a test")
        bus.state("svc").update({"a": 1})
        bus.publish("anything", {"a": 1}, retain_s=600)
        self._fill_jobs()
        register_cron(client, "w0", {f"{__name__}.every_hour": every_hour})
        client.zadd(bus.keys.cron_due, {f"{__name__}.every_hour": 1})
        for worker in ("w0", "dead"):
            self.leases.renew_lease(worker, lease_ms=LEASE_MS, away_ms=LEASE_MS)
        client.zadd(bus.keys.leases, {"dead": 1})
        Cron(client).run()
        client.zadd(bus.keys.cron_due, {f"{__name__}.every_hour": 1})

    def _fill_jobs(self) -> None:
        queue, client = self.queue, self.bus.redis
        queue.enqueue(act)
        self.ended = queue.enqueue(act).id
        self.work(2)
        running = queue.enqueue(act, needs="svc", retry=rq.Retry(max=1), meta={"a": 1})
        ClaimScripts(client, "dead", heartbeat_s=30, idle_s=480, result_ttl_s=500).claim([queue.key], fence="f", ended=None)
        client.hset("rq:worker:dead", mapping={"queues": "q0", "birth": "2026-01-01T00:00:00Z"})
        client.sadd("rq:workers", "rq:worker:dead")
        self.running = running.id
        client.srem(self.bus.keys.services, "back")
        for _ in range(4):
            queue.enqueue(act, needs="away", on_loss="hold", max_hold_s=600)
        self.register("away", 60_000)
        HeldJobs(client).run()
        queue.enqueue(act, needs="nowhere", on_loss="hold", grace_s=5)
        queue.enqueue(act, needs=notify.provides("cap"))
        queue.enqueue_in(timedelta(0), act, needs="svc")
        queue.enqueue_in(timedelta(hours=1), act)
        queue.enqueue(act, depends_on=queue.enqueue(act))
        queue.enqueue(act, job_id="cancelled").cancel("a test")

    def register(self, name: str, ttl_ms: int) -> None:
        fields = {"host": "here", "pid": "1", "metadata": '{"a":"b"}', "exports": '["f"]'}
        made = self.directory.register(name, ttl_ms=ttl_ms, provides=["cap"], groups=["all"], fields=fields, token=name)
        assert made is not None
        self.incarnations[name] = made

    def work(self, most: int = 100) -> None:
        """Have the worker run jobs, as RQ's loop does."""
        for _ in range(most):
            claimed = self.worker.dequeue_job_and_maintain_ttl(None, 0)
            if claimed is None:
                return
            self.worker.execute_job(*claimed)

    def steps(self) -> dict[str, Callable[[], Any]]:
        """The steps of a round, by name."""
        bus, client = self.bus, self.bus.redis
        return {
            "find_all": lambda: (list(bus.directory), bus.directory.find_all(provides="cap"), bus.directory.find_all(group="all")),
            "lookup": self._look_up,
            "last_end": lambda: bus.directory.last_end("gone"),
            "state": lambda: dict(bus.state("svc").items()),
            "topics": bus.topics,
            "traffic": bus.traffic,
            "subscribe": self._subscribe,
            "publish": lambda: bus.publish("anything", {"a": 2}, retain_s=600),
            "queues": lambda: queues(client),
            "find_jobs": self._explain_all,
            "cron_jobs": lambda: cron_jobs(client),
            "progress": lambda: worker_progress(client, queues=["q0"], workers=["w0", "dead"]),
            "preview": lambda: (preview_loss(client, "svc"), count_needing(client, "svc")),
            "beat": lambda: self.directory.beat([Beat(name, self.incarnations[name], 60_000) for name in ("svc", "late")]),
            "sweep": lambda: Monitor(client).sweep(),
            "renew": lambda: self.leases.renew_lease("w0", lease_ms=LEASE_MS, away_ms=LEASE_MS),
            "scheduler": lambda: Scheduler(client).run(),
            "cron": lambda: Cron(client).run(),
            "held": lambda: HeldJobs(client).run(),
            "reap": lambda: Reaper(client).reap("dead", self.running),
            "reconcile": self.watcher._reconcile,
            "heartbeat": lambda: self.worker.heartbeat(60),
            "work": self.work,
            "maintenance": self.worker.run_maintenance_tasks,
            "withdraw": lambda: bus.directory.withdraw("svc", self.incarnations["svc"], reason="withdrawn", why=""),
            "cancel": lambda: self.queue.cancel(where=lambda job: job.id == "cancelled"),
            "retry": lambda: requeue(client, "cancelled"),
            "enqueue": lambda: self.queue.enqueue(act, needs="away"),
        }

    def _subscribe(self) -> None:
        with self.bus.subscribe("anything", "services", since="start") as events:
            for _ in range(100):
                events.get(0)

    def _look_up(self) -> None:
        for name in self.incarnations:
            with suppress(ServiceNotFoundError):
                self.bus.directory.lookup(name)

    def _explain_all(self) -> None:
        for status in (None, "held", "failed", "finished", "canceled", "started"):
            for job in find_jobs(self.bus.redis, status=status):
                explain(self.bus, job)
                with suppress(notify.NotifyError):
                    job.return_value()
