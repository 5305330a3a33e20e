"""The promises about cancels, stops and losses, in real processes. A twin of each shows plain RQ, or the same without the gate."""

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from signal import SIGTERM
from typing import Any

import pytest
import rq

import notify
from notify.events.scripts import EventScripts
from notify.testing import PrivateServer, wait_until
from tests.support.faults import server_ms
from tests.support.sample_jobs import add, stamp, tick
from tests.workers.conftest import KEEP_MARKS, ROOT, SAMPLE, Effects, StartWorkers, is_alive
from workers import Job, Outcome, Pool, Queue, WorkerOptions, rq_keys
from workers.loss.watcher import CHECK_S

MANY = 5_000


@contextmanager
def plain_worker(bus: notify.Bus) -> Iterator[None]:
    """A worker of plain RQ on the queue ``plain``."""
    command = [sys.executable, "-c", "from rq.cli import main; main()", "worker", "--quiet", "--url", bus.settings.url, "plain"]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT), **KEEP_MARKS}) as process:
        try:
            wait_until(lambda: bus.redis.scard(rq_keys.workers("plain")), timeout_s=15, what="the worker of plain RQ")
            yield
        finally:
            process.kill()


def plain_queue(bus: notify.Bus) -> rq.Queue:
    return rq.Queue("plain", connection=bus.redis)


def started_at_ms(bus: notify.Bus) -> dict[str, int]:
    """Return when each job of ``work`` started, by the server's clock, as its event says."""
    seen: list[Any] = []
    last: str | None = "0-0"
    while last is not None:
        rows = EventScripts(bus.redis).read_log("job.work", after=last, count=5_000).entries
        seen += [notify.events.event.decode("job.work", data)[0].contents for _, _, _, data in rows]
        last = rows[-1][0] if rows else None
    return {each["job"]: each["at_ms"] for each in seen}


def cancel_soon_after(enqueue: Any, cancel: Any, count: int, client: Any) -> dict[str, int]:
    """Enqueue jobs and cancel each 0 to 40 ms later. Returns when each cancel had returned, in ms by the server's clock."""
    cancelled_ms = {}
    for number in range(count):
        made = enqueue(f"x{number}")
        threading.Event().wait(random.uniform(0, 0.04))
        cancel(made)
        cancelled_ms[f"x{number}"] = server_ms(client)
    return cancelled_ms


