"""Running the scripts that work on jobs: all are told the same names first, see ``names.lua``."""

import string
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from notify.events import Event, PublishingScripts, encode, limits_of
from notify.keys import Keys
from notify.server import Client
from notify.settings import JOB_EVENTS, Settings
from workers import rq_keys

__all__ = ["KEEP_CANCELLED_MS", "JobScriptRunner", "rq_time"]

TOPIC: Final = "@topic@"
CONTENTS: Final = "@contents@"
KEEP_CANCELLED_MS: Final = 86_400_000
"""How long a cancelled job can still be looked at."""


class JobScriptRunner(PublishingScripts):
    """Runs scripts of this package that include ``names.lua``."""

    def __init__(self, client: Client) -> None:
        super().__init__(client, "workers", prelude=_prelude(client.settings))

    def run_named(self, name: str, keys: Sequence[str], args: Sequence[str | bytes | int], *, action: str, now: str = "") -> Any:
        """Run a script with what ``names.lua`` expects before its own ARGV; otherwise as `run`.

        Args:
            now: the present as RQ writes it, for hashes; it decides nothing.
        """
        return self.run(name, keys, self.named(args, now=now), action=action)

    def named(self, args: Sequence[str | bytes | int], *, now: str = "") -> list[str | bytes | int]:
        """Return the ARGV for it."""
        return [now or rq_time(datetime.now(UTC)), _split(self.body(TOPIC, CONTENTS))[1], *args]


@cache
def _prelude(settings: Settings) -> str:
    """The table k as Lua. As ARGV the same thirty texts would be sent and read again for each job."""
    keys = Keys(settings.namespace)
    texts = {
        "job": rq_keys.job(""),
        "queue": rq_keys.queue(""),
        "started": rq_keys.started(""),
        "finished": rq_keys.finished(""),
        "failed": rq_keys.failed(""),
        "canceled": rq_keys.canceled(""),
        "deferred": rq_keys.deferred(""),
        "scheduled": rq_keys.scheduled(""),
        "execution": rq_keys.execution(""),
        "executions": rq_keys.executions(""),
        "results": rq_keys.results(""),
        "lock": rq_keys.scheduler_lock(""),
        **dict(zip(("dependents", "dependents_end"), rq_keys.dependents("\0").split("\0"), strict=True)),
        **dict(zip(("dependencies", "dependencies_end"), rq_keys.dependencies("\0").split("\0"), strict=True)),
        "losses": keys.losses,
        "services": keys.services,
        "provides": keys.provides(""),
        "tombstone": keys.tombstone(""),
        "needs": keys.needs(""),
        "held_pairs": keys.held_pairs,
        "held": keys.held("", "").removesuffix(":"),
        "ramp": keys.ramp("", "").removesuffix(":"),
        "holds": keys.holds,
        "topics": keys.topics,
        "log": keys.log(""),
        "head": keys.topic(""),
        "channel": keys.channel(""),
        "topic": keys.job_topic(""),
        "tells": " ".join(status for status in JOB_EVENTS if settings.tells(status)),
    }
    length, log_ms, head_ms = limits_of(settings)
    texts["body_begins"], _, texts["body_ends"] = map(
        bytes.decode, _split(encode(Event(topic=TOPIC, contents=CONTENTS), max_bytes=sys.maxsize))
    )
    lines = [*(f"  {name} = {_quoted(text)}," for name, text in texts.items()), f"  keep_ms = {KEEP_CANCELLED_MS},"]
    lines.append(f"  limits = {{length = {length}, log_ms = {log_ms}, head_ms = {head_ms}}},")
    return "\n".join(["local k = {", *lines, "}", ""])


def _split(body: bytes) -> tuple[bytes, bytes, bytes]:
    """An event as JSON: what stands before its topic, between that and its contents, and after them."""
    before, _, rest = body.partition(b'"%s"' % TOPIC.encode())
    between, _, after = rest.rpartition(b'"%s"' % CONTENTS.encode())
    return before, between, after


_PLAIN: Final = string.ascii_letters.encode() + string.digits.encode() + b":._- {}"


def _quoted(text: str) -> str:
    """A text as Lua writes it, byte by byte where it is not plain."""
    return '"' + "".join(chr(byte) if byte in _PLAIN else f"\\{byte:03d}" for byte in text.encode()) + '"'


def rq_time(when: datetime) -> str:
    """A time as RQ writes it into its hashes: ``strftime`` takes five times as long."""
    return f"{when.isoformat(timespec='microseconds').removesuffix('+00:00')}Z"
