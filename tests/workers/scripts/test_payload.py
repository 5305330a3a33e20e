"""What comes from strangers is refused before it is read, and counted, and the worker goes on."""

import subprocess
import sys
import zlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import rq

import notify
from notify import PayloadTooLargeError
from notify.testing import PrivateServer, wait_until
from tests.support.faults import everything
from tests.support.forged_jobs import MALFORMED_COMMANDS, a_call, error_of, forge
from tests.support.sample_jobs import add, heed
from tests.workers.conftest import SAMPLE, Effects, StartWorkers, claim_next
from workers import Job, JobTooLargeError, Outcome, Queue, Worker
from workers.jobs.call import function_of, plain_call
from workers.scripts.payload import unpacked

ConnectTo = Callable[..., notify.Bus]

LIMIT = notify.Settings().max_payload_bytes
DEEP = 20_000
"""Brackets: more than any parser of JSON takes, and far below the limit."""


def call_of(size: int) -> bytes:
    """A valid call of so many bytes."""
    empty = f'["{SAMPLE}.add",null,[""],{{}}]'
    return empty.replace('""', f'"{"x" * (size - len(empty))}"').encode()


STRANGE: dict[str, tuple[bytes | str, str]] = {
    "no-json": ("{nonsense", r"job no-json cannot be run: its call cannot be read \(Expected `array`, got `object`\)"),
    "no-call": ('{"a":1}', r"job no-call cannot be run: its call cannot be read \("),
    "a-pickle": (
        b"\x80\x04\x8c\x02os\x8c\x06getcwd\x93)R.",
        "job a-pickle cannot be run: plain RQ pickled its call, which is never unpickled here",
    ),
    "deep": (
        f'["{SAMPLE}.add",null,[{"[" * DEEP}{"]" * DEEP}],{{}}]',
        r"job deep cannot be run: its call cannot be read \(maximum recursion depth",
    ),
    "too-large": (call_of(LIMIT + 1), f"the call of job too-large has {LIMIT + 1} bytes, the limit is {LIMIT}"),
    "far-too-large": (call_of(20 * LIMIT), f"the call of job far-too-large has {20 * LIMIT} bytes, the limit is {LIMIT}"),
    "unpacks": (
        zlib.compress(call_of(20 * LIMIT)),
        f"job unpacks cannot be run: its call unpacks into more than the limit of {LIMIT} bytes",
    ),
    "unknown": (a_call("os.getcwd"), "workers.errors.JobRefusedError: job unknown calls os.getcwd"),
    "unmarked": (a_call(f"{SAMPLE}.unmarked"), "workers.errors.JobRefusedError: job unmarked calls"),
}


def commands(job: Job) -> list[bytes]:
    """Commands that a worker does not obey."""
    stop = msgspec.json.encode({"command": "stop-job", "job_id": job.id})
    return [*MALFORMED_COMMANDS, stop + b" " * LIMIT, stop.replace(b"}", b',"and":' + b"[" * DEEP + b"]" * DEEP + b"}")]


