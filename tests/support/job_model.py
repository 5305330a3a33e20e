"""A model of jobs, queues and services in plain Python; `test_job_model` compares Redis with it after each step."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

HOUR_MS = 3_600_000
SERVICES = {"a": {"work"}, "b": {"work", "more"}}
NEEDS = ["a", "b", "any work", "any more"]
FIRST_BATCH, LARGEST_BATCH = 1, 4


@dataclass
class ModelJob:
    """A job. ``fence``: of the run that has it. ``marked``: fence of the run that was stopped; ``marked_to``: its status after that."""

    id: str
    queue: str
    turn: int
    needs: dict[str, int]
    policy: str = "cancel"
    grace_ms: int = 0
    max_hold_ms: int | None = None
    retries: int = 0
    status: str = "queued"
    held: str | None = None
    until_ms: int | None = None
    fence: str | None = None
    marked: str | None = None
    marked_to: str = ""

    @property
    def waits(self) -> bool:
        return self.status in ("queued", "deferred")

    @property
    def ended(self) -> bool:
        return self.status in ("finished", "failed", "stopped", "canceled")


@dataclass
class ModelRun:
    """The run of a worker: ``is_stopping``, or ``returned``. ``is_gone``: it was given back, or its worker was taken for dead."""

    job_id: str
    fence: str
    is_stopping: bool = False
    returned: bool = False
    is_gone: bool = False


@dataclass
class Model:
    """The model.

    Args:
        peek: reads from Redis, where several results are correct: the status of a job, the need it is held for, and until when.
        peek_fence: reads the fence of a job from Redis.
        there, overdue: the services that are registered; those that are overdue are silent for more than their ttl.
    """

    peek: Callable[[str], tuple[str, str | None, int | None]]
    peek_fence: Callable[[str], str | None]
    now_ms: Callable[[], int]
    there: set[str] = field(default_factory=set)
    overdue: set[str] = field(default_factory=set)
    serials: dict[str, int] = field(default_factory=dict)
    jobs: dict[str, ModelJob] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=lambda: {"q0": [], "q1": []})
    runs: dict[str, ModelRun] = field(default_factory=dict)
    """The run that each worker has come to."""
    lines: dict[str, list[ModelRun]] = field(default_factory=lambda: defaultdict(list))
    """All runs of each worker whose ends are not recorded, in the order in which it has claimed them."""
    ramps: dict[tuple[str, str], tuple[int, str, int]] = field(default_factory=dict)
    turn: int = 0

    def presence(self, need: str) -> str:
        def meets(name: str) -> bool:
            return need[4:] in SERVICES[name] if need.startswith("any ") else need == name

        return "there" if any(map(meets, self.there)) else "overdue" if any(map(meets, self.overdue)) else "gone"

    def is_gone(self, need: str) -> bool:
        return self.presence(need) == "gone"

    def has_to_wait(self, job: ModelJob) -> bool:
        """Whether a job may not start because a service is overdue."""
        return job.policy != "ignore" and not self.lost(job) and any(self.presence(need) == "overdue" for need in job.needs)

    def lost(self, job: ModelJob) -> dict[str, int | None]:
        """The lost needs of a job, each with the ms of its loss if that came after the enqueue."""
        if job.policy == "ignore":
            return {}
        found: dict[str, int | None] = {}
        for need, seen in job.needs.items():
            if self.serials.get(need, 0) > seen:
                found[need] = self.serials[need]
            elif self.is_gone(need):
                found[need] = None
        return found

    def forgive(self, job: ModelJob) -> None:
        for need in job.needs:
            if not self.is_gone(need):
                job.needs[need] = self.serials.get(need, 0)

    def enqueue(self, job: ModelJob, *, front: bool) -> str:
        self.turn += 1
        old = self.jobs.get(job.id)
        if old is not None and old.status in ("queued", "canceled", "deferred") and job.id in self.lists[old.queue]:
            self.lists[old.queue].remove(job.id)
        job.status, job.fence = "queued", None
        job.turn = -self.turn if front else self.turn
        job.needs = {need: self.serials.get(need, 0) for need in job.needs}
        self.jobs[job.id] = job
        if any(map(self.is_gone, job.needs)) and job.policy != "ignore":
            done = self.check(job)
            assert done
            return done
        before = [need for need in job.needs if self.held(job.queue, need)]
        if before and not front and job.policy == "hold":
            status, held, until_ms = self.peek(job.id)
            assert status == "deferred", f"{job.id} is {status}, and others are held for {before}"
            assert held in before
            self.hold(job, held, until_ms)
            return "held"
        self.lists[job.queue].insert(0 if front else len(self.lists[job.queue]), job.id)
        return "queued"

    def check(self, job: ModelJob) -> str | None:
        """Apply a loss to a waiting job. Return its new status, ``None`` if nothing changes."""
        lost = self.lost(job)
        if not lost:
            return None
        if job.policy != "hold" and not job.grace_ms:
            self.end(job, "canceled")
            return "cancelled"
        gone = {need: lost_ms for need, lost_ms in lost.items() if self.is_gone(need)}
        if not gone:
            self.forgive(job)
            return None
        status, held, until_ms = self.peek(job.id)
        now = self.now_ms()
        over = {need for need, lost_ms in gone.items() if job.policy != "hold" and (lost_ms or now) + job.grace_ms <= now}
        if status == "canceled" and over:
            self.end(job, "canceled")
            return "cancelled"
        assert status == "deferred", f"{job.id} is {status}, and has lost {gone}"
        assert held in gone.keys() - over, f"{job.id} is held for {held}, and has lost {gone}, {over} for too long"
        if job.policy == "hold":
            expected = None if job.max_hold_ms is None else now + job.max_hold_ms
        else:
            expected = (gone[held] or now) + job.grace_ms
        assert (until_ms is None) is (expected is None)
        assert until_ms is None or expected is None or abs(until_ms - expected) < 60_000
        self.hold(job, held, until_ms)
        return "held"

    def check_waiting(self, job: ModelJob) -> str:
        """Apply a loss to a job that was enqueued just now. Return its status as `enqueue` does."""
        done = self.check(job)
        if done is not None:
            self.lists[job.queue].remove(job.id)
        return done or "queued"

    def hold(self, job: ModelJob, need: str, until_ms: int | None) -> None:
        job.status, job.held, job.until_ms = "deferred", need, until_ms

    def end(self, job: ModelJob, status: str) -> None:
        job.status, job.held, job.until_ms = status, None, None

    def claim(self, queues: Iterable[str]) -> ModelJob | None:
        for queue in queues:
            for job in [self.jobs[job_id] for job_id in self.lists[queue]]:
                starts = job.status == "queued" and self.check(job) is None
                if starts and self.has_to_wait(job):
                    continue
                self.lists[queue].remove(job.id)
                if starts:
                    return job
        return None

    def start(self, job: ModelJob, worker: str, fence: str) -> None:
        job.status, job.fence, job.marked = "started", fence, None
        self.lines[worker].append(ModelRun(job.id, fence))

    def give_back(self, runs: list[ModelRun]) -> None:
        """Put the jobs of runs that have not begun back on the front of their queues, unless the worker has them no more."""
        for run in reversed(runs):
            job = self.jobs[run.job_id]
            if job.fence == run.fence:
                job.status, job.fence, run.is_gone = "queued", None, True
                self.lists[job.queue].insert(0, job.id)

    def cancel(self, job: ModelJob) -> str:
        if job.waits:
            self.end(job, "canceled")
            if job.id in self.lists[job.queue]:
                self.lists[job.queue].remove(job.id)
        elif job.status == "started":
            self.end(job, "stopped")
            job.marked, job.marked_to, job.fence = job.fence or job.marked, "stopped", None
        return "cancelled" if job.status == "canceled" else job.status

    def check_run(self, run: ModelRun) -> None:
        """The loss watcher's check: stop the run if it may not continue."""
        job = self.jobs[run.job_id]
        if job.marked == run.fence:
            run.is_stopping = True
        if job.fence != run.fence or job.policy == "drain":
            return
        if job.grace_ms and self.lost(job):
            self.forgive(job)
        now, lost = self.now_ms(), self.lost(job)
        graced = [bool(ms and now < ms + job.grace_ms) for ms in lost.values()]
        if not lost or (any(graced) and self.peek(job.id)[0] == "started" and self.peek_fence(job.id) == run.fence):
            return
        assert not all(graced)
        job.marked, job.fence, run.is_stopping = run.fence, None, True
        job.marked_to = "held" if job.policy == "hold" else "stopped"
        if job.policy != "hold":
            self.end(job, "stopped")

    def end_run(self, worker: str, run: ModelRun, *, fails: bool = False) -> None:
        """Record the end of a run."""
        self.lines[worker].remove(run)
        job = self.jobs[run.job_id]
        if job.fence == run.fence:
            if fails:
                self.fail(job)
            else:
                self.end(job, "finished")
        elif job.marked == run.fence and job.marked_to == "held":
            self.set_aside(job)
        # Else the run was stopped, which is recorded already, or another run has the job: this end does not count.

    def fail(self, job: ModelJob) -> None:
        if job.retries:
            job.retries -= 1
            self.enqueue(job, front=False)
        else:
            self.end(job, "failed")

    def set_aside(self, job: ModelJob) -> None:
        job.status, job.marked = "queued", None
        if self.check(job) is not None:
            return
        status, held, until_ms = self.peek(job.id)
        if status == "deferred":  # it was stopped for a service that came back since, and is overdue now
            assert held is not None
            assert self.presence(held) == "overdue"
            self.hold(job, held, until_ms)
        else:
            self.lists[job.queue].insert(0, job.id)

    def reap(self, worker: str) -> None:
        """Reap a worker."""
        for run in self.lines[worker]:
            job = self.jobs[run.job_id]
            if run.is_gone:
                continue
            run.is_gone = True
            if job.marked == run.fence and job.marked_to == "held":
                self.set_aside(job)
            elif job.fence == run.fence:
                self.fail(job)
                job.fence = None

    @property
    def all_runs(self) -> list[ModelRun]:
        return [run for line in self.lines.values() for run in line]

    @property
    def pairs(self) -> set[tuple[str, str]]:
        return {(job.queue, job.held) for job in self.jobs.values() if job.held is not None}

    def index(self, need: str) -> list[str]:
        return [job.id for job in self.by_turn() if job.waits and need in job.needs]

    def held(self, queue: str, need: str) -> list[str]:
        return [job.id for job in self.by_turn() if (job.queue, job.held) == (queue, need)]

    def by_turn(self) -> list[ModelJob]:
        return sorted(self.jobs.values(), key=lambda job: job.turn)

    def apply_loss(self, need: str, *, passed: int, count: int) -> tuple[int, int]:
        """Apply a loss to some waiting jobs. Return how many were looked at, and how many of them still wait."""
        jobs = [self.jobs[job_id] for job_id in self.index(need)[passed : passed + count]]
        done = {job.id for job in jobs if job.status == "queued" and self.check(job) is not None}
        for queue, ids in self.lists.items():
            most = sum(self.jobs[job_id].queue == queue for job_id in done)
            first = list(takewhile(done.__contains__, ids[:most]))  # the others stay until the list is compacted
            self.lists[queue] = ids[len(first) :]
        return len(jobs), sum(job.waits for job in jobs)

    def compact_queue(self, queue: str) -> None:
        self.lists[queue] = [job_id for job_id in self.lists[queue] if self.jobs[job_id].status == "queued"]

    def release(self, queue: str, need: str) -> tuple[int, int, bool]:
        held = self.held(queue, need)
        if self.presence(need) != "there":
            return 0, len(held), False
        serial = self.serials.get(need, 0)
        batch, last, since = self.ramps.get((queue, need), (FIRST_BATCH, "", serial))
        if last and self.jobs[last].status == "queued":
            return 0, len(held), True
        batch = batch if since == serial else FIRST_BATCH
        released: list[str] = []
        for job in (self.jobs[job_id] for job_id in held[:batch]):
            until_ms = job.until_ms
            job.status, job.held, job.until_ms = "queued", None, None
            self.forgive(job)
            others = self.lost(job)
            if others:
                other = self.peek(job.id)[1]
                assert other in others
                self.hold(job, str(other), until_ms)
            else:
                released.append(job.id)
        self.lists[queue][:0] = released
        if released:
            self.ramps[queue, need] = (min(2 * batch, LARGEST_BATCH), released[-1], serial)
        return len(released), len(self.held(queue, need)), True

    def expire(self) -> int:
        over = [job for job in self.jobs.values() if job.until_ms is not None and job.until_ms <= self.now_ms()]
        for job in over:
            if not self.is_gone(str(job.held)):  # it will be released soon
                job.until_ms = self.peek(job.id)[2]
            else:
                self.end(job, "canceled")
        return len(over)

    def let_pass(self, ms: int) -> None:
        """Let time pass: make every recorded moment that much older."""
        self.serials = {need: serial - ms for need, serial in self.serials.items()}
        for job in self.jobs.values():
            job.needs = {need: seen and seen - ms for need, seen in job.needs.items()}
            job.until_ms = None if job.until_ms is None else job.until_ms - ms


def texts(values: Any) -> list[str]:
    return [value.decode() for value in values]
