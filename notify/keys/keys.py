"""Builds every key and channel of Notify; the package lists them."""

import msgspec

from notify.keys.topics import JOB_LOG_PREFIX, JOB_PREFIX, STATUS_SUFFIX

__all__ = ["Keys", "any_provider", "due_member", "parse_due_member"]


class Keys(msgspec.Struct, frozen=True):
    """Builds the keys, channels and topic names of one namespace.

    Args:
        namespace: the first part of every key and channel.
        database: the number of the database. Channels belong to the whole server, so those of another database than 0 carry its number.
    """

    namespace: str
    database: int = 0

    @property
    def topics(self) -> str:
        return f"{self.namespace}:topics"

    @property
    def services(self) -> str:
        return f"{self.namespace}:services"

    @property
    def due(self) -> str:
        return f"{self.namespace}:due"

    @property
    def incarnation(self) -> str:
        return f"{self.namespace}:incarnation"

    @property
    def suspects(self) -> str:
        return f"{self.namespace}:suspects"

    @property
    def sweep(self) -> str:
        return f"{self.namespace}:sweep"

    @property
    def losses(self) -> str:
        return f"{self.namespace}:losses"

    def wake(self, queue: str) -> str:
        return f"{self.namespace}:wake:{queue}"

    def woken(self, queue: str) -> str:
        return f"{self.namespace}:woken:{queue}"

    def callbacks(self, queue: str) -> str:
        return f"{self.namespace}:callbacks:{queue}"

    def served(self, queue: str) -> str:
        return f"{self.namespace}:served:{queue}"

    def stop_answer(self, fence: str) -> str:
        return f"{self.namespace}:stop:{fence}"

    @property
    def dependents(self) -> str:
        return f"{self.namespace}:dependents"

    @property
    def paused(self) -> str:
        return f"{self.namespace}:paused"

    @property
    def leases(self) -> str:
        return f"{self.namespace}:leases"

    @property
    def renewed(self) -> str:
        return f"{self.namespace}:renewed"

    @property
    def leader(self) -> str:
        return f"{self.namespace}:leader"

    @property
    def cron(self) -> str:
        return f"{self.namespace}:cron"

    @property
    def cron_due(self) -> str:
        return f"{self.namespace}:cron_due"

    @property
    def cron_last(self) -> str:
        return f"{self.namespace}:cron_last"

    @property
    def cron_alarms(self) -> str:
        return f"{self.namespace}:cron_alarms"

    @property
    def clock(self) -> str:
        return f"{self.namespace}:clock"

    def history(self, step: str, at: int | str) -> str:
        return f"{self.namespace}:history:{step}:{at}"

    @property
    def history_open(self) -> str:
        return f"{self.namespace}:history:open"

    @property
    def cron_paused(self) -> str:
        return f"{self.namespace}:cron_paused"

    @property
    def cron_workers(self) -> str:
        return f"{self.namespace}:cron_workers"

    def topic(self, topic: str) -> str:
        return f"{self.namespace}:topic:{topic}"

    def log(self, topic: str) -> str:
        return f"{self.namespace}:log:{topic}"

    def retained(self, topic: str) -> str:
        return f"{self.namespace}:retained:{topic}"

    def once(self, topic: str, key: str) -> str:
        return f"{self.namespace}:once:{topic}:{key}"

    def sent(self, publisher: str) -> str:
        return f"{self.namespace}:sent:{publisher}"

    def position(self, name: str) -> str:
        return f"{self.namespace}:position:{name}"

    def channel(self, topic: str) -> str:
        return f"{self._channels}:event:{topic}"

    def direct_channel(self, name: str) -> str:
        return f"{self._channels}:direct:{name}"

    def topic_of(self, channel: str) -> str:
        """Return the topic of a channel, the inverse of `channel`."""
        return channel.removeprefix(f"{self._channels}:event:")

    @property
    def _channels(self) -> str:
        return f"{self.namespace}@{self.database}" if self.database else self.namespace

    def service(self, name: str) -> str:
        return f"{self.namespace}:service:{name}"

    def provides(self, capability: str) -> str:
        return f"{self.namespace}:provides:{capability}"

    def group(self, group: str) -> str:
        return f"{self.namespace}:group:{group}"

    def standby(self, name: str) -> str:
        return f"{self.namespace}:standby:{name}"

    def promoted(self, member: str) -> str:
        return f"{self.namespace}:promoted:{member}"

    def tombstone(self, need: str) -> str:
        return f"{self.namespace}:tombstone:{need}"

    def state(self, service: str) -> str:
        return f"{self.namespace}:state:{service}"

    def requests(self, member: str) -> str:
        return f"{self.namespace}:requests:{member}"

    def answers(self, caller: str) -> str:
        return f"{self.namespace}:answers:{caller}"

    def needs(self, need: str) -> str:
        return f"{self.namespace}:needs:{need}"

    def losing(self, need: str) -> str:
        return f"{self.namespace}:losing:{need}"

    @property
    def held_pairs(self) -> str:
        return f"{self.namespace}:held"

    def held(self, queue: str, need: str) -> str:
        return f"{self.namespace}:held:{_pair(queue, need)}"

    @property
    def holds(self) -> str:
        return f"{self.namespace}:holds"

    def ramp(self, queue: str, need: str) -> str:
        return f"{self.namespace}:ramp:{_pair(queue, need)}"

    def status_topic(self, service: str) -> str:
        """Return the topic of the reports of a service."""
        return f"{service}{STATUS_SUFFIX}"

    @property
    def job_logs(self) -> str:
        return f"{self.namespace}:job_logs"

    def job_log_topic(self, job_id: str) -> str:
        """Return the topic of what a job logs."""
        return f"{JOB_LOG_PREFIX}{job_id}"

    def job_topic(self, queue: str) -> str:
        """Return the topic of the transitions of the jobs of a queue."""
        return f"{JOB_PREFIX}{queue}"


def any_provider(capability: str) -> str:
    """Return the need for any provider of a capability. It contains a space, so it cannot be the name of a service."""
    return f"any {capability}"


def due_member(name: str, incarnation: int) -> str:
    """Return the member of ``ns:due`` for one incarnation of a service, which differs from those of earlier incarnations."""
    return f"{name}#{incarnation}"


def parse_due_member(member: str) -> tuple[str, int]:
    """Return the name and the incarnation in a member of ``ns:due``."""
    name, _, incarnation = member.rpartition("#")
    return name, int(incarnation)


def _pair(queue: str, need: str) -> str:
    """Join a queue and a need by a colon. Colons in the queue are quoted, so that the first colon ends the name of the queue."""
    return f"{queue.replace('%', '%25').replace(':', '%3A')}:{need}"
