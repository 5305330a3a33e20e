"""The loop of claims, without a server and without processes: each step is decided by the test."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import rq
from rq.exceptions import StopRequested

from notify.errors import ServerUnreachableError
from tests.support.claims_here import FakeClaims, FakeConnection, FakeHold, FakeHorse, NoGroup, a_claim, no_claim, returned
from workers import HorseError, JobDefinitionError
from workers.horse.channel import Reply, Task
from workers.horse.horse import UNKNOWN
from workers.line import Line, Window
from workers.scripts import Claim, Refill
from workers.scripts.fences import Fences
from workers.scripts.run import Run
from workers.worker import claimer, end_waiter, idle
from workers.worker.current_run import CurrentRun
from workers.worker.loop import ClaimLoop

QUEUE = SimpleNamespace(name="work", key="rq:queue:work")
AWAY = ServerUnreachableError("gone for a moment")


class Situation:
    """A loop and what it works with, all of which records what it is asked."""

    def __init__(self, *answers: Claim | Refill | Exception, horse: FakeHorse | None = None, window: int = 1) -> None:
        self.events: list[Any] = []
        self.current, self.claims, self.horse = CurrentRun(), FakeClaims(*answers), horse or FakeHorse()
        self.hold = FakeHold()
        self.while_watched: Callable[[], object] = lambda: None
        """Called between the claim of a run and its start."""
        self.worker = SimpleNamespace(
            name="w",
            job_class=rq.job.Job,
            connection=None,
            _client=None,
            job_monitoring_interval=30,
            log=SimpleNamespace(isEnabledFor=lambda _: False, info=lambda *_: None),
            reorder_queues=lambda reference_queue: None,
            send_run_heartbeat=lambda job, working_s: self.events.append("heartbeat"),
            kill_horse=lambda: self.events.append("killed"),
            get_heartbeat_ttl=lambda job: 90,
            _dequeue_strategy=None,
            _stop_requested=False,
            _ordered_queues=[QUEUE],
            queue_names=lambda: [QUEUE.name],
        )
        watcher = SimpleNamespace(watch=lambda run: self.while_watched(), release=lambda: None)
        stopper = SimpleNamespace(check_run=lambda run: self.current.mark_stopped("early"))
        recorder = SimpleNamespace(
            record=lambda job, queue, end: self.events.append(("record", job.id, end)),
            refused=lambda job, queue: self.events.append(("refused", job.id)),
            finished_with_dependents=lambda job, queue, ended: self.events.append(("dependents", job.id, ended)),
        )
        horse: Any = self.horse
        self.line = Line(horse, Fences(), self.current.lock)
        parts: Any = {"claims": self.claims, "line": self.line, "window": Window(window), "stopper": stopper, "recorder": recorder}
        parts["callbacks"] = SimpleNamespace(call_all=lambda: None, note_end=lambda claim, end: None, are_due=False)
        self.connection = FakeConnection()
        others: Any = {"background": SimpleNamespace(loss_watcher=watcher), "functions": {}, "connection": self.connection}
        worker: Any = self.worker
        others |= {"hold": self.hold, "wait_while_suspended": self.events.append, "abandon": self.events.append, "lease_s": 5.0}
        others["make_group"] = NoGroup
        self.loop = ClaimLoop(worker, self.current, **parts, **others)

    def next_job(self) -> Any:
        """Claim the next job in a burst. Returns it, or ``None``."""
        taken = self.loop.next_job(None, None)
        return taken and taken[0]

    def run(self) -> None:
        """Claim a job and wait for its end."""
        self.loop.execute(self.next_job(), QUEUE)


def test_a_worker_that_has_lost_its_name_claims_nothing_and_records_nothing() -> None:
    its = Situation(a_claim("j"), horse=FakeHorse(returned()))
    its.run()
    its.hold.is_lost = True
    for act in (its.next_job, its.loop.record_returned):
        with pytest.raises(StopRequested):
            act()
    its.loop.drain()
    assert len(its.claims.asked) == 1
    assert its.loop.unfinished() == [Run("j", "f")]


@pytest.mark.parametrize("is_lost", [True, False])
def test_a_run_that_goes_on_is_announced_unless_another_worker_has_the_name(is_lost: bool) -> None:
    """The worker was frozen just after the run had begun: what the server holds under its name belongs to its successor."""
    its = Situation(a_claim("j"), horse=FakeHorse(None, returned()))
    job = its.next_job()
    its.hold.is_lost = is_lost
    its.loop.execute(job, QUEUE)
    assert [each.goes_on for each in its.claims.given_back] == ([] if is_lost else [Run("j", "f")])


def test_a_claimed_run_is_given_to_the_horse_with_its_fence() -> None:
    its = Situation(a_claim("j", fence="f", fields={b"origin": b"work"}))
    assert its.next_job().id == "j"
    (task,) = its.horse.given
    assert Task(task.job_id, task.fence, task.queue, task.fields) == Task("j", "f", "work", {b"origin": b"work"})
    assert (its.current.run, its.current.horse_pid) == (Run("j", "f"), its.horse.pid)


def test_a_run_that_is_stopped_between_claim_and_start_is_not_given_to_the_horse() -> None:
    its = Situation(a_claim("j", fields={b"needs": b"{}"}))
    its.while_watched = lambda: its.current.mark_stopped("why")
    its.run()
    assert (its.horse.given, its.events) == ([], [("record", "j", None)])


def test_a_stop_of_an_earlier_run_does_not_keep_the_next_from_starting() -> None:
    first, second = (a_claim("j", fence=fence, fields={b"needs": b"{}"}) for fence in "12")
    its = Situation(first, second, horse=FakeHorse(Reply(stopped=True)))
    its.next_job()
    its.current.mark_stopped("why")
    its.loop.execute(SimpleNamespace(id="j", timeout=10), QUEUE)
    its.next_job()
    assert [task.fence for task in its.horse.given] == ["1", "2"]


def test_a_run_whose_stop_came_before_the_answer_to_its_claim_is_not_given() -> None:
    its = Situation(a_claim("j"))
    its.current.expect_stop("j")
    its.run()
    assert (its.horse.given, its.events) == ([], [("record", "j", None)])


def test_an_early_stop_of_another_job_stops_nothing() -> None:
    its = Situation(a_claim("j"))
    its.current.expect_stop("k")
    its.next_job()
    assert len(its.horse.given) == 1


def test_the_end_of_a_function_that_returned_is_recorded_by_the_next_claim() -> None:
    its = Situation(a_claim("j"), a_claim("k", ended="finished"), horse=FakeHorse(returned("j"), returned("k")))
    its.run()
    assert its.current.run == Run("j", "f"), "until its end is recorded"
    its.run()
    assert [asked.ended for asked in its.claims.asked] == [[], [returned("j").ended]]
    assert its.events == []


def test_what_returned_can_be_recorded_without_a_claim() -> None:
    its = Situation(a_claim("j"), no_claim(ended="finished"), horse=FakeHorse(returned("j")))
    its.run()
    for _ in range(2):
        its.loop.record_returned()
    assert [asked.queues for asked in its.claims.asked] == [[QUEUE.key], []]
    assert its.current.run is None


def test_a_claim_that_is_not_answered_is_repeated_with_the_same_fence(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have started a job: with another fence that job would be lost."""
    monkeypatch.setattr("notify.server.backoff.FIRST_PAUSE_S", 0.0001)
    its = Situation(AWAY, a_claim("j"))
    assert its.next_job().id == "j"
    first, second = its.claims.asked
    assert (first.fence, first.again, second.again) == (second.fence, False, True)


