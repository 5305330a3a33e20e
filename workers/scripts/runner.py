"""Runs the scripts of jobs, with the prefixes of the keys that they build.

All other scripts get every key through KEYS. The scripts of jobs cannot: a script reads the job, its queue and its needs while it runs,
and builds their keys then. RQ's keys have no hash tags and cannot be spread over a cluster anyway.
"""

import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, Final

from notify.events import Event, PublishingScripts, encode, limits_of
from notify.keys import Keys
from notify.server import Client, process_name, quoted
from notify.settings import JOB_EVENTS, Settings
from workers import rq_keys
from workers.rq import IS_RQ_3

__all__ = ["KEEP_CANCELLED_MS", "JobScriptRunner", "around_time", "rq_now", "rq_time", "rq_time_of"]

TOPIC: Final = "@topic@"
CONTENTS: Final = "@contents@"
SOME_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC)
LEFT_OUT: Final = ("started", "finished")
"""The events that a lean worker leaves out."""
KEEP_CANCELLED_MS: Final = 86_400_000
"""Milliseconds for which a cancelled job is kept."""


class JobScriptRunner(PublishingScripts):
    """Runs the scripts of jobs. The table ``k`` of key prefixes stands before each script; see ``parts/prefixes.lua``."""

    def __init__(self, client: Client, *, is_lean: bool = False) -> None:
        super().__init__(client, "workers.scripts", prelude=_prelude(client.settings, client.own_keys, is_lean=is_lean))

    def run_with_common_args(self, name: str, keys: Sequence[str], args: Sequence[str | bytes | int], *, action: str, now: str = "") -> Any:
        """Run a script that includes ``parts/prefixes.lua``: its ARGV begin with the `common_args`. Otherwise as `run`.

        Args:
            name: name of the file without ``.lua``.
            keys: the KEYS of the script.
            args: the ARGV of the script after the common ones.
            action: the action in words, for errors.
            now: the current time as `rq_time` writes it, for the hashes of jobs; no decision depends on it.
        """
        return self.run(name, keys, [*self.common_args(now=now), *args], action=action)

    def wake_idle(self, queues: Sequence[str], *, is_leaving: bool) -> int:
        """Wake an idle worker for each of these queues that holds jobs for which nobody was woken; two if another worker has a long job.

        Args:
            queues: the names of the queues.
            is_leaving: whether a worker that served the queues has a long job now; otherwise workers are woken only for queues that
                no worker serves.

        Returns:
            The number of queues for whose jobs nobody was woken, so that this must be called again soon.
        """
        args: list[str | bytes | int] = ["1" if is_leaving else "", *queues]
        return int(self.run_with_common_args("wake_idle", [], args, action="waking idle workers"))

    def common_args(self, *, now: str = "") -> list[str | bytes | int]:
        """Return the first two ARGV of such a script: the current time, and the middle of an event between its topic and contents."""
        now = now or rq_now()
        before, after = around_time(TOPIC, process_name())
        return [now, b"%s%s%s" % (before.partition(b'"%s"' % TOPIC.encode())[2], now.encode(), after)]


@cache
def _prelude(settings: Settings, keys: Keys, *, is_lean: bool) -> str:
    """Return the Lua table ``k`` of key prefixes. As ARGV the same thirty texts would be sent with every call."""
    published = [status for status in JOB_EVENTS if settings.tells(status) and not (is_lean and status in LEFT_OUT)]
    body_begins, _, body_ends = map(bytes.decode, _split(encode(Event(topic=TOPIC, contents=CONTENTS), max_bytes=sys.maxsize)))
    length, log_ms, head_ms = limits_of(settings)
    texts = {
        **_prefixes_of_rq(),
        **_own_prefixes(keys),
        "published": " ".join(published),
        "body_begins": body_begins,
        "body_ends": body_ends,
        "is_lean": "1" if is_lean else "",
    }
    lines = [*(f"  {name} = {quoted(text)}," for name, text in texts.items()), f"  keep_ms = {KEEP_CANCELLED_MS},"]
    lines.append(f"  limits = {{length = {length}, log_ms = {log_ms}, head_ms = {head_ms}}},")
    return "\n".join(["local k = {", *lines, "}", ""])


