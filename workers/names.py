"""Running the scripts that work on jobs: all are told the same names first, see ``names.lua``."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from notify.connection import Client
from notify.scripts import ScriptRunner
from notify.settings import JOB_EVENTS
from workers import rq_keys

__all__ = ["KEEP_CANCELLED_MS", "NamedScripts", "rq_time"]

KEEP_CANCELLED_MS: Final = 86_400_000
"""How long a cancelled job can still be looked at."""


class NamedScripts(ScriptRunner):
    """Runs scripts of this package that include ``names.lua``."""

    def __init__(self, client: Client) -> None:
        super().__init__(client, "workers")
        keys = self.keys
        self._named_keys = [keys.losses, keys.services, keys.topics, keys.held_pairs, keys.holds, keys.turn]
        rq = (
            rq_keys.job,
            rq_keys.queue,
            rq_keys.started,
            rq_keys.finished,
            rq_keys.canceled,
            rq_keys.deferred,
            rq_keys.scheduled,
            rq_keys.execution,
            rq_keys.executions,
            rq_keys.results,
        )
        split = [part for key in (rq_keys.dependents, rq_keys.dependencies) for part in key("\0").split("\0")]
        ours = [keys.needs(""), keys.provides(""), keys.tombstone(""), keys.held("", "")[:-1], keys.ramp("", "")[:-1]]
        events = [keys.log(""), keys.topic(""), keys.channel(""), keys.job_topic("")]
        told = " ".join(status for status in JOB_EVENTS if client.settings.tells(status))
        self._names: list[str | int] = [*(key("") for key in rq), *split, *ours, *events, told, *self.limits()]

    def run_named(self, name: str, keys: Sequence[str], args: Sequence[str | bytes | int], *, action: str, now: str = "") -> Any:
        """Run a script with the names before its own KEYS and ARGV; otherwise as `run`.

        Args:
            now: the present as RQ writes it, for hashes; it decides nothing.
        """
        all_keys, all_args = self.named(keys, args, now=now)
        return self.run(name, all_keys, all_args, action=action)

    def named(self, keys: Sequence[str], args: Sequence[str | bytes | int], *, now: str = "") -> tuple[list[str], list[str | bytes | int]]:
        """Return the KEYS and ARGV for it."""
        template = self.body("@topic@", "@contents@")
        present = now or rq_time(datetime.now(UTC))
        return [*self._named_keys, *keys], [*self._names, template, KEEP_CANCELLED_MS, present, rq_keys.failed(""), *args]


def rq_time(when: datetime) -> str:
    """A time as RQ writes it into its hashes: ``strftime`` takes five times as long."""
    return f"{when.isoformat(timespec='microseconds').removesuffix('+00:00')}Z"