def test_each_claim_has_a_fence_of_its_own() -> None:
    its = Situation(no_claim(), no_claim())
    assert (its.next_job(), its.next_job()) == (None, None)
    assert len({asked.fence for asked in its.claims.asked}) == 2


@pytest.mark.parametrize(("answer", "event"), [("stopped", ("refused", "j")), ("dependents", ("dependents", "j", returned("j").ended))])
def test_an_end_that_a_claim_does_not_record_is_recorded_before_the_next_claim(answer: str, event: Any) -> None:
    its = Situation(a_claim("j"), no_claim(ended=answer), no_claim(), horse=FakeHorse(returned("j")))
    its.run()
    assert its.next_job() is None
    assert (its.events, its.current.run) == ([event], None)
    assert [asked.ended for asked in its.claims.asked] == [[], [returned("j").ended], []]


def test_a_worker_that_is_to_end_gives_up_a_server_that_is_away() -> None:
    its = Situation(a_claim("j"), AWAY, horse=FakeHorse(returned("j")))
    its.run()
    its.loop.leave()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claimer, "LEAVE_S", -1.0)
        with pytest.raises(StopRequested):
            its.next_job()
    its.loop.record_returned()  # the attempt is not made once more
    assert len(its.claims.asked) == 2


@pytest.mark.parametrize("is_told", [True, False])
def test_a_request_to_end_that_comes_while_the_loop_opens_is_not_forgotten(monkeypatch: pytest.MonkeyPatch, is_told: bool) -> None:
    """It would wait for a server that is away, however long. The twin worked before, and nobody told it to end."""
    monkeypatch.setattr(idle, "JobWaiter", lambda _: SimpleNamespace(wake=lambda: None))
    its = Situation()
    its.loop.leave()  # as at each end of its work
    its.worker._stop_requested = is_told
    its.loop.open()
    assert its.current.leave_sign.is_up is is_told