def _prefixes_of_rq() -> dict[str, str]:
    """Return what RQ's keys begin with, and end with where the variable part stands in the middle."""
    return {
        "job": rq_keys.job(""),
        "queue": rq_keys.queue(""),
        "started": rq_keys.started(""),
        "finished": rq_keys.finished(""),
        "failed": rq_keys.failed(""),
        "canceled": rq_keys.canceled(""),
        "deferred": rq_keys.deferred(""),
        "scheduled": rq_keys.scheduled(""),
        "ready": rq_keys.ready(""),
        "rate_limits": rq_keys.RATE_LIMITS,
        **dict(zip(("rate_limit", "rate_limited_end"), rq_keys.rate_limited("\0").split("\0"), strict=True)),
        "worker": rq_keys.worker(""),
        "execution": rq_keys.execution(""),
        "executions": rq_keys.executions(""),
        "results": rq_keys.results(""),
        "worker_runs_end": rq_keys.worker_executions("").removeprefix(rq_keys.worker("")) if IS_RQ_3 else "",  # RQ 2 reads none
        "lock": rq_keys.scheduler_lock(""),
        **dict(zip(("dependents", "dependents_end"), rq_keys.dependents("\0").split("\0"), strict=True)),
        **dict(zip(("dependencies", "dependencies_end"), rq_keys.dependencies("\0").split("\0"), strict=True)),
    }


def _own_prefixes(keys: Keys) -> dict[str, str]:
    """Return what our own keys begin with."""
    return {
        "losses": keys.losses,
        "services": keys.services,
        "service": keys.service(""),
        "provides": keys.provides(""),
        "tombstone": keys.tombstone(""),
        "needs": keys.needs(""),
        "held_pairs": keys.held_pairs,
        "held": keys.held("", "").removesuffix(":"),
        "ramp": keys.ramp("", "").removesuffix(":"),
        "holds": keys.holds,
        "clock": keys.clock,
        "wake": keys.wake(""),
        "woken": keys.woken(""),
        "served": keys.served(""),
        "topics": keys.topics,
        "log": keys.log(""),
        "head": keys.topic(""),
        "channel": keys.channel(""),
        "topic": keys.job_topic(""),
    }


@cache
def around_time(topic: str, source: str) -> tuple[bytes, bytes]:
    """Return the event of a source up to its time, and from there up to its contents. Encoding each event takes several times as long."""
    begins, _, _ = encode(Event(topic=topic, contents=CONTENTS, source=source, time=SOME_TIME), max_bytes=sys.maxsize).rpartition(
        b'"%s"' % CONTENTS.encode()
    )
    before, _, after = begins.partition(b"%sZ" % SOME_TIME.isoformat().removesuffix("+00:00").encode())
    return before, after


def _split(body: bytes) -> tuple[bytes, bytes, bytes]:
    """Split an event in JSON into the text before its topic, between topic and contents, and after the contents."""
    before, _, rest = body.partition(b'"%s"' % TOPIC.encode())
    between, _, after = rest.rpartition(b'"%s"' % CONTENTS.encode())
    return before, between, after


def rq_time(when: datetime) -> str:
    """Return a UTC time as RQ writes it into its hashes. ``strftime`` takes five times as long."""
    return f"{when.isoformat(timespec='microseconds').removesuffix('+00:00')}Z"


def rq_now() -> str:
    """Return the time of now as `rq_time` does, in a third of the time."""
    return _text(time.time_ns() // 1000)


def rq_time_of(at_s: float) -> str:
    """Return a time, in seconds since the epoch, as `rq_time` does, in a third of the time."""
    return _text(round(at_s * 1_000_000))


def _text(microseconds: int) -> str:
    seconds, rest = divmod(microseconds, 1_000_000)
    return f"{_second(seconds)}.{rest:06d}Z"


@lru_cache(8)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00")
