"""Data that would forge lines of a log or a command, or drive a terminal, in every field, name and member that somebody else may write."""

import zlib
from base64 import b64encode
from typing import Any

import msgspec

import notify
from tests.support.spoilt_world import World
from workers.scripts import JobScripts

EVIL = "\x1b]0;t\x07\x1b[2Je\r\n\tforged\x9b2J\u202egnp\u2066\x7f\u2028\x85\x00z"
"""ESC, a title, line breaks, a tab, C1 and bidi controls. What it forges is ``forged``."""
RAW = EVIL.encode()
NO_UTF8 = RAW + b"\xff\xfe"
NAMES = (RAW, NO_UTF8)
JOB = "evil"


def evil_json(value: Any) -> bytes:
    return msgspec.json.encode(value)


class HostileWorld(World):
    """The world of `World`, in which every text that a command may show is `EVIL`."""

    def __init__(self, bus: notify.Bus) -> None:
        super().__init__(bus)
        self._client: Any = bus.redis
        self._services()
        self._topics()
        self._jobs()
        self._queues_and_workers()
        self._cron()

    def _services(self) -> None:
        client, keys = self._client, self.bus.keys
        texts = {"host": RAW, "provides": evil_json(["cap", EVIL]), "groups": evil_json([EVIL]), "metadata": evil_json({EVIL: EVIL})}
        for name in (b"svc", b"back", *NAMES):
            key = keys.service("").encode() + name
            if name != b"svc":
                client.copy(keys.service("svc"), key, replace=True)
            client.hset(key, mapping={**texts, "name": name, "exports": evil_json([EVIL])})
            client.expire(key, 600)
            client.sadd(keys.services, name)
            incarnation = client.hget(key, "incarnation")
            client.zadd(keys.due, {name + b"#" + incarnation: 2**42})
            for index in (keys.provides(EVIL), keys.group(EVIL), keys.provides("cap")):
                client.zadd(index, {name: 1})
                client.expire(index, 600)
        client.hset(keys.service("back"), "state", RAW)
        client.hset(keys.state("svc"), mapping={RAW: evil_json(EVIL), NO_UTF8: NO_UTF8})
        client.hset(keys.tombstone("gone"), mapping={"reason": RAW, "why": RAW})

    def _topics(self) -> None:
        client, keys = self._client, self.bus.keys
        for topic in NAMES:
            client.zadd(keys.topics, {topic: 2**42})
            for key in (keys.topic(""), keys.log(""), keys.retained("")):
                client.copy(key + "anything", key.encode() + topic)
                client.expire(key.encode() + topic, 600)
        event = {"id": "1-0@e", "topic": EVIL, "time": "2026-01-01T00:00:00Z", "source": EVIL}
        client.set(keys.retained("contents"), evil_json({**event, "topic": "contents", "contents": {EVIL: EVIL}}), ex=600)
        client.set(keys.retained("error"), evil_json({**event, "topic": "error", "error": {"type": EVIL, "message": EVIL}}), ex=600)
        client.set(keys.retained("text"), evil_json({**event, "topic": "text", "contents": EVIL}), ex=600)

    def _jobs(self) -> None:
        client = self._client
        outcome = {"status": "cancelled", "reason": EVIL, "need": EVIL, "at_ms": 1, "why": {"rule": EVIL, "service": EVIL, "event": EVIL}}
        whole = {**client.hgetall("rq:job:cancelled"), b"description": RAW, b"worker_name": RAW, b"group_id": RAW}
        whole[b"data"] = evil_json([EVIL, None, [EVIL], {EVIL: EVIL}])
        whole |= {b"meta": evil_json({"progress": EVIL, EVIL: EVIL}), b"outcome": evil_json(outcome)}
        for job_id in (JOB.encode(), *NAMES):
            client.hset(b"rq:job:" + job_id, mapping=whole)
            client.expire(b"rq:job:" + job_id, 600)
        states = {"queued": "rq:queue:q0", "started": "rq:wip:q0", "failed": "rq:failed:q0", "finished": "rq:finished:q0"}
        for status, key in {**states, "deferred": "rq:deferred:q0", "scheduled": "rq:scheduled:q0", "canceled": "rq:canceled:q0"}.items():
            job_id = f"{JOB}-{status}"
            client.hset(f"rq:job:{job_id}", mapping={**whole, "status": status, "held": RAW if status == "deferred" else b""})
            client.expire(f"rq:job:{job_id}", 600)
            for member in (job_id.encode(), *NAMES):
                listed = member + b":f" if status == "started" else member
                client.rpush(key, listed) if status == "queued" else client.zadd(key, {listed: 2**40})
        client.sadd("rq:queues", "rq:queue:q0")
        needs = JobScripts(client).keys.needs("svc")
        client.zadd(needs, dict.fromkeys((JOB.encode(), *NAMES), 1))
        client.hset(f"rq:job:{JOB}-queued", "needs", evil_json({"svc": 0, EVIL: 0}))
        client.hset(f"rq:job:{JOB}-deferred", "dependency_ids", evil_json([EVIL, JOB]))
        client.xadd(f"rq:results:{JOB}-finished", {"type": 1, "created_at": 1, "return_value": evil_json(EVIL), "worker_name": RAW})
        client.xadd(f"rq:results:{JOB}-failed", {"type": 2, "created_at": 1, "exc_string": self._error(), "worker_name": RAW})

    def _error(self) -> bytes:
        return b64encode(zlib.compress(f"Traceback (most recent call last):\n{EVIL}: {EVIL}".encode()))

    def _queues_and_workers(self) -> None:
        client = self._client
        for name in NAMES:
            client.sadd("rq:queues", b"rq:queue:" + name)
            client.rpush(b"rq:queue:" + name, JOB, *NAMES)
            client.copy("rq:worker:w0", b"rq:worker:" + name)
            client.hset(b"rq:worker:" + name, mapping={"hostname": RAW, "state": RAW, "queues": RAW, "current_job": JOB})
            client.expire(b"rq:worker:" + name, 600)
            client.sadd("rq:workers", b"rq:worker:" + name)
        client.hset("rq:worker:w0", mapping={"hostname": RAW, "queues": RAW + b",q0", "current_job": RAW})

    def _cron(self) -> None:
        client, keys = self._client, self.bus.keys
        spec = msgspec.json.decode(client.hvals(keys.cron)[0])
        spec["queue"], spec["rhythm"]["cron"] = EVIL, EVIL
        for name in NAMES:
            client.hset(keys.cron, name, evil_json(spec))
            client.hset(keys.cron_last, name, RAW)
            client.zadd(keys.cron_due, {name: 1})
        client.hset(keys.cron_workers, RAW, evil_json([EVIL]))
