"""A job of each policy, on a queue of its own, taken by moves into a situation; without processes."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import notify
from notify.keys import any_provider
from tests.support.sample_jobs import add
from tests.workers.conftest import claim_ahead, claim_next
from workers import Job, Queue
from workers.jobs.outcome import publish_outcome
from workers.loss.held import HeldJobs
from workers.loss.watcher import LossWatcher
from workers.scripts.jobs import JobScripts
from workers.scripts.run import Run

LATE_MS = 61_000
POLICIES: dict[str, dict[str, Any]] = {
    "cancel": {"on_loss": "cancel"},
    "cancel+grace": {"on_loss": "cancel", "grace_s": 60},
    "hold": {"on_loss": "hold"},
    "hold+grace": {"on_loss": "hold", "grace_s": 60},
    "hold+max": {"on_loss": "hold", "max_hold_s": 60},
    "drain": {"on_loss": "drain"},
    "drain+grace": {"on_loss": "drain", "grace_s": 60},
    "ignore": {"on_loss": "ignore"},
}
STATUS = {"enqueued": "queued", "released": "queued", "held": "deferred", "cancelled": "canceled"}
"""RQ's status for the status of a job event, where the two differ."""


class Situation:
    """Use it as a context manager.

    Args:
        bus: a bus on a server that no other test uses.
        need: the need of the jobs: ``name`` for the service ``svc``, or ``capability`` for one that ``svc`` and ``other`` have.
        window: how many jobs a worker claims at a time, if they are plain.
    """

    def __init__(self, bus: notify.Bus, need: str, *, window: int = 1) -> None:
        self._bus, self._stack, self._window = bus, ExitStack(), window
        self._scripts, self._held_jobs = JobScripts(bus.redis), HeldJobs(bus.redis)
        self._target = notify.provides("cap") if need == "capability" else "svc"
        self.need = any_provider("cap") if need == "capability" else "svc"
        self._services: dict[str, notify.Service] = {}
        self._loss_watcher = LossWatcher(bus.redis, lambda run, check: None)
        self.jobs: dict[str, Job] = {}
        self._runs: dict[str, Run] = {}

    def __enter__(self) -> "Situation":
        return self

    def __exit__(self, *_: object) -> None:
        self._loss_watcher.close()
        self._stack.close()

    def bring_about(self, moves: str) -> None:
        """Make moves; each is the name of a method below."""
        for move in moves.split():
            made: Callable[[], None] = getattr(self, f"_{move}")
            made()

    def story(self, policy: str) -> str:
        """The events of the job: one word for each; ``:<rule>`` follows an end or a hold that its policy did not cause."""
        topic = self._bus.keys.log(self._bus.keys.job_topic(policy))
        rows: Any = self._bus.redis.xrange(topic)
        words = []
        for _, fields in rows:
            event = json.loads(fields[b"data"])["contents"]
            rule = event.get("why", {}).get("rule", "")
            by_policy = rule in ("", f"on_loss={POLICIES[policy]['on_loss']}")
            words.append(event["status"] if by_policy else f"{event['status']}:{rule}")
        return " ".join(words)

    def status(self, policy: str) -> str:
        return str(self.jobs[policy].get_status().value)

    def _up(self) -> None:
        self._services["svc"] = self._stack.enter_context(self._bus.service("svc", provides={"cap"}))

    def _down(self) -> None:
        self._services["svc"].close()

    def _other_up(self) -> None:
        self._services["other"] = self._stack.enter_context(self._bus.service("other", provides={"cap"}))

    def _other_down(self) -> None:
        self._services["other"].close()

    def _enqueue(self) -> None:
        for policy, options in POLICIES.items():
            self.jobs[policy] = self._queue(policy).enqueue(add, needs=self._target, **options)

    def _cancel(self) -> None:
        for job in self.jobs.values():
            job.cancel("enough")

    def _claim(self) -> None:
        """A worker of each queue claims a job."""
        for policy in POLICIES:
            if self._window > 1:
                refill = claim_ahead(self._bus, policy, wanted=self._window)
                assert (refill.claims, refill.answer) in (((), ""), ((), "alone")), "a job with needs is claimed alone, by the gate"
            claim = claim_next(self._bus, policy, fence=f"{policy}-{len(self._runs)}")
            if claim.answer == "started":
                self._runs[policy] = claim.run

    def _apply(self) -> None:
        """The loss watcher of a worker applies the loss to the waiting jobs."""
        self._loss_watcher.apply_loss(self.need)

    def _check(self) -> None:
        """The loss watcher of each worker checks its run."""
        for run in self._runs.values():
            self._scripts.check_run(run.job_id, fence=run.fence)

    def _dead(self) -> None:
        """The processes of the stopped runs are dead, and their workers record it."""
        for policy, run in list(self._runs.items()):
            held = self._scripts.hold_run(run.job_id, fence=run.fence)
            outcome = self.jobs[policy].outcome
            if not held and outcome is not None:
                with self._bus.redis.pipeline() as pipe:
                    publish_outcome(self._bus.redis, self.jobs[policy], outcome, worker="w", pipeline=pipe)
                    pipe.execute()
            if held or outcome is not None:
                del self._runs[policy]

    def _release(self) -> None:
        """The leader releases or cancels held jobs."""
        self._held_jobs.run()

    def _late(self) -> None:
        """A minute passes: every loss and every hold is a minute older."""
        client, keys = self._bus.redis, self._bus.keys
        held: Any = client.zrange(keys.holds, 0, -1)
        for job_id in held:
            client.zincrby(keys.holds, -LATE_MS, job_id)
        lost: Any = client.hkeys(keys.losses)
        for need in lost:
            client.hincrby(keys.losses, need.decode(), -LATE_MS)

    def _queue(self, policy: str) -> Queue:
        return Queue(policy, connection=self._bus.redis)
