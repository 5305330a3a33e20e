"""Recurring jobs: one run per due time whatever leads or crashes, and one run for all missed times."""

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

import notify
from notify.testing import wait_until
from tests.support.cron_jobs import at_four, with_a_service
from tests.support.faults import server_ms
from tests.support.queued_jobs import index
from tests.workers.conftest import Effects, StartWorkers
from tests.workers.fleet.test_leader import elected_leader, leader_of, leave, pid_of, renew
from tests.workers.fleet.test_lease import frozen
from workers import Job, Queue, job, rq_keys
from workers.jobs.definition import load_jobs
from workers.jobs.requirements import Requirements
from workers.jobs.schedule import CronJob, Schedule, read_cron_job
from workers.schedule.cron import Cron, register_cron
from workers.scripts.enqueue import NewJob

MODULE = "tests.support.cron_jobs"
AT_FOUR, NIGHTLY, EVERY_SECOND = (f"{MODULE}.{name}" for name in ("at_four", "with_a_service", "every_second"))
DAY_MS = 86_400_000
SHORT_S = 2.0


@job("another", every_s=60)
def changed() -> None: ...


@pytest.fixture
def cron(bus: notify.Bus) -> Cron:
    """The duty, and a living worker ``w`` that has loaded the two daily jobs and listens to their queues."""
    renew(bus, "w", lease_ms=60_000)
    load(bus, "w", at_four, with_a_service)
    listen(bus, "w", "work", "nightly")
    return Cron(bus.redis)


def listen(bus: notify.Bus, worker: str, *queues: str) -> None:
    """Have a worker listen to queues, as far as RQ's registries say."""
    for name in queues:
        bus.redis.sadd(rq_keys.workers(name), rq_keys.worker(worker))
        bus.redis.expire(rq_keys.workers(name), 60)
    bus.redis.hset(rq_keys.worker(worker), "state", "idle")
    bus.redis.expire(rq_keys.worker(worker), 60)


def load(bus: notify.Bus, worker: str, *functions: Callable[..., Any]) -> None:
    register_cron(bus.redis, worker, {f"{function.__module__}.{function.__name__}": function for function in functions})


def times(bus: notify.Bus) -> dict[str, int]:
    """The due time of each job."""
    scored: Any = bus.redis.zrange(bus.keys.cron_due, 0, -1, withscores=True)
    return {name.decode(): int(score) for name, score in scored}


def may_overlap(bus: notify.Bus, overlap: Any) -> None:
    """Change what happens when ``at_four`` is due while the one before it still waits."""
    encoded: Any = bus.redis.hget(bus.keys.cron, AT_FOUR)
    bus.redis.hset(bus.keys.cron, AT_FOUR, msgspec.json.encode(msgspec.structs.replace(read_cron_job(encoded), overlap=overlap)))


def make_due(bus: notify.Bus, name: str = AT_FOUR, *, ago_ms: int = 1_000) -> int:
    due = server_ms(bus.redis) - ago_ms
    bus.redis.zadd(bus.keys.cron_due, {name: due})
    return due


def test_a_registered_job_is_due_at_its_next_time(bus: notify.Bus, cron: Cron) -> None:
    now = server_ms(bus.redis)
    assert times(bus) == {AT_FOUR: Schedule(cron="0 4 * * *").next_after(now), NIGHTLY: Schedule(cron="30 4 * * *").next_after(now)}
    assert 0 < cron.run() <= 5.0
    assert (Queue("work", connection=bus.redis).job_ids, set(load_jobs([MODULE]))) == ([], {AT_FOUR, NIGHTLY, EVERY_SECOND})


def test_a_due_job_is_enqueued_once_with_its_time_in_its_id(bus: notify.Bus, cron: Cron, queue: Queue) -> None:
    due = make_due(bus)
    cron.run()
    cron.run()
    assert queue.job_ids == [f"tests-support-cron_jobs-at_four-{due}"]
    made = Job.fetch(queue.job_ids[0], connection=bus.redis)
    assert (made.func_name, made.args, made.kwargs, made.get_status(), made.origin) == (AT_FOUR, [], {}, "queued", "work")
    assert (made.enqueued_at is not None, made.timeout) == (True, queue._default_timeout)
    assert times(bus)[AT_FOUR] == Schedule(cron="0 4 * * *").next_after(server_ms(bus.redis))
    assert bus.redis.hget(bus.keys.cron_last, AT_FOUR) == str(due).encode()