def test_an_end_that_the_next_claim_cannot_record_is_recorded_at_once() -> None:
    its = Situation(a_claim("j", fields={b"needs": b"{}"}), horse=FakeHorse(UNKNOWN))
    its.run()
    assert (its.events, its.current.run) == ([("record", "j", UNKNOWN)], None)


def test_a_job_that_cannot_be_read_is_not_given_to_the_horse() -> None:
    its = Situation(Claim("", "started", 0, "j", {}, "f", "it is too large"))
    its.run()
    assert (its.horse.given, its.events) == ([], [("record", "j", Reply(problem="it is too large"))])


def test_a_job_that_was_not_claimed_last_is_refused() -> None:
    its = Situation(a_claim("j"))
    its.next_job()
    with pytest.raises(JobDefinitionError, match="job k was not claimed by this worker"):
        its.loop.execute(SimpleNamespace(id="k"), QUEUE)


def test_heartbeats_are_sent_while_the_horse_runs_the_job() -> None:
    its = Situation(a_claim("j"), horse=FakeHorse(None, None, None, returned("j")))
    its.next_job()
    its.loop.execute(SimpleNamespace(id="j", timeout=10), QUEUE)
    assert its.events == ["heartbeat", "heartbeat"]


@pytest.mark.parametrize("is_short", [True, False])
def test_others_serve_the_queues_while_a_worker_has_a_job_that_is_not_short(is_short: bool) -> None:
    its = Situation(a_claim("j"), horse=FakeHorse(*(() if is_short else (None,)), returned("j")))
    its.next_job()
    its.loop.execute(SimpleNamespace(id="j", timeout=10), QUEUE)
    assert its.claims.left == ([] if is_short else [QUEUE.name])


@pytest.mark.parametrize(("timeout", "killed"), [(1, True), (1000, False), (-1, False), (None, False)])
def test_a_job_that_ignores_its_timeout_is_killed(monkeypatch: pytest.MonkeyPatch, timeout: int | None, killed: bool) -> None:
    monkeypatch.setattr(end_waiter, "OVERDUE_S", -500.0)  # as if it had run for so long
    its = Situation(a_claim("j"), horse=FakeHorse(None, None, UNKNOWN))
    its.next_job()
    its.loop.execute(SimpleNamespace(id="j", timeout=timeout), QUEUE)
    assert ("killed" in its.events) is killed


@pytest.mark.parametrize("fields", [{}, {b"needs": b"{}"}], ids=["plain", "alone"])
def test_a_run_that_no_process_can_begin_is_given_back_and_the_worker_ends(fields: dict[bytes, bytes]) -> None:
    """It has not begun: it must not fail because the fork server has died."""
    its = Situation(a_claim("j", fields=fields), a_claim("k"))
    its.horse.fails = True
    for _ in range(2):
        with pytest.raises(HorseError):
            its.next_job()
    its.loop.drain()
    assert (its.events, its.current.run, [given.runs for given in its.claims.given_back]) == ([], None, [[Run("j", "f")]])


def test_a_worker_whose_fork_server_is_gone_claims_nothing() -> None:
    its = Situation(a_claim("j"))
    its.horse.is_lost = True
    with pytest.raises(HorseError, match="worker w ends"):
        its.next_job()
    assert its.claims.asked == []


def test_the_horse_has_no_run_any_more_when_its_end_is_recorded() -> None:
    """A kill that comes then must not hit the process, which has the next run soon."""
    its = Situation(a_claim("j"), horse=FakeHorse(returned("j")))
    its.run()
    assert (its.current.horse_pid, its.current.over.is_set()) == (0, True)


def test_a_suspended_worker_in_a_burst_waits_for_rq_and_claims_again() -> None:
    its = Situation(no_claim("suspended"), no_claim())
    assert its.next_job() is None
    assert its.events == [True]


def test_a_worker_that_is_to_end_claims_nothing() -> None:
    its = Situation()
    its.worker._stop_requested = True
    with pytest.raises(StopRequested):
        its.next_job()
    assert its.claims.asked == []


def test_a_shutdown_ends_the_wait_for_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    its = Situation(no_claim())
    woken: list[str] = []

    class Waiter:
        """A waiter during whose wait the signal arrives."""

        def __init__(self, client: Any) -> None: ...

        def wait(self, queues: Any, *, timeout_s: float) -> None:
            its.worker._stop_requested = True
            its.loop.leave()

        def wake(self) -> None:
            woken.append("woken")

        def close(self) -> None:
            woken.append("closed")

    monkeypatch.setattr(idle, "JobWaiter", Waiter)
    its.worker.__dict__.update(procline=lambda _: None, queue_names=lambda: ["work"], should_run_maintenance_tasks=False)
    its.loop.open()
    with pytest.raises(StopRequested):
        its.loop.next_job(400, None)
    its.loop.close()
    its.loop.close()
    assert woken == ["woken", "closed"]
