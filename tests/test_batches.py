"""Redis serves nobody else during a command or a script. What handles many things at once does it in parts, by number and by size.

The time that a part takes depends on the machine, so these tests count: the bytes of a command, and the calls that one script makes.
``python -m benchmarks longest_commands`` measures the times.
"""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

import notify
from notify.events.scripts import READ_BYTES, EventScripts
from notify.server import Client
from notify.values import in_batches
from tests.support.sample_jobs import add, add_when_svc_is_there, add_with_anything, add_with_svc
from workers import Queue, find_jobs, rq_keys
from workers.loss.held import HeldJobs
from workers.loss.watcher import LossWatcher
from workers.scripts import JobScripts

MOST_BYTES = 1_300_000
"""The largest command: a part, with the item that reaches its limit, and with the source of a script."""
MOST_CALLS = 2_500
"""Calls of one script. A call takes one to three microseconds."""
LARGE = "x" * 60_000

Action = Callable[[], object]


def _enqueue_large(bus: notify.Bus) -> Action:
    calls = [Queue.prepare_data(add_with_anything, [LARGE]) for _ in range(60)]
    return lambda: Queue("work", connection=bus.redis).enqueue_many(calls)


def _enqueue_small(bus: notify.Bus) -> Action:
    return lambda: _enqueued(bus, add_with_svc)


def _cancel(bus: notify.Bus) -> Action:
    _enqueued(bus, add_with_svc)
    return lambda: Queue("work", connection=bus.redis).cancel(needs="svc")


def _lose(bus: notify.Bus, job: Any = add_with_svc) -> Action:
    _enqueued(bus, job)

    def lose() -> None:
        with closing(LossWatcher(Client.of(bus.redis), lambda *_: None)) as watcher:
            watcher.apply_loss("svc")

    return lose


def _lose_to_hold(bus: notify.Bus) -> Action:
    return _lose(bus, add_when_svc_is_there)


def _release(bus: notify.Bus) -> Action:
    _lose_to_hold(bus)()
    queue, held = Queue("work", connection=bus.redis), HeldJobs(Client.of(bus.redis))

    def release() -> None:
        with bus.service("svc"):
            for _ in range(10):
                held.run()
                for job_id in queue.job_ids:
                    bus.redis.hset(rq_keys.job(job_id), "status", "started")

    return release


def _delete(bus: notify.Bus) -> Action:
    jobs = _enqueued(bus, add)
    scripts = JobScripts(bus.redis)
    for some in in_batches([job.id for job in jobs], len, most=100, max_bytes=READ_BYTES):
        scripts.cancel(some, reason="no more")
    return lambda: [job.delete() for job in jobs[:20]]


def _find(bus: notify.Bus) -> Action:
    _enqueued(bus, add)
    return lambda: list(find_jobs(bus.redis))


def _publish_in_background(bus: notify.Bus) -> Action:
    def publish() -> None:
        with bus.background_publisher() as publisher:
            for _ in range(60):
                publisher.put("t", LARGE)

    return publish


def _expire_retained(bus: notify.Bus) -> Action:
    _retained(bus)
    return lambda: bus.expire_retained("*")


def _retained(bus: notify.Bus) -> None:
    for number in range(60):
        bus.publish(f"t{number}", LARGE, retain_s=60)


def _enqueued(bus: notify.Bus, job: Any, *, count: int = 600) -> Any:
    with bus.service("svc"):
        return Queue("work", connection=bus.redis).enqueue_many([Queue.prepare_data(job) for _ in range(count)])


@pytest.mark.parametrize(
    "prepare",
    [
        _enqueue_large,
        _enqueue_small,
        _cancel,
        _lose,
        _lose_to_hold,
        _release,
        _delete,
        _find,
        _publish_in_background,
        _expire_retained,
    ],
)
def test_no_command_and_no_script_handles_too_much_at_once(bus: notify.Bus, prepare: Callable[[notify.Bus], Action]) -> None:
    action = prepare(bus)
    longest, most_calls = _measure(bus, action)
    assert longest <= MOST_BYTES
    assert most_calls <= MOST_CALLS


def test_the_measure_shows_a_script_that_handles_everything_at_once(bus: notify.Bus) -> None:
    """The twin: the same steps without parts."""
    jobs = _enqueued(bus, add_with_svc, count=800)
    _, calls = _measure(bus, lambda: JobScripts(bus.redis).cancel([job.id for job in jobs], reason="no more", from_list=False))
    assert calls > MOST_CALLS
    _retained(bus)
    events = EventScripts(bus.redis)
    topics = [f"t{number}" for number in range(60)]
    bodies = {topic: body for topic, body in zip(topics, events.retained(topics), strict=True) if body is not None}
    longest, _ = _measure(bus, lambda: events.delete_retained(bodies))
    assert longest > MOST_BYTES


def test_a_page_of_a_log_ends_with_the_entries_that_reach_its_size(bus: notify.Bus, collect: Any) -> None:
    for number in range(60):
        bus.publish("t", [number, LARGE])
    events, after, sizes = EventScripts(bus.redis), "0-0", []
    while (page := events.read_log("t", after=after, count=500)).more:
        sizes.append(sum(len(entry[3]) for entry in page.entries))
        after = page.entries[-1][0]
    assert len(sizes) >= 2
    assert all(READ_BYTES <= size <= READ_BYTES + 11 * 61_000 for size in sizes)
    with bus.subscribe("t", since="start") as subscriber:
        assert [event.contents[0] for event in collect(subscriber, 60)] == list(range(60))


def test_batches_end_by_number_and_by_size() -> None:
    assert list(in_batches([], len, most=2, max_bytes=5)) == []
    assert list(in_batches(["a", "b", "c"], len, most=2, max_bytes=5)) == [["a", "b"], ["c"]]
    assert list(in_batches(["aaaaaa", "b", "cccc", "d"], len, most=9, max_bytes=5)) == [["aaaaaa"], ["b", "cccc"], ["d"]]


def _measure(bus: notify.Bus, action: Action) -> tuple[int, int]:
    """Return the length of the longest command, and the calls of the script that made most, while an action runs."""
    longest, calls, most = 0, 0, 0
    with bus.redis.monitor() as monitor:
        bus.redis.echo("from here")
        action()
        bus.redis.echo("to here")
        while monitor.next_command()["command"] != "ECHO from here":
            pass
        while (command := monitor.next_command())["command"] != "ECHO to here":
            in_script = command["client_type"] == "lua"
            longest = max(longest, len(command["command"]))
            calls = calls + 1 if in_script else 0
            most = max(most, calls)
    return longest, most
