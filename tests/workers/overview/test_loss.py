"""The preview of a loss."""

import rq

import notify
from notify.testing import wait_until
from tests.support.sample_jobs import add, hold
from workers import Queue, Stake, preview_loss


def test_jobs_are_counted_by_queue_and_policy_and_nothing_is_changed(bus: notify.Bus, queue: Queue) -> None:
    other = Queue("other", connection=bus.redis)
    with bus.service("svc"), bus.service("another"):
        waiting = [queue.enqueue(add, needs="svc") for _ in range(3)]
        queue.enqueue(add, needs=["svc", "another"], on_loss="drain")
        queue.enqueue(add, needs="another")
        queue.enqueue(add)
        other.enqueue(add, needs="svc", on_loss="ignore")
        expected = [Stake("other", "ignore", 1, 0), Stake("work", "cancel", 3, 0), Stake("work", "drain", 1, 0)]
        assert preview_loss(bus.redis, "svc") == expected
        assert preview_loss(bus.redis, "svc") == expected
        assert [job.get_status() for job in waiting] == ["queued"] * 3


def test_running_and_waiting_jobs_are_counted_separately(bus: notify.Bus, queue: Queue, start_workers, effects) -> None:
    with bus.service("svc"):
        start_workers()
        queue.enqueue(hold, "gate", needs="svc")
        effects.wait_for("gate:begun")
        queue.enqueue(add, needs="svc")
        assert preview_loss(bus.redis, "svc") == [Stake("work", "cancel", 1, 1)]
        effects.let_go("gate")
        wait_until(lambda: preview_loss(bus.redis, "svc") == [])


def test_a_service_that_no_job_needs_affects_no_job(bus: notify.Bus) -> None:
    assert preview_loss(bus.redis, "nobody") == []


def test_held_jobs_count_as_waiting(bus: notify.Bus, queue: Queue) -> None:
    queue.enqueue(add, needs="svc", on_loss="hold")
    with bus.service("svc"):
        queue.enqueue(add, needs="svc", on_loss="hold")
        assert preview_loss(bus.redis, "svc") == queue.preview_loss("svc") == [Stake("work", "hold", 2, 0)]


def test_jobs_that_need_a_capability_count_with_its_last_provider(bus: notify.Bus, queue: Queue) -> None:
    with bus.service("one", provides={"print"}):
        queue.enqueue(add, needs=notify.provides("print"))
        queue.enqueue(add, needs=["one", notify.provides("print")], on_loss="drain")
        both = [Stake("work", "cancel", 1, 0), Stake("work", "drain", 1, 0)]
        assert preview_loss(bus.redis, "one") == both
        with bus.service("two", provides={"print"}):
            assert (preview_loss(bus.redis, "one"), preview_loss(bus.redis, "two")) == ([Stake("work", "drain", 1, 0)], [])


def test_a_job_cancelled_by_rqs_tools_does_not_count(bus: notify.Bus, queue: Queue) -> None:
    with bus.service("svc"):
        first, _ = queue.enqueue(add, needs="svc"), queue.enqueue(add, needs="svc")
        rq.job.Job.fetch(first.id, connection=bus.redis).cancel()
        assert preview_loss(bus.redis, "svc") == [Stake("work", "cancel", 1, 0)]
