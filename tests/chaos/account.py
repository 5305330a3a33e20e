"""The account: what became of every job, and whether Redis and the notes of the jobs agree about it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any, Final

import msgspec

import notify
from notify.events.event import decode
from notify.events.scripts import EventScripts
from tests.chaos.jobs import STATE, Step
from workers import Job, Outcome, rq_keys

__all__ = ["Account", "Order", "account_for"]

TERMINAL: Final = ("finished", "failed", "stopped", "cancelled")
REGISTRIES: Final = {
    "finished": rq_keys.finished,
    "failed": rq_keys.failed,
    "cancelled": rq_keys.canceled,
    "held": rq_keys.deferred,
    "scheduled": rq_keys.scheduled,
    "started": rq_keys.started,
}


class Order(msgspec.Struct, frozen=True):
    """A job as it was enqueued: id, whether it always raises, whether it needs the service, policy, number of retries, queue."""

    job_id: str
    raises: bool
    needs: bool
    on_loss: str
    retries: int
    queue: str = "chaos"


class Account(msgspec.Struct, frozen=True):
    """The number of jobs by outcome and reason, of runs and of refused writes; and everything that is not as it must be."""

    outcomes: Mapping[str, int]
    runs: int
    reruns: int
    refused: int
    faults: Sequence[str]


class _Story(msgspec.Struct):
    """What the log, the notes and the state say about one job."""

    order: Order
    events: list[str]
    steps: list[Step]
    writes: list[tuple[str, int]]

    def count(self, *statuses: str) -> int:
        return sum(event in statuses for event in self.events)

    @property
    def runs(self) -> list[str]:
        return [step.run for step in self.steps if step.what == "begun"]


def account_for(bus: notify.Bus, orders: Sequence[Order], steps: Sequence[Step], *, cancelled: Set[str] = frozenset()) -> Account:
    """Compare what Redis holds about the jobs with the notes of their runs.

    Args:
        bus: a bus on the server of the jobs.
        orders, steps: the jobs as they were enqueued, in this order, and the notes of their runs.
        cancelled: the ids of jobs that somebody tried to cancel.
    """
    events, notes, writes = defaultdict[str, list[str]](list), defaultdict[str, list[Step]](list), bus.state(STATE).snapshot()
    queues = sorted({order.queue for order in orders})
    for queue in queues:
        for each in job_events(bus, queue):
            events[each["job"]].append(each["status"])
    for step in steps:
        notes[step.job].append(step)
    faults = [fault for queue in queues for fault in _left_on(bus, queue)] + [*_wrong_lists(bus)]
    outcomes: Counter[str] = Counter()
    stories = []
    registered = _registered(bus, queues)
    for order in orders:
        story = _Story(order, events[order.job_id], notes[order.job_id], [(run, ms) for run, ms in writes.get(order.job_id, ())])
        stories.append(story)
        job = Job.fetch(order.job_id, connection=bus.redis)
        outcome = job.outcome
        outcomes[_named(outcome)] += 1
        wrong = [
            *_wrong_end(story, outcome, is_cancelled=order.job_id in cancelled),
            *_wrong_runs(story, outcome),
            *_wrong_writes(story, outcome),
        ]
        if sum(result.type == result.Type.SUCCESSFUL for result in job.results()) != (outcome is not None and outcome.status == "finished"):
            wrong.append("its results do not fit its outcome")
        if outcome is not None and registered[order.job_id] != [outcome.status.replace("stopped", "failed")]:
            wrong.append(f"it is in the registries {registered[order.job_id]}")
        faults += [
            f"{order.job_id} ({order.on_loss}, {order.retries} retries): {each}; {outcome}, events {story.events}, "
            f"steps {[(step.what, step.run[:4]) for step in story.steps]}, writes {story.writes}"
            for each in wrong
        ]
    runs = sum(len(story.runs) for story in stories)
    return Account(outcomes, runs, sum(len(story.runs) > 1 for story in stories), sum(step.what == "refused" for step in steps), faults)


def _wrong_end(story: _Story, outcome: Outcome | None, *, is_cancelled: bool) -> Iterator[str]:
    if outcome is None:
        yield "it has no end"
        return
    ends = [event for event in story.events if event in TERMINAL]
    if ends != [outcome.status]:
        yield f"the events of its end are {ends}"
    if story.events and story.events[-1] not in TERMINAL:
        yield "an event follows that of its end"
    done = any(step.what == "done" for step in story.steps)
    if outcome.status == "finished" and (story.order.raises or not done):
        yield "it has finished, but no run came to its end"
    if outcome.status == "failed" and outcome.why is not None and outcome.why.rule == "raised" and not story.order.raises:
        yield "it failed by an error that it did not raise"
    if outcome.status in ("stopped", "cancelled") and not (story.order.needs or is_cancelled):
        yield "it was stopped or cancelled by the loss of a service that it does not need"


def _wrong_runs(story: _Story, outcome: Outcome | None) -> Iterator[str]:
    """A job may start once, and once more after each retry and each hold (which is `released` at once if the service is back).

    It may as well when it is `enqueued` again, because its worker died before it began.
    """
    may_start = True
    for event in story.events:
        if event == "started" and not may_start:
            yield "it started again, and was neither retried nor held"
        may_start = (may_start or event in ("enqueued", "retried", "held", "released")) and event != "started"
    if story.count("retried") > story.order.retries:
        yield f"it was retried {story.count('retried')} times"
    if outcome is not None and outcome.status == "cancelled" and len(story.runs) > story.count("held", "retried"):
        yield "it was cancelled after it had begun"
    if len(story.runs) > 1 + story.count("retried", "held", "released"):
        yield f"it began {len(story.runs)} times, and no rule says so"
    is_stopped = outcome is not None and outcome.status == "stopped"  # before it was told that it had started
    if story.count("started") + is_stopped < len(story.runs):
        yield f"it began {len(story.runs)} times, and was started {story.count('started')} times"


def _wrong_writes(story: _Story, outcome: Outcome | None) -> Iterator[str]:
    """No run may write after another one has begun to write, nor after the job was recorded as failed because its worker died."""
    places = [story.runs.index(run) if run in story.runs else -1 for run, _ in story.writes]
    if places != sorted(places):
        yield "a superseded run wrote after its successor"
    ended_ms = outcome.at_ms if outcome is not None and outcome.status != "finished" else None
    if ended_ms is not None and any(ms > ended_ms for _, ms in story.writes):
        yield f"a run wrote after its end was recorded at {ended_ms}"


def _left_on(bus: notify.Bus, queue: str) -> Iterator[str]:
    client: Any = bus.redis
    if client.llen(rq_keys.queue(queue)):
        yield f"the queue still holds {client.lrange(rq_keys.queue(queue), 0, 20)}"


def _wrong_lists(bus: notify.Bus) -> Iterator[str]:
    """Yield the keys that must be empty, and are not, when all jobs have ended."""
    client: Any = bus.redis
    for pattern in ("rq:execution:*", "rq:executions:*", bus.keys.held("*", "*"), bus.keys.holds):
        for key in client.scan_iter(pattern, count=1000):
            if client.type(key) != b"zset" or client.zcard(key):
                yield f"the key {key.decode()} is left"
    for key in client.scan_iter(bus.keys.needs("*"), count=1000):
        for member in client.zrange(key, 0, -1):
            yield f"{key.decode()} still names {member.decode()}"


def _registered(bus: notify.Bus, queues: Iterable[str]) -> Mapping[str, list[str]]:
    """Return the names of the registries in which each job is."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    client: Any = bus.redis
    for name, key_of in REGISTRIES.items():
        for queue in queues:
            for member in client.zrange(key_of(queue), 0, -1):
                found[member.decode().partition(":")[0]].append(name)
    return found


def job_events(bus: notify.Bus, queue: str = "chaos") -> Iterator[Any]:
    """Yield the contents of all events of the jobs of a queue, in their order."""
    topic, after, more = bus.keys.job_topic(queue), "0-0", True
    while more:
        page = EventScripts(bus.redis).read_log(topic, after=after, count=500)
        yield from (decode(topic, data)[0].contents for _, _, _, data in page.entries)
        after, more = (page.entries[-1][0] if page.entries else after), page.more


def _named(outcome: Outcome | None) -> str:
    if outcome is None:
        return "no end"
    return f"{outcome.status} ({outcome.why.rule})" if outcome.why is not None and outcome.why.rule else outcome.status
