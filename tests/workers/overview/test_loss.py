"""What the loss of a service would do, before it happens."""

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


def test_a_running_job_is_told_from_the_waiting_ones(bus: notify.Bus, queue: Queue, start_workers, effects) -> None:
    with bus.service("svc"):
        start_workers()
        queue.enqueue(hold, "gate", needs="svc")
        effects.wait_for("gate:begun")
        queue.enqueue(add, needs="svc")
        assert preview_loss(bus.redis, "svc") == [Stake("work", "cancel", 1, 1)]
        effects.let_go("gate")
        wait_until(lambda: preview_loss(bus.redis, "svc") == [])


def test_of_a_service_that_nobody_needs_nothing_would_be_lost(bus: notify.Bus) -> None:
    assert preview_loss(bus.redis, "nobody") == []


def test_held_jobs_wait_as_well(bus: notify.Bus, queue: Queue) -> None:
    queue.enqueue(add, needs="svc", on_loss="hold")
    with bus.service("svc"):
        queue.enqueue(add, needs="svc", on_loss="hold")
        assert preview_loss(bus.redis, "svc") == queue.preview_loss("svc") == [Stake("work", "hold", 2, 0)]


def test_jobs_that_need_a_capability_are_at_stake_with_the_last_that_has_it(bus: notify.Bus, queue: Queue) -> None:
    with bus.service("one", provides={"print"}):
        queue.enqueue(add, needs=notify.provides("print"))
        queue.enqueue(add, needs=["one", notify.provides("print")], on_loss="drain")
        both = [Stake("work", "cancel", 1, 0), Stake("work", "drain", 1, 0)]
        assert preview_loss(bus.redis, "one") == both
        with bus.service("two", provides={"print"}):
            assert (preview_loss(bus.redis, "one"), preview_loss(bus.redis, "two")) == ([Stake("work", "drain", 1, 0)], [])


def test_what_was_cancelled_with_rq_s_own_tools_waits_no_more(bus: notify.Bus, queue: Queue) -> None:
    with bus.service("svc"):
        first, _ = queue.enqueue(add, needs="svc"), queue.enqueue(add, needs="svc")
        rq.job.Job.fetch(first.id, connection=bus.redis).cancel()
        assert preview_loss(bus.redis, "svc") == [Stake("work", "cancel", 1, 0)]
