"""The explanation of a job's state."""

import pytest

import notify
from tests.support.sample_jobs import add, hold
from workers import Job, JobNotFoundError, Queue, explain


def test_a_waiting_job_says_its_place_and_who_listens(bus: notify.Bus, queue: Queue) -> None:
    queue.enqueue(add)
    second = queue.enqueue(add)
    text = explain(bus, second)
    assert f"Job {second.id} calls tests.support.sample_jobs.add on queue 'work'" in text
    assert "no worker listens to its queue: start one with notify worker work" in text


def test_the_place_of_a_job_counts_from_the_front(bus: notify.Bus, queue: Queue, start_workers, effects) -> None:
    start_workers()
    running = queue.enqueue(hold, "gate")
    effects.wait_for("gate:begun")
    queue.enqueue(add)
    assert "It is number 2 in the queue; one worker listens." in explain(bus, queue.enqueue(add))
    assert "It runs on worker" in explain(bus, Job.fetch(running.id, connection=bus.redis))
    assert "It waits for the jobs that it depends on" in explain(bus, queue.enqueue(add, depends_on=running))
    effects.let_go("gate")
    running.wait(10)
    assert "It finished after it ran" in explain(bus, Job.fetch(running.id, connection=bus.redis))


def test_a_job_says_what_it_needs_and_what_a_loss_would_do(bus: notify.Bus, queue: Queue) -> None:
    with bus.service("svc"):
        assert "It needs svc (alive); it is cancelled, or stopped" in explain(bus, queue.enqueue(add, needs="svc"))
        assert "once it runs it may finish" in explain(bus, queue.enqueue(add, needs="svc", on_loss="drain"))
        assert "their loss has no effect on it" in explain(bus, queue.enqueue(add, needs="svc", on_loss="ignore"))
    queue.empty()


def test_a_held_job_says_what_it_waits_for_and_until_when(bus: notify.Bus, queue: Queue) -> None:
    text = explain(bus, queue.enqueue(add, needs="svc", on_loss="hold"))
    assert "It is held: svc is not there. It returns to the queue as soon as svc is back." in text
    assert "It needs svc (gone); it is held, or stopped and held if it runs, when one of them is withdrawn" in text
    text = explain(bus, queue.enqueue(add, needs=notify.provides("print"), on_loss="hold", max_hold_s=60))
    assert "It is held: any print is not there. It returns to the queue if any print is back by" in text
    assert "It needs any print (gone)" in text


def test_a_held_job_whose_service_is_back_says_that_it_returns(bus: notify.Bus, queue: Queue) -> None:
    job = queue.enqueue(add, needs="svc", on_loss="hold")
    with bus.service("svc"):
        assert "It is held: svc is back, and held jobs return to the queue a few at a time" in explain(bus, job)


def test_a_job_with_a_grace_says_so(bus: notify.Bus, queue: Queue) -> None:
    with bus.service("svc", provides={"print"}):
        text = explain(bus, queue.enqueue(add, needs=notify.provides("print"), grace_s=2.5))
        assert "It needs any print (alive); it is cancelled, or stopped" in text
        assert "unless it is back within 2.5 s" in text
        queue.empty()


def test_a_cancelled_job_says_why(bus: notify.Bus, queue: Queue) -> None:
    text = explain(bus, queue.enqueue(add, needs="svc"))
    assert "It was cancelled: svc was not there when it was enqueued. It needed svc (gone)." in text


def test_a_job_that_was_cancelled_without_a_reason_does_not_name_one(bus: notify.Bus, queue: Queue) -> None:
    job = queue.enqueue(add)
    job.cancel()
    assert explain(bus, job).endswith("It was cancelled.")


def test_a_deleted_job_is_an_error(bus: notify.Bus, queue: Queue) -> None:
    job = queue.enqueue(add)
    job.delete()
    with pytest.raises(JobNotFoundError):
        explain(bus, job)