def test_no_job_begins_or_ends_after_its_cancel_returned(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    """Experiment 20: 200 cancels 0 to 40 ms after the enqueue. What ran is stopped within a second, what waited never begins."""
    start_workers()  # one: while it gets itself a new process, the next job waits
    assert queue.enqueue(add).wait(10) == Outcome("finished")
    outcomes: dict[str, str] = {}

    def cancel(made: Job) -> None:
        outcome = made.cancel()
        assert outcome is not None
        outcomes[made.id] = outcome.status

    cancelled_ms = cancel_soon_after(lambda name: queue.enqueue(stamp, name, 2.0, job_id=name), cancel, 200, bus.redis)
    assert queue.enqueue(add).wait(10) == Outcome("finished")
    assert set(outcomes.values()) == {"cancelled", "stopped"}
    begun = {name for name in cancelled_ms if effects[f"{name}:first_ms"]}
    assert begun <= {name for name, status in outcomes.items() if status == "stopped"}
    assert all(effects[f"{name}:last_ms"] == effects[f"{name}:first_ms"] for name in begun)  # none came to its end
    assert max(effects[f"{name}:last_ms"] - cancelled_ms[name] for name in begun) < 1_000
    assert {name: Job.fetch(name, connection=bus.redis).outcome.status for name in outcomes} == outcomes  # type: ignore[union-attr]
    assert bus.redis.zcard(rq_keys.finished("work")) == 2


@pytest.mark.any_server
def test_jobs_of_plain_rq_go_on_after_their_cancel_returned(bus: notify.Bus, effects: Effects) -> None:
    """Experiment 20, the twin."""
    queue = plain_queue(bus)
    with plain_worker(bus):
        first = queue.enqueue(stamp, "first", 0.0)
        wait_until(lambda: first.get_status() == "finished", timeout_s=15)
        cancelled_ms = cancel_soon_after(lambda name: queue.enqueue(stamp, name, 0.05), lambda made: made.cancel(), 30, bus.redis)
        last = queue.enqueue(stamp, "last", 0.0)
        wait_until(lambda: last.get_status() == "finished", timeout_s=30)
    assert sum(effects[f"{name}:last_ms"] > at_ms for name, at_ms in cancelled_ms.items()) > 0


def test_a_stop_whose_message_is_lost_counts_within_the_check_interval(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Experiment 21: the message is published to no subscriber."""
    monkeypatch.setattr(Job, "_send_stop_command", lambda _: None)
    start_workers()
    running = queue.enqueue(tick, "x")
    effects.wait_for("x:begun")
    outcome, stopped = running.cancel("unheard"), time.monotonic()
    assert outcome is not None
    assert outcome.status == "stopped"
    wait_until(lambda: not is_alive(effects["x:pid"]), timeout_s=CHECK_S + 5)
    assert time.monotonic() - stopped < CHECK_S + 1


@pytest.mark.any_server
def test_a_stop_of_plain_rq_whose_message_is_lost_never_counts(bus: notify.Bus, effects: Effects) -> None:
    """Experiment 21, the twin: the connection that would receive the message is cut in the same step."""
    with plain_worker(bus):
        running = plain_queue(bus).enqueue(stamp, "x", 2 * CHECK_S + 1)
        effects.wait_for("x:first_ms")
        name = bus.redis.hget(running.key, "worker_name").decode()
        with bus.redis.pipeline() as pipe:
            pipe.client_kill_filter(_type="pubsub")
            pipe.publish(rq.command.PUBSUB_CHANNEL_TEMPLATE % name, f'{{"command": "stop-job", "job_id": "{running.id}"}}')
            _, heard = pipe.execute()
        assert heard == 0
        wait_until(lambda: running.get_status(refresh=True) == "finished", timeout_s=15)
    assert effects["x:last_ms"] - effects["x:first_ms"] >= 2 * CHECK_S * 1000


@contextmanager
def lost_while_many_wait(server: PrivateServer, connect_to: Callable[..., notify.Bus], on_loss: Any) -> Iterator[tuple[notify.Bus, int]]:
    """Two workers at very many jobs that need a service, which is killed. Yields a bus, and when the service was withdrawn."""
    bus = connect_to(server, job_events="started")
    queue, effects = Queue("work", connection=bus.redis), Effects(bus)
    options = WorkerOptions(settings=bus.settings, queues=("work",), modules=(SAMPLE,), log_level="ERROR")
    with bus.service("svc"), Pool(options, size=2):
        queue.enqueue_many([Queue.prepare_data(add) for _ in range(MANY)], needs="svc", on_loss=on_loss)
        effects.wait_for("added", 100)
        bus.directory.kill("svc")
        end = bus.directory.last_end("svc")
        assert end is not None
        yield bus, int(bus.redis.hget(bus.keys.tombstone("svc"), "at_ms") or 0)


@pytest.mark.parametrize("on_loss", ["cancel", "hold", "drain"])
def test_of_many_waiting_jobs_none_starts_after_its_service_was_withdrawn(
    own_server: PrivateServer, connect_to: Callable[..., notify.Bus], on_loss: Any
) -> None:
    registry = (rq_keys.deferred if on_loss == "hold" else rq_keys.canceled)("work")
    with lost_while_many_wait(own_server, connect_to, on_loss) as (bus, withdrawn_ms):
        wait_until(lambda: int(bus.redis.zcard(registry)) + len(started_at_ms(bus)) >= MANY, timeout_s=30, what=f"the end of {MANY} jobs")
        wait_until(lambda: not bus.redis.llen(rq_keys.queue("work")), timeout_s=10, what="a tidy list")
        started = started_at_ms(bus)
        assert max(started.values()) <= withdrawn_ms
        assert 100 <= len(started) < MANY
        in_the_end = int(bus.redis.zcard(registry))
        assert MANY - len(started) <= in_the_end <= MANY - len(started) + (2 if on_loss == "hold" else 0)  # and what ran
        assert bus.redis.zcard(bus.keys.needs("svc")) == (in_the_end if on_loss == "hold" else 0)


def test_of_many_waiting_jobs_that_ignore_the_loss_some_start_after_it(
    own_server: PrivateServer, connect_to: Callable[..., notify.Bus]
) -> None:
    """The twin: the same without the gate."""
    with lost_while_many_wait(own_server, connect_to, "ignore") as (bus, withdrawn_ms):
        wait_until(lambda: max(started_at_ms(bus).values()) > withdrawn_ms, timeout_s=10)


@pytest.mark.any_server
def test_a_job_that_ends_in_an_outage_longer_than_a_command_may_take_finishes_once(
    own_server: PrivateServer, connect_to: Callable[..., notify.Bus]
) -> None:
    """Experiment 22: the server hangs for six times as long as a worker waits for an answer; longer than a lease, too."""
    bus = connect_to(own_server, command_timeout_s=1.0)
    queue, effects = Queue("work", connection=bus.redis), Effects(bus)
    options = WorkerOptions(settings=bus.settings, queues=("work",), modules=(SAMPLE,), log_level="CRITICAL")
    with Pool(options, size=2) as pool:
        sleeping = queue.enqueue("tests.support.sample_jobs.sleep", 2.0, "x")
        effects.wait_for("x:begun")
        own_server.freeze()
        time.sleep(6.0)  # this is the outage
        own_server.thaw()
        assert sleeping.wait(15) == Outcome("finished")
        assert queue.enqueue(add).wait(15) == Outcome("finished")
        assert pool.check() == 2
        assert (effects["x:begun"], len(sleeping.results())) == (1, 1)


@pytest.mark.any_server
def test_sigterm_at_any_instant_loses_nothing_and_repeats_nothing(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    jobs = queue.enqueue_many([Queue.prepare_data(add) for _ in range(1_500)])
    pools = [start_workers(), start_workers()]
    for turn in range(10):
        wait_until(lambda turn=turn: effects["added"] > 100 * turn + 50, timeout_s=30, what="some progress")
        threading.Event().wait(random.uniform(0, 0.02))
        (process,) = pools[turn % 2].processes
        process.terminate()
        assert process.wait(15) in (0, -SIGTERM)  # which is how one ends that has only just begun
        pools[turn % 2] = start_workers()
    wait_until(lambda: bus.redis.zcard(rq_keys.finished("work")) == len(jobs), timeout_s=60, what="the end of all jobs")
    assert effects["added"] == len(jobs)
    assert bus.redis.zcard(rq_keys.started("work")) == 0