def test_the_definition_of_a_recurring_job_applies(bus: notify.Bus, cron: Cron) -> None:
    with bus.service("svc"):
        make_due(bus, NIGHTLY)
        cron.run()
        (job_id,) = Queue("nightly", connection=bus.redis).job_ids
        made = Job.fetch(job_id, connection=bus.redis)
        assert (list(made.needs), made.on_loss, index(bus)) == (["svc"], "ignore", [job_id])


def test_missed_times_are_made_up_for_by_one_run(bus: notify.Bus, cron: Cron, queue: Queue) -> None:
    bus.redis.hset(bus.keys.cron, AT_FOUR, msgspec.json.encode(CronJob("work", Schedule(every_ms=60_000), Requirements())))
    make_due(bus, ago_ms=DAY_MS // 2)
    cron.run()
    cron.run()
    assert len(queue.job_ids) == 1
    assert times(bus)[AT_FOUR] > server_ms(bus.redis)


def test_a_job_that_no_living_worker_has_loaded_waits(bus: notify.Bus, cron: Cron, queue: Queue) -> None:
    due = make_due(bus)
    leave(bus, "w")
    cron.run()
    assert (queue.job_ids, times(bus)[AT_FOUR]) == ([], due)
    renew(bus, "x", lease_ms=60_000)
    load(bus, "x", at_four)
    cron.run()
    assert len(queue.job_ids) == 1


def test_the_loaded_jobs_of_a_silent_worker_do_not_count(bus: notify.Bus, cron: Cron, queue: Queue) -> None:
    make_due(bus)
    bus.redis.zadd(bus.keys.leases, {"w": server_ms(bus.redis) - 1})
    cron.run()
    assert (queue.job_ids, bus.redis.hkeys(bus.keys.cron_workers)) == ([], [b"w"])
    bus.redis.zrem(bus.keys.leases, "w")
    cron.run()
    assert (queue.job_ids, bus.redis.exists(bus.keys.cron_workers)) == ([], 0)


def test_a_job_that_no_worker_loads_is_removed_a_day_later(bus: notify.Bus, cron: Cron) -> None:
    leave(bus, "w")
    make_due(bus, ago_ms=DAY_MS - 60_000)
    make_due(bus, NIGHTLY, ago_ms=DAY_MS + 60_000)
    cron.run()
    assert (list(times(bus)), bus.redis.hkeys(bus.keys.cron)) == ([AT_FOUR], [AT_FOUR.encode()])


def test_registering_again_changes_nothing_unless_the_schedule_changed(bus: notify.Bus, cron: Cron) -> None:
    due = make_due(bus)
    load(bus, "v", at_four)
    assert times(bus)[AT_FOUR] == due

    register_cron(bus.redis, "v", {AT_FOUR: changed})
    assert times(bus)[AT_FOUR] % 60_000 == 0
    assert due < times(bus)[AT_FOUR] <= server_ms(bus.redis) + 60_000


def test_one_of_many_concurrent_leaders_enqueues(bus: notify.Bus, cron: Cron, queue: Queue) -> None:
    may_overlap(bus, "queue")
    for turn in range(10):
        make_due(bus, ago_ms=1_000 * turn)
        start = threading.Barrier(6)

        def run() -> None:
            start.wait()  # noqa: B023  # they end in the same turn
            Cron(bus.redis).run()

        threads = [threading.Thread(target=run) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(queue.job_ids) == len(set(queue.job_ids)) == 10


def test_a_leader_that_wakes_up_after_the_job_ended_enqueues_nothing(
    bus: notify.Bus, cron: Cron, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The id alone cannot prevent it: the first job is already deleted."""
    make_due(bus)
    make_new_job = cron._new_job_of

    def freeze(*arguments: Any) -> NewJob:
        monkeypatch.undo()
        Cron(bus.redis).run()
        (job_id,) = queue.job_ids
        queue.empty()
        assert not Job.exists(job_id, bus.redis)
        return make_new_job(*arguments)

    monkeypatch.setattr(cron, "_new_job_of", freeze)
    cron.run()
    assert queue.job_ids == []


def test_looking_then_enqueueing_enqueues_twice(bus: notify.Bus, cron: Cron, queue: Queue) -> None:
    """The counter-example: two leaders, one of them frozen in between, and no comparison in the last step."""
    make_due(bus)
    both_have_looked = threading.Barrier(2)

    def naively() -> None:
        due = bus.redis.zrangebyscore(bus.keys.cron_due, "-inf", server_ms(bus.redis))
        both_have_looked.wait()
        for _ in due:
            queue.enqueue(at_four)
            bus.redis.zadd(bus.keys.cron_due, {AT_FOUR: server_ms(bus.redis) + 60_000})

    threads = [threading.Thread(target=naively) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(queue.job_ids) == 2


@pytest.mark.parametrize("written", [b"no JSON", b"{}", b"[]", b""])
def test_an_unreadable_job_is_removed_and_the_others_go_on(bus: notify.Bus, cron: Cron, queue: Queue, written: bytes) -> None:
    make_due(bus, ago_ms=5_000)
    make_due(bus, NIGHTLY)
    bus.redis.hset(bus.keys.cron, AT_FOUR, written)
    cron.run()
    assert (queue.job_ids, list(times(bus))) == ([], [NIGHTLY])
    assert len(Queue("nightly", connection=bus.redis).job_ids) == 1


def test_a_broken_queue_does_not_stop_the_others(bus: notify.Bus, cron: Cron, queue: Queue) -> None:
    due = make_due(bus, ago_ms=5_000)
    make_due(bus, NIGHTLY)
    bus.redis.set(queue.key, "no queue", ex=60)
    cron.run()
    assert times(bus)[AT_FOUR] == due
    assert len(Queue("nightly", connection=bus.redis).job_ids) == 1


@pytest.mark.any_server
def test_a_recurring_job_runs_at_each_of_its_times_whoever_leads(bus: notify.Bus, start_workers: StartWorkers, effects: Effects) -> None:
    """The leader has not loaded the job. It is killed, and the next leader continues."""
    start_workers(2, queues=("another",), lease_s=SHORT_S)
    first = elected_leader(bus)
    start_workers(modules=(MODULE,), lease_s=60)
    effects.wait_for("every second", 2)
    assert leader_of(bus) == first
    os.kill(pid_of(bus, first), signal.SIGKILL)
    wait_until(lambda: leader_of(bus) not in ("", first), timeout_s=10)
    effects.wait_for("every second", effects["every second"] + 2)
    ran: Any = bus.redis.hgetall("rq:test:effects")
    by_time = {name: int(count) for name, count in ran.items() if name.startswith(b"tests-support-cron_jobs-every_second-")}
    assert set(by_time.values()) == {1}
    assert all(int(name.rpartition(b"-")[2]) % 1_000 == 0 for name in by_time)


def test_the_loaded_jobs_of_a_closed_worker_do_not_count(bus: notify.Bus, start_workers: StartWorkers) -> None:
    pool = start_workers(modules=(MODULE,))
    wait_until(lambda: bus.redis.hlen(bus.keys.cron_workers) == 1, timeout_s=15)
    pool.close()
    assert bus.redis.hlen(bus.keys.cron_workers) == 0


@pytest.mark.any_server
def test_a_worker_taken_for_dead_registers_its_jobs_again(bus: notify.Bus, start_workers: StartWorkers) -> None:
    start_workers(queues=("another",), lease_s=SHORT_S)
    first = elected_leader(bus)
    (process,) = start_workers(modules=(MODULE,), lease_s=SHORT_S).processes
    wait_until(lambda: bus.redis.hlen(bus.keys.cron_workers) == 1, timeout_s=15)
    assert pid_of(bus, first) != process.pid
    with frozen(process.pid):
        wait_until(lambda: bus.redis.hlen(bus.keys.cron_workers) == 0, timeout_s=15, what="its end, as far as the others know")
    wait_until(lambda: bus.redis.hlen(bus.keys.cron_workers) == 1, timeout_s=15)
