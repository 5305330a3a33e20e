"""Each line that a job logs says which job it is of, and is published if that is wanted."""

import json
from typing import Any

import pytest
from rq import Retry

import notify
from notify.history import histories_of_topics, read_history
from notify.testing import wait_until
from tests.support.logging_jobs import fail_with_a_line, tell, tell_beside, try_again
from tests.workers.conftest import StartWorkers
from workers import Job, Queue
from workers.jobs import attempt_of
from workers.worker import job_log

MODULE = "tests.support.logging_jobs"
FIELDS = {"job", "queue", "function", "run", "worker", "attempt"}


def lines_of(capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]


def published(bus: notify.Bus, job: Job, count: int) -> list[Any]:
    with bus.subscribe(bus.keys.job_log_topic(job.id), since="start") as events:
        found = [events.get(5) for _ in range(count)]
        assert events.get(0.05) is None
    return [event.contents for event in found]


def test_each_line_of_a_job_and_of_its_end_has_the_fields_of_the_run(
    queue: Queue, start_workers: StartWorkers, capfd: pytest.CaptureFixture[str]
) -> None:
    pool = start_workers(modules=(MODULE,), log_format="json", log_level="INFO")
    done, failed = queue.enqueue(tell, "one"), queue.enqueue(fail_with_a_line, retry=Retry(max=1))
    assert done.wait(15).status == "finished"
    assert failed.wait(15).status == "failed"
    pool.close(grace_s=5)
    lines = lines_of(capfd)
    of_done = [line for line in lines if line.get("job") == done.id]
    assert {line["message"].partition(f"{done.id} ")[2].partition(" in ")[0] or line["message"] for line in of_done} == {
        "one",
        "quietly",
        "started",
        "finished",
    }
    assert all(set(line) >= FIELDS for line in of_done)
    assert len({line["run"] for line in of_done}) == 1
    assert {(line["worker"], line["queue"], line["attempt"]) for line in of_done} == {(pool.names[0], "work", 1)}
    (told,) = [line for line in of_done if line["message"] == "one"]
    assert (told["logger"], told["level"], told["colour"]) == ("yard", "WARNING", "red")
    attempts = [line["attempt"] for line in lines if line.get("job") == failed.id and line["message"] == "about to fail"]
    assert attempts == [1, 2]
    ends = [(line["status"], line["attempt"]) for line in lines if line.get("job") == failed.id and "status" in line]
    assert ends == [("failed", 1), ("failed", 2)]


def test_in_text_the_lines_of_a_job_end_with_the_fields(
    queue: Queue, start_workers: StartWorkers, capfd: pytest.CaptureFixture[str]
) -> None:
    pool = start_workers(modules=(MODULE,))
    job = queue.enqueue(tell, "one")
    assert job.wait(15).status == "finished"
    pool.close(grace_s=5)
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "yard one" in line]
    assert f"[job={job.id} queue=work function={MODULE}.tell run=" in line
    assert line.endswith("attempt=1]")


def test_lines_of_jobs_side_by_side_are_each_of_their_own_job(
    queue: Queue, start_workers: StartWorkers, capfd: pytest.CaptureFixture[str]
) -> None:
    pool = start_workers(modules=(MODULE,), log_format="json")
    jobs = {f"word{number}": queue.enqueue(tell_beside, f"word{number}") for number in range(5)}
    assert all(job.wait(15).status == "finished" for job in jobs.values())
    pool.close(grace_s=5)
    assert {line["message"]: line["job"] for line in lines_of(capfd) if line["logger"] == "yard"} == {w: job.id for w, job in jobs.items()}


def test_a_job_that_returns_a_retry_counts_its_attempts(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, capfd: pytest.CaptureFixture[str]
) -> None:
    start_workers(modules=(MODULE,), log_format="json", job_logs="WARNING")
    job = queue.enqueue(try_again)
    assert job.wait(15).status == "finished"
    assert [line["attempt"] for line in published(bus, job, 2)] == [1, 2]
    assert attempt_of(Job.fetch(job.id, connection=bus.redis)) == 2


def test_what_a_job_logs_is_published_on_a_topic_that_ends_within_hours(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, capfd: pytest.CaptureFixture[str]
) -> None:
    pool = start_workers(modules=(MODULE,), job_logs="INFO")
    job = queue.enqueue(tell, "one", "two")
    assert job.wait(15).status == "finished"
    lines = published(bus, job, 3)
    assert [(line["message"], line["level"]) for line in lines] == [("one", "WARNING"), ("two", "WARNING"), ("quietly", "INFO")]
    assert {line["worker"] for line in lines} == {pool.names[0]}
    topic = bus.keys.job_log_topic(job.id)
    assert topic not in bus.topics()
    assert topic not in histories_of_topics(read_history(bus.redis))
    assert bus.redis.zrange(bus.keys.job_logs, 0, -1) == [topic.encode()]
    for key in (bus.keys.log(topic), bus.keys.topic(topic), bus.keys.job_logs):
        assert 0 < bus.redis.pttl(key) <= 2 * job_log.KEPT_MS
    pool.close(grace_s=5)
    assert "quietly" not in capfd.readouterr().err, "the level of stderr is its own"


def test_without_the_option_nothing_is_published(bus: notify.Bus, queue: Queue, start_workers: StartWorkers) -> None:
    start_workers(modules=(MODULE,))
    job = queue.enqueue(tell, "one")
    assert job.wait(15).status == "finished"
    assert not bus.redis.exists(bus.keys.job_logs)


def test_a_run_publishes_so_many_lines_and_no_more(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_workers(modules=(MODULE,), job_logs="INFO")
    job = queue.enqueue(tell, *(f"word {number} {'x' * 5_000}" for number in range(3)), *["y"] * job_log.MOST)
    wait_until(lambda: job.outcome, timeout_s=60)
    last = bus.redis.xrevrange(bus.keys.log(bus.keys.job_log_topic(job.id)), count=1)[0][1][b"data"]
    assert job_log.TOO_MANY in last.decode()
    assert bus.redis.xlen(bus.keys.log(bus.keys.job_log_topic(job.id))) < 2 * job_log.KEPT
