"""A job of each policy, each on a queue of its own, in a situation that moves bring about; without processes."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import notify
from notify.keys import any_provider
from tests.support.sample_jobs import add
from tests.workers.conftest import claim_next
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
"""What RQ calls the state that an event tells of; the others it calls the same."""


class Situation:
    """Use it as a context manager.

    Args:
        bus: a bus on a server of which nobody else makes use.
        need: what the jobs need: ``name`` of the service ``svc``, or ``capability``, which its like ``other`` has as well.
    """

    def __init__(self, bus: notify.Bus, need: str) -> None:
        self._bus, self._stack = bus, ExitStack()
        self._scripts, self._holds = JobScripts(bus.redis), HeldJobs(bus.redis)
        self._target = notify.provides("cap") if need == "capability" else "svc"
        self.need = any_provider("cap") if need == "capability" else "svc"
        self._services: dict[str, notify.Service] = {}
        self._loss_watcher = LossWatcher(bus.redis, lambda run, verdict: None)
        self.jobs: dict[str, Job] = {}
        self._runs: dict[str, Run] = {}

    def __enter__(self) -> "Situation":
        return self

    def __exit__(self, *_: object) -> None:
        self._loss_watcher.close()
        self._stack.close()

    def bring_about(self, moves: str) -> None:
        """Make moves, named as the methods below."""
        for move in moves.split():
            made: Callable[[], None] = getattr(self, f"_{move}")
            made()

    def story(self, policy: str) -> str:
        """What was told of the job: one word for each event, and for an end or a hold not by its own policy ``:<rule>``."""
        topic = self._bus.keys.log(self._bus.keys.job_topic(policy))
        rows: Any = self._bus.redis.xrange(topic)
        words = []
        for _, fields in rows:
            told = json.loads(fields[b"data"])["contents"]
            rule = told.get("why", {}).get("rule", "")
            by_policy = rule in ("", f"on_loss={POLICIES[policy]['on_loss']}")
            words.append(told["status"] if by_policy else f"{told['status']}:{rule}")
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
        for policy, terms in POLICIES.items():
            self.jobs[policy] = self._queue(policy).enqueue(add, needs=self._target, **terms)

    def _cancel(self) -> None:
        for job in self.jobs.values():
            job.cancel("enough")

    def _claim(self) -> None:
        """A worker of each queue asks for a job."""
        for policy in POLICIES:
            claim = claim_next(self._bus, policy, fence=f"{policy}-{len(self._runs)}")
            if claim.answer == "started":
                self._runs[policy] = claim.run

    def _settle(self) -> None:
        """The guard of any worker deals with those that wait."""
        self._loss_watcher.apply_loss(self.need)

    def _judge(self) -> None:
        """The guard of each worker looks whether its run may go on."""
        for run in self._runs.values():
            self._scripts.check_run(run.job_id, fence=run.fence)

    def _dead(self) -> None:
        """The processes of the runs that were not to go on are dead, and their workers say so."""
        for policy, run in list(self._runs.items()):
            held = self._scripts.hold_run(run.job_id, fence=run.fence)
            outcome = self.jobs[policy].outcome
            if not held and outcome is not None:
                publish_outcome(self._bus.redis, self.jobs[policy], outcome, source="w")
            if held or outcome is not None:
                del self._runs[policy]

    def _look(self) -> None:
        """Somebody looks after the holds."""
        self._holds.run()

    def _late(self) -> None:
        """A minute passes: what is lost was lost so much earlier, and what is held has been held for so long."""
        client, keys = self._bus.redis, self._bus.keys
        held: Any = client.zrange(keys.holds, 0, -1)
        for job_id in held:
            client.zincrby(keys.holds, -LATE_MS, job_id)
        lost: Any = client.hkeys(keys.losses)
        for need in lost:
            client.hincrby(keys.losses, need.decode(), -LATE_MS)

    def _queue(self, policy: str) -> Queue:
        return Queue(policy, connection=self._bus.redis)
