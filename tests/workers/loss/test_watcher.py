"""The loss watcher of a worker: the jobs that it cancels or holds, the runs that it stops, and the outages that it survives."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

import notify
from notify.testing import PrivateServer, wait_until
from tests.support.faults import commands_during, cut, server_ms
from tests.support.sample_jobs import add, add_with_svc
from tests.workers.conftest import claim_next
from workers import Job, Queue
from workers.loss.watcher import CHECK_S, LOCK_MS, LossWatcher
from workers.scripts.jobs import AT_ONCE, JobScripts, LossResult
from workers.scripts.run import Run, RunCheck

Stops = list[tuple[Run, RunCheck]]


@pytest.fixture
def stops() -> Stops:
    """The runs that the watcher wanted to stop, with the checks."""
    return []


@pytest.fixture
def watcher(bus: notify.Bus, stops: Stops) -> Iterator[LossWatcher]:
    """A watcher that is not open: it does nothing unless a test calls it."""
    idle = LossWatcher(bus.redis, lambda run, found: stops.append((run, found)))
    yield idle
    idle.close()


@contextmanager
def on_watch(bus: notify.Bus) -> Iterator[None]:
    """A watcher that is open."""
    watcher = LossWatcher(bus.redis, lambda run, found: None)
    watcher.open()
    try:
        yield
    finally:
        watcher.close()


def lose(bus: notify.Bus, name: str) -> None:
    """Open a service and close it."""
    with bus.service(name):
        pass


def start(bus: notify.Bus, job: Job, *, fence: str = "mine") -> Run:
    """Claim a job as a worker does."""
    claim = claim_next(bus, fence=fence)
    assert (claim.answer, claim.job_id) == ("started", job.id)
    return claim.run


def is_cancelled(job: Job) -> bool:
    outcome = job.outcome
    return outcome is not None and outcome.status == "cancelled"


def test_all_waiting_losers_are_cancelled_however_many_and_the_index_is_left_clean(
    bus: notify.Bus, queue: Queue, watcher: LossWatcher
) -> None:
    with bus.service("svc"):
        jobs = queue.enqueue_many([Queue.prepare_data(add_with_svc) for _ in range(250)])
    assert watcher.apply_loss("svc") == 250
    assert watcher.apply_loss("svc") == 0
    assert all(map(is_cancelled, jobs))
    assert (queue.count, bus.redis.exists(bus.keys.needs("svc"), bus.keys.losing("svc"))) == (0, 0)


def test_those_that_lost_nothing_stay_however_many(bus: notify.Bus, queue: Queue, watcher: LossWatcher) -> None:
    with bus.service("svc"):
        losers = [queue.enqueue(add_with_svc) for _ in range(60)]
        keepers = [queue.enqueue(add_with_svc, on_loss="ignore") for _ in range(120)]
        more = [queue.enqueue(add_with_svc) for _ in range(60)]
    with bus.service("svc"):
        keepers += [queue.enqueue(add_with_svc) for _ in range(60)]
        assert watcher.apply_loss("svc") == 120
    assert all(map(is_cancelled, losers + more))
    assert queue.get_job_ids() == [job.id for job in keepers]
    assert bus.redis.zcard(bus.keys.needs("svc")) == len(keepers)


def test_losers_of_all_queues_are_cancelled(bus: notify.Bus, watcher: LossWatcher) -> None:
    with bus.service("svc"):
        jobs = [Queue(name, connection=bus.redis).enqueue(add_with_svc) for name in ("one", "two", "one")]
    assert watcher.apply_loss("svc") == 3
    assert all(map(is_cancelled, jobs))


def test_jobs_that_were_deleted_leave_the_index(bus: notify.Bus, queue: Queue, watcher: LossWatcher) -> None:
    with bus.service("svc"):
        bus.redis.delete(queue.enqueue(add_with_svc).key)
        waiting = queue.enqueue(add_with_svc)
        assert watcher.apply_loss("svc") == 0
        assert bus.redis.zrange(bus.keys.needs("svc"), 0, -1) == [waiting.id.encode()]


def test_running_jobs_are_left_to_their_workers(bus: notify.Bus, queue: Queue, watcher: LossWatcher) -> None:
    with bus.service("svc"):
        running = queue.enqueue(add_with_svc)
        start(bus, running)
    assert watcher.apply_loss("svc") == 0
    assert running.outcome is None


def test_one_watcher_applies_a_loss_and_the_others_leave_it_to_that_one(bus: notify.Bus, queue: Queue, watcher: LossWatcher) -> None:
    with bus.service("svc"):
        waiting = queue.enqueue(add_with_svc)
    bus.redis.set(bus.keys.losing("svc"), "another", px=LOCK_MS)
    assert watcher.apply_loss("svc") == 0
    assert waiting.outcome is None
    assert bus.redis.getdel(bus.keys.losing("svc")) == b"another"


def test_the_lock_has_a_lifetime_at_every_step(
    bus: notify.Bus, queue: Queue, watcher: LossWatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    lifetimes: list[Any] = []
    lose = JobScripts.apply_loss

    def lose_and_look(*args: Any, **kwargs: Any) -> LossResult:
        lifetimes.append(bus.redis.pttl(bus.keys.losing("svc")))
        return lose(*args, **kwargs)

    with bus.service("svc"):
        queue.enqueue_many([Queue.prepare_data(add_with_svc) for _ in range(250)])
    monkeypatch.setattr(JobScripts, "apply_loss", lose_and_look)
    watcher.apply_loss("svc")
    assert len(lifetimes) == 250 // AT_ONCE + 2
    assert all(0 < lifetime <= LOCK_MS for lifetime in lifetimes)


def test_a_running_job_is_stopped_while_the_loss_of_another_service_is_applied(
    bus: notify.Bus, queue: Queue, watcher: LossWatcher, stops: Stops, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[int] = []
    deal = JobScripts.apply_loss

    def lose_another(*args: Any, **kwargs: Any) -> Any:
        stopped.append(len(stops))
        bus.directory.kill("mine") if len(stopped) == 1 else None
        return deal(*args, **kwargs)

    with bus.service("mine"):
        watcher.watch(start(bus, queue.enqueue(add, needs="mine")))
        with bus.service("svc"):
            queue.enqueue_many([Queue.prepare_data(add_with_svc) for _ in range(3 * AT_ONCE)])
        monkeypatch.setattr(JobScripts, "apply_loss", lose_another)
        assert watcher.apply_loss("svc") == 3 * AT_ONCE
    assert stopped[:2] == [0, 1], "the run is reported again until it is released"


def test_the_lock_is_released_after_an_error(bus: notify.Bus, queue: Queue, watcher: LossWatcher) -> None:
    bus.redis.set(bus.keys.needs("svc"), "not an index", px=60_000)
    with pytest.raises(notify.ServerRefusedError, match="dealing with the loss of svc"):
        watcher.apply_loss("svc")
    assert not bus.redis.exists(bus.keys.losing("svc"))


def test_a_run_that_may_go_on_is_left_alone(bus: notify.Bus, queue: Queue, watcher: LossWatcher, stops: Stops) -> None:
    with bus.service("svc"):
        watcher.check()
        watcher.watch(start(bus, queue.enqueue(add_with_svc)))
        watcher.check()
    assert stops == []


def test_a_run_that_lost_its_service_is_stopped(bus: notify.Bus, queue: Queue, watcher: LossWatcher, stops: Stops) -> None:
    with bus.service("svc"):
        run = start(bus, queue.enqueue(add_with_svc))
        watcher.watch(run)
    watcher.check()
    assert stops == [(run, RunCheck(may_run=False, lost="svc"))]


def test_a_run_that_was_marked_as_stopped_is_stopped(bus: notify.Bus, queue: Queue, watcher: LossWatcher, stops: Stops) -> None:
    run = start(bus, queue.enqueue(add))
    watcher.watch(run)
    JobScripts(bus.redis).stop_run(run.job_id, reason="why")
    watcher.check()
    assert stops == [(run, RunCheck(may_run=False))]


def test_a_run_whose_job_another_has_is_stopped(bus: notify.Bus, queue: Queue, watcher: LossWatcher, stops: Stops) -> None:
    job = queue.enqueue(add)
    run = start(bus, job)
    watcher.watch(run)
    job.set_status(job.get_status().QUEUED)
    queue.push_job_id(job.id)
    start(bus, job, fence="another")
    watcher.check()
    assert stops == [(run, RunCheck(may_run=False, superseded=True))]


def test_a_run_that_was_released_is_not_checked(bus: notify.Bus, queue: Queue, watcher: LossWatcher, stops: Stops) -> None:
    with bus.service("svc"):
        watcher.watch(start(bus, queue.enqueue(add_with_svc)))
    watcher.release()
    watcher.check()
    assert stops == []


def test_a_withdrawal_is_heard(bus: notify.Bus, queue: Queue) -> None:
    with on_watch(bus):
        with bus.service("svc"):
            waiting = queue.enqueue(add_with_svc)
        wait_until(lambda: is_cancelled(waiting), timeout_s=2)


@pytest.mark.parametrize(
    "message",
    ["3", "not json", '{"change": "withdrawn"}', '{"change": "withdrawn", "service": 3}', '{"change": "available", "service": "svc"}'],
)
def test_a_message_that_is_no_withdrawal_does_no_harm(bus: notify.Bus, queue: Queue, message: str) -> None:
    with on_watch(bus):
        bus.redis.publish(bus.keys.channel("services"), message)
        with bus.service("svc"):
            waiting = queue.enqueue(add_with_svc)
        wait_until(lambda: is_cancelled(waiting), timeout_s=2)


def test_what_was_lost_before_is_found_at_the_start(bus: notify.Bus, queue: Queue) -> None:
    with bus.service("svc"):
        waiting = queue.enqueue(add_with_svc)
    with on_watch(bus):
        wait_until(lambda: is_cancelled(waiting), timeout_s=2)


def test_a_withdrawal_is_found_although_the_log_of_its_event_is_gone(bus: notify.Bus, queue: Queue) -> None:
    with on_watch(bus), bus.service("svc"):
        lose(bus, "another")
        waiting = queue.enqueue(add_with_svc)
        bus.redis.hset(bus.keys.losses, "svc", server_ms(bus.redis))
        bus.redis.delete(bus.keys.log("services"), bus.keys.topic("services"))
        bus.publish("services", "the first event of another log")
        wait_until(lambda: is_cancelled(waiting), timeout_s=2)


def test_a_watcher_whose_connection_was_cut_goes_on(bus: notify.Bus, queue: Queue) -> None:
    with on_watch(bus):
        wait_until(lambda: cut(bus.redis, "guard"))
        with bus.service("svc"):
            waiting = queue.enqueue(add_with_svc)
        wait_until(lambda: is_cancelled(waiting), timeout_s=5)


def test_a_watcher_outlives_its_server(own_server: PrivateServer) -> None:
    with notify.connect(own_server.url) as bus, on_watch(bus):
        queue = Queue("work", connection=bus.redis)
        own_server.kill()
        own_server.restart()
        with bus.service("svc"):
            waiting = queue.enqueue(add_with_svc)
        wait_until(lambda: is_cancelled(waiting), timeout_s=15)


def test_an_outage_is_logged_once_when_it_begins_and_once_when_it_ends(
    bus: notify.Bus, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    attempts: list[Run] = []

    def check_run(scripts: JobScripts, job_id: str, *, fence: str) -> RunCheck:
        attempts.append(Run(job_id, fence))
        if len(attempts) <= 3:
            raise notify.ServerUnreachableError("no answer")
        return RunCheck(may_run=True)

    monkeypatch.setattr("workers.loss.watcher.CHECK_S", 0.01)
    monkeypatch.setattr(JobScripts, "check_run", check_run)
    watcher = LossWatcher(bus.redis, lambda run, found: None)
    watcher.watch(Run("job", "fence"))
    watcher.open()
    try:
        wait_until(lambda: len(attempts) >= 5)
    finally:
        watcher.close()
    began, ended = (record.getMessage() for record in caplog.records if record.name == "workers.loss.watcher")
    assert began == "the loss watcher waits for the server: no answer"
    assert ended.startswith("the loss watcher has reached the server again after")


def test_a_watcher_that_cannot_connect_says_so_and_leaves_nothing() -> None:
    settings = notify.Settings(url="unix:///nowhere/redis.sock")
    pool = redis.ConnectionPool(connection_class=redis.UnixDomainSocketConnection, path="/nowhere/redis.sock", retry_on_error=[])
    watcher = LossWatcher(notify.server.Client(pool, settings=settings), lambda run, found: None)
    with pytest.raises(notify.ServerUnreachableError):
        watcher.open()
    watcher.close()


def test_of_thousands_of_losses_only_those_for_which_jobs_wait_are_looked_into(bus: notify.Bus, queue: Queue, watcher: LossWatcher) -> None:
    """The watcher receives no event meanwhile, and a running job would go on."""
    with bus.service("svc"):
        waiting = queue.enqueue(add_with_svc)
    bus.redis.hset(bus.keys.losses, mapping={f"gone-{number}": server_ms(bus.redis) for number in range(2_500)})
    commands = commands_during(bus.redis, watcher._reconcile)
    assert is_cancelled(waiting)
    assert [command for command in commands if "losing" in command and ":svc" not in command] == []
    bus.redis.delete(bus.keys.losses)


PRINTS: Any = notify.provides("print")


def test_waiting_losers_are_held_whose_policy_says_so_and_the_list_is_tidied(bus: notify.Bus, queue: Queue, watcher: LossWatcher) -> None:
    with bus.service("svc"):
        patient = [queue.enqueue(add_with_svc, on_loss="hold") for _ in range(250)]
        others = [queue.enqueue(add), queue.enqueue(add_with_svc)]
    assert watcher.apply_loss("svc") == 251
    assert watcher.apply_loss("svc") == 0
    assert queue.job_ids == [others[0].id]
    assert len(queue.deferred_job_registry) == bus.redis.zcard(bus.keys.held("work", "svc")) == 250
    assert {job.get_status() for job in patient} == {"deferred"}


def test_a_withdrawal_is_heard_by_those_that_need_a_capability(bus: notify.Bus, queue: Queue) -> None:
    with on_watch(bus):
        with bus.service("svc", provides={"print", "scan"}):
            waiting = queue.enqueue(add, needs=PRINTS)
        wait_until(lambda: is_cancelled(waiting), timeout_s=2)


def test_those_that_need_a_capability_stay_while_anybody_has_it(bus: notify.Bus, queue: Queue, watcher: LossWatcher) -> None:
    with bus.service("two", provides={"print"}):
        with bus.service("one", provides={"print"}):
            waiting = queue.enqueue(add, needs=PRINTS)
        assert watcher.apply_loss("any print") == 0
        assert waiting.outcome is None
    assert watcher.apply_loss("any print") == 1


def test_the_lost_capability_is_found_at_the_start(bus: notify.Bus, queue: Queue) -> None:
    with bus.service("svc", provides={"print"}):
        waiting = queue.enqueue(add, needs=PRINTS)
    with on_watch(bus):
        wait_until(lambda: is_cancelled(waiting), timeout_s=2)


@pytest.mark.parametrize("on_loss", ["cancel", "hold"])
def test_a_run_goes_on_for_its_grace_and_is_checked_when_that_is_over(
    bus: notify.Bus, queue: Queue, watcher: LossWatcher, stops: Stops, on_loss: Any
) -> None:
    with bus.service("svc"):
        run = start(bus, queue.enqueue(add_with_svc, on_loss=on_loss, grace_s=0.5))
        watcher.watch(run)
    assert 0 < watcher.check() <= 0.5
    assert stops == []
    wait_until(lambda: watcher.check() and stops)
    assert stops == [(run, RunCheck(may_run=False, lost="svc"))]


def test_without_a_loss_the_next_look_is_at_the_usual_time(bus: notify.Bus, queue: Queue, watcher: LossWatcher) -> None:
    assert watcher.check() == CHECK_S
    with bus.service("svc"):
        watcher.watch(start(bus, queue.enqueue(add_with_svc, grace_s=0.01)))
        assert watcher.check() == CHECK_S


def test_an_open_watcher_stops_a_run_soon_after_its_grace(bus: notify.Bus, queue: Queue) -> None:
    """No event says that the grace is over; the watcher does not wait for its next regular check either."""
    stopped_at: list[float] = []
    watcher = LossWatcher(bus.redis, lambda run, found: stopped_at.append(time.monotonic()))
    watcher.open()
    try:
        with bus.service("svc"):
            watcher.watch(start(bus, queue.enqueue(add_with_svc, grace_s=0.2)))
        lost_at = time.monotonic()
        wait_until(lambda: stopped_at)
    finally:
        watcher.close()
    assert 0.1 < stopped_at[0] - lost_at < 0.7


def test_the_return_of_a_service_is_passed_on(bus: notify.Bus) -> None:
    came = threading.Event()
    watcher = LossWatcher(bus.redis, lambda run, found: None, returned=came.set)
    watcher.open()
    try:
        lost = came.wait(0.05)
        with bus.service("svc"):
            assert came.wait(5)
    finally:
        watcher.close()
    assert not lost
