"""Jobs written into Redis by hand, and commands that no worker can obey."""

from typing import Any

import notify
from workers import Job

MALFORMED_COMMANDS = [
    b"",
    b"not json",
    b"[]",
    b"3",
    b"null",
    b"{}",
    b'{"command": 3}',
    b'{"command": null}',
    b'{"command": "dance"}',
    b'{"command": "stop-job"}',
    b'{"command": "stop-job", "job_id": {}}',
    b'{"command": "stop-job", "job_id": "nowhere"}',
    b'{"command": "\xff"}',
    b"\xff\xfe",
    b"[" * 50_000,
    b'{"command":' + b"[" * 50_000,
]


def forge(bus: notify.Bus, job_id: str, data: bytes | str, **fields: str) -> Job:
    """Write a job into Redis by hand."""
    whole: dict[str, Any] = {"status": "queued", "origin": "work", "created_at": "2026-01-01T00:00:00Z", "timeout": "10", **fields}
    bus.redis.hset(f"rq:job:{job_id}", mapping={**whole, "data": data})
    bus.redis.rpush("rq:queue:work", job_id)
    return Job(job_id, connection=bus.redis)


def a_call(function: str) -> str:
    return f'["{function}",null,[],{{}}]'


def error_of(job: Job) -> str:
    """The last line of the traceback of a failed job."""
    result = job.latest_result()
    return "" if result is None else (result.exc_string or "").strip().splitlines()[-1]
