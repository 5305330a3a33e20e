"""What people change by hand: queues and recurring jobs are paused, jobs are released."""

from datetime import timedelta

import notify
from tests.cli.conftest import Shell
from tests.support import sample_jobs
from tests.support.cron_jobs import at_four
from workers import Queue
from workers.schedule import register_cron

AT_FOUR = "tests.support.cron_jobs.at_four"


def test_a_queue_is_paused_and_resumed(shell: Shell, bus: notify.Bus) -> None:
    job = Queue("work", connection=bus.redis).enqueue(sample_jobs.add, "x")
    assert shell.run("queues", "pause", "work").out == "work is paused\n"
    assert shell.run("queues", "pause", "work", "--json").records == [{"queue": "work", "paused": True, "changed": False}]
    assert [queue["paused"] for queue in shell.run("queues", "--json").records] == [True]
    assert "its queue is paused: notify queues resume work" in shell.run("job", "explain", job.id).out
    assert shell.run("queues", "resume", "work").out == "work goes on\n"
    assert shell.run("queues", "resume", "work").out == "work is not paused\n"
    nope = shell.run("queues", "pause", "nope")
    assert (nope.code, "no queue 'nope'" in nope.err) == (1, True)


def test_a_recurring_job_is_paused_resumed_and_run_now(shell: Shell, bus: notify.Bus) -> None:
    register_cron(bus.redis, "w", {AT_FOUR: at_four})
    assert shell.run("cron", "pause", AT_FOUR).out == f"{AT_FOUR} is paused\n"
    assert [job["paused"] for job in shell.run("cron", "--json").records] == [True]
    job_id = shell.run("cron", "run", AT_FOUR).out.strip()
    assert Queue("work", connection=bus.redis).job_ids == [job_id]
    assert shell.run("cron", "resume", AT_FOUR).out == f"{AT_FOUR} goes on\n"
    assert "there is no recurring job 'nope'" in shell.run("cron", "run", "nope").err


def test_jobs_are_released(shell: Shell, bus: notify.Bus) -> None:
    queue = Queue("work", connection=bus.redis)
    one, two = (queue.enqueue_in(timedelta(hours=1), sample_jobs.add, "x") for _ in range(2))
    assert shell.run("job", "release", one.id).out == f"{one.id} waits on work now\n"
    again = shell.run("job", "release", one.id)
    assert (again.code, "only a job that is held, deferred or scheduled is released" in again.err) == (1, True)
    assert shell.run("job", "release", "--all", "--status", "scheduled", "--yes").code == 0
    assert queue.job_ids == [one.id, two.id]
