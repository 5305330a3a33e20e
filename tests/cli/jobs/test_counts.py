"""``notify history``: what happened, in numbers."""

import pytest

import notify
from tests.cli.conftest import Shell
from tests.support.sample_jobs import add
from workers import Queue

PATH = "tests.support.sample_jobs.add"


def test_it_shows_jobs_by_function_and_by_minute(shell: Shell, bus: notify.Bus) -> None:
    queue = Queue("work", connection=bus.redis)
    queue.enqueue_many([Queue.prepare_data(add) for _ in range(3)])
    queue.enqueue(add).cancel()
    (row,) = shell.run("history", "--json").records
    assert (row["queue"], row["function"], row["enqueued"], row["cancelled"]) == ("work", PATH, 4, 1)
    assert row["work_p95_s"] is None
    minutes = shell.run("history", "--since", "10m", "--step", "minute", "--function", PATH, "--json").records
    assert len(minutes) == 11
    assert sum(each["enqueued"] for each in minutes) == 4
    assert shell.run("history", "--queue", "other", "--json").records == []
    assert len(shell.run("history", "--since", "3d", "--step", "hour", "--json").records) == 73
    assert shell.run("history").lines[0].split("\t")[:3] == ["work", PATH, "4"]


def test_it_shows_topics_services_and_requests(shell: Shell, bus: notify.Bus) -> None:
    bus.publish("t", 1)
    with bus.service("svc", ttl_s=60):
        pass
    assert shell.run("history", "--topic", "t", "--json").records == [{"topic": "t", "events": 1, "gaps": 0}]
    (row,) = shell.run("history", "--service", "svc", "--json").records
    assert (row["registered"], row["withdrawn"], row["killed"]) == (1, 1, 0)
    assert shell.run("history", "--of", "requests", "--service", "svc", "--json").records == []
    assert "no requests were counted since 1h" in shell.show("history", "--of", "requests")[1]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--of", "stars"], "'stars' is not kept"),
        (["--step", "year"], "'year' is no step"),
        (["--since", "noon"], "'noon' is no time"),
        (["--since", "40d"], "'40d' is not in the last month"),
        (["--topic", "t", "--queue", "work"], "--queue selects no topics"),
    ],
)
def test_what_cannot_be_shown_is_refused(shell: Shell, bus: notify.Bus, arguments: list[str], problem: str) -> None:
    code, _, err = shell.run("history", *arguments)
    assert code == 2
    assert problem in err


def test_the_progress_of_a_job_is_a_bar_while_it_is_awaited(shell: Shell, bus: notify.Bus) -> None:
    job = Queue("work", connection=bus.redis).enqueue(add)
    kept = '{"fence":"f","done":40,"total":100,"message":"[/b]loading\\u001b[31m","at_ms":5}'
    bus.redis.hset(job.key, mapping={"status": "started", "fence": "f", "progress": kept})
    code, shown = shell.show("job", "wait", job.id, "--timeout", "1.2")
    assert code == 1
    assert "40 of 100 (40 %), [/b]loading\\x1b[31m" in shown
    assert "40 of 100" not in shell.run("job", "wait", job.id, "--timeout", "0.1").err
    (record,) = shell.run("job", "show", job.id, "--json").records
    assert record["progress"] == {"done": 40, "total": 100, "message": "[/b]loading\x1b[31m", "at_ms": 5, "percent": 40}
    assert '"percent":40' in shell.run("job", "show", job.id).out