def test_malformed_oversized_and_unknown_jobs_fail_and_the_worker_continues(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    """Experiment 24, with jobs and commands that were written by hand. The worker counts the refused jobs as failed."""
    refused = {job_id: forge(bus, job_id, data, **{"failure_ttl": "60"}) for job_id, (data, _) in STRANGE.items()}
    (process,) = start_workers().processes
    for job_id, job in refused.items():
        outcome = job.wait(10)
        assert outcome is not None
        assert outcome.status == "failed"
        assert_matches(error_of(job), STRANGE[job_id][1])
        assert bus.redis.hget(job.key, "data") == stored(STRANGE[job_id][0])
    (worker,) = rq.Worker.all(connection=bus.redis)
    assert sorted(queue.failed_job_registry.get_job_ids()) == sorted(STRANGE)
    running = queue.enqueue(heed, "x")
    effects.wait_for("x:begun")
    for command in commands(running):
        assert bus.redis.publish(f"rq:pubsub:{worker.name}", command) == 1
    bus.redis.publish(f"rq:pubsub:{worker.name}", '{"command": "stop-job", "job_id": "another"}')
    assert running.outcome is None
    running.cancel()
    assert queue.enqueue(add, "good").wait(10) == Outcome("finished")
    worker.refresh()
    assert (worker.failed_job_count, worker.successful_job_count) == (len(STRANGE) + 1, 1)  # RQ counts what was stopped as failed
    assert (effects["added"], effects["good"], process.poll()) == (0, 1, None)
    assert queue.started_job_registry.get_job_ids() == []


def test_only_a_short_and_well_formed_command_is_obeyed(bus: notify.Bus, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker's thread for commands gets each of them."""
    obeyed: list[str] = []
    worker, job = Worker(["work"], connection=bus.redis, modules=[SAMPLE]), queue.enqueue(add)
    monkeypatch.setattr(worker._stopper, "obey_stop", lambda job_id, fence=None: obeyed.append(job_id))
    for command in commands(job):
        worker.handle_payload({"data": command})
    assert set(obeyed) <= {"None", "{}", "nowhere"}  # of the malformed ones
    worker.handle_payload({"data": msgspec.json.encode({"command": "stop-job", "job_id": job.id})})
    assert obeyed[-1] == job.id
    worker.teardown()


def stored(data: bytes | str) -> bytes:
    return data.encode() if isinstance(data, str) else data


def assert_matches(text: str, start: str) -> None:
    __tracebackhide__ = True
    with pytest.raises(ValueError, match=f"^{start}"):
        raise ValueError(text)


@pytest.mark.any_server
def test_plain_rq_runs_any_path_and_is_deaf_after_one_malformed_command(bus: notify.Bus, server: PrivateServer) -> None:
    """The twin of experiment 24: RQ runs the jobs, far too large or not, and its thread for commands dies."""
    by_path = rq.Queue("plain", connection=bus.redis, serializer="json").enqueue("os.getcwd")
    large = rq.Queue("plain", connection=bus.redis, serializer="json").enqueue("builtins.len", "x" * 20 * LIMIT)
    work = "import rq, redis, sys; rq.Worker(['plain'], connection=redis.Redis.from_url(sys.argv[1]), serializer='json').work()"
    worker = subprocess.Popen([sys.executable, "-c", work, server.url], start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        for job in (by_path, large):
            wait_until(lambda job=job: job.get_status() == "finished", timeout_s=10)  # type: ignore[misc]  # mypy sees no type for it
        assert large.return_value() == 20 * LIMIT
        (channel,) = wait_until(lambda: bus.redis.pubsub_channels("rq:pubsub:*"), timeout_s=10)
        assert bus.redis.publish(channel, "not json") == 1
        command = msgspec.json.encode({"command": "shutdown"})
        bus.redis.publish(channel, command)
        with pytest.raises(subprocess.TimeoutExpired):
            worker.wait(1.5)
    finally:
        worker.kill()
        worker.wait()


def test_a_call_above_the_limit_is_not_even_sent_to_the_worker(bus: notify.Bus) -> None:
    forge(bus, "j", call_of(20 * LIMIT), needs='{"svc":0}', on_loss="ignore")
    for again in (False, True):
        claim = claim_next(bus, again=again)
        assert claim.answer == "started"
        assert len(msgspec.json.encode({name.decode(): value.decode() for name, value in claim.fields.items()})) < 1_000
        assert claim.problem.startswith(f"the call of job j has {20 * LIMIT} bytes, the limit is {LIMIT}: send less")


def test_a_call_at_the_limit_is_run_and_one_above_it_never_enqueued(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    at_most = "x" * (LIMIT - len(call_of(0 + len(f'["{SAMPLE}.add",null,[""],{{}}]'))))
    with pytest.raises(JobTooLargeError, match=rf"the call of {SAMPLE}.add has {LIMIT + 1} bytes, the limit is {LIMIT}: send less") as told:
        queue.enqueue(add, at_most + "x")
    assert isinstance(told.value, PayloadTooLargeError)
    assert everything(bus.redis) == {}
    with pytest.raises(JobTooLargeError):
        queue.enqueue_many([queue.prepare_data(add, ["a"]), queue.prepare_data(add, [at_most + "x"])])
    assert everything(bus.redis) == {}
    start_workers()
    assert queue.enqueue(add, at_most).wait(10) == Outcome("finished")
    assert effects[at_most] == 1


def test_the_limit_is_that_of_the_settings(server: PrivateServer, bus: notify.Bus, connect_to: ConnectTo) -> None:
    narrow, wide = (connect_to(server, max_payload_bytes=size) for size in (300, 20 * LIMIT))
    with pytest.raises(JobTooLargeError, match="the limit is 300"):
        Queue("work", connection=narrow.redis).enqueue(add, "x" * 300)
    job = Queue("work", connection=wide.redis).enqueue(add, "x" * 10 * LIMIT)
    assert claim_next(wide).problem == ""
    assert list(job.args) == ["x" * 10 * LIMIT]


@pytest.mark.parametrize("data", [b"", b"[]", call_of(99), zlib.compress(call_of(99))[:-1], zlib.compress(b"x")[:2]])
def test_data_that_is_not_wholly_compressed_is_left_alone(data: bytes) -> None:
    assert unpacked(data, max_bytes=100) == data


def test_compressed_data_is_unpacked_once_and_up_to_the_limit(bus: notify.Bus) -> None:
    assert unpacked(zlib.compress(call_of(100)), max_bytes=100) == call_of(100)
    with pytest.raises(ValueError, match="more than the limit of 99 bytes"):
        unpacked(zlib.compress(call_of(100)), max_bytes=99)
    twice = forge(bus, "twice", zlib.compress(zlib.compress(call_of(20 * LIMIT))))
    twice.refresh()
    assert len(twice.data) < LIMIT
    bomb = forge(bus, "bomb", zlib.compress(call_of(20 * LIMIT)))
    bomb.refresh()
    assert (bomb.data, bomb.problem) == (b"", f"its call unpacks into more than the limit of {LIMIT} bytes")


def test_the_function_of_a_call_that_is_too_deep_is_none(bus: notify.Bus) -> None:
    fields: Any = {b"data": f'["{SAMPLE}.add",null,[{"[" * DEEP}{"]" * DEEP}],{{}}]'.encode()}
    assert (function_of(fields, {}), plain_call(fields, {})) == (None, None)
