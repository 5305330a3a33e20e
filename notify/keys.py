"""The data model: every key and channel of Notify in Redis, for developers and for operators with ``redis-cli``.

``ns`` is the namespace, by default ``notify``. Every value is plain text or JSON. A need is the name of a service, or
``any <capability>``. A turn is the time, in microseconds, at which a job was enqueued. In a key with a queue and a need, ``%`` and
``:`` in the name of the queue are written as ``%25`` and ``%3A``.

======================== ====== =========================================================== ==================================
key                      type   content                                                     lives
======================== ====== =========================================================== ==================================
ns:topics                zset   known topics, score: ms of their last event or declaration  30 days after the last event
ns:topic:<topic>         hash   epoch, last (id of the last event), touched (ms)            30 days after the last event
ns:log:<topic>           stream the events: prev (id before), epoch, data (JSON)            retention_s after the last event
ns:retained:<topic>      string the retained event (JSON)                                   the lifetime it was published with
ns:once:<topic>:<key>    string id of the event published with an idempotency key           retention_s
ns:sent:<publisher>      string number of the last batch of a background publisher          a day
ns:position:<name>       string how far a flow has taken topics: topics (topic → id), at     30 days after its last use
ns:services              set    names of the registered services                            while there is one
ns:due                   zset   <name>#<incarnation>, score: ms when the sweep checks it    while there is a service
ns:service:<name>        hash   the description of a service                                an hour after its last heartbeat
ns:provides:<capability> zset   names of its providers, score: incarnation                  while there is one
ns:group:<group>         zset   names of its members, score: incarnation                    while there is one
ns:standby:<name>        zset   <name>#<incarnation> of standbys, score: incarnation        while there is one
ns:promoted:<member>     string <name>#<incarnation> that a standby became                  an hour
ns:suspects              set    <name>#<incarnation> of services whose heartbeats are late  while there is one
ns:sweep                 hash   at_ms, heard_ms, duty_ms, slot_ms, grace_ms, held_ms, alarm 30 days after the last sweep
ns:incarnation           string the last incarnation that was assigned                      30 days after the last one
ns:losses                hash   need → serial of its last loss: its ms, or more to be new   30 days after the last one
ns:tombstone:<need>      hash   last loss: service, incarnation, reason, why, at_ms, event  a day
ns:state:<service>       hash   the state of a service, field → JSON                        forever, or until purged
ns:requests:<member>     stream requests to <name>#<incarnation>: request, deadline_ms      a minute after the last deadline
ns:answers:<caller>      stream answers to one process: answer (JSON)                       a minute after the last deadline
ns:needs:<need>          zset   ids of waiting jobs with this need, score: turn             30 days after the last one
ns:losing:<need>         string lock of the worker that applies the loss of the need        5 s
ns:held                  set    [queue, need], as JSON, with held jobs                      30 days after the last one
ns:held:<queue>:<need>   zset   ids of held jobs, score: turn                               30 days after the last one
ns:holds                 zset   ids of held jobs, score: ms when the hold expires           30 days after the last one
ns:ramp:<queue>:<need>   hash   release of held jobs: batch (the next), last (job), serial  a minute after the last batch
ns:dependents            zset   ids of jobs to cancel with what they depend on, score: ms   30 days after the last one
ns:wake:<queue>          list   tokens, each of which wakes one idle worker                 a minute after the last one
ns:woken:<queue>         string set while no further worker is woken for waiting jobs       50 or 500 ms
ns:served:<queue>        string worker that takes the next job; empty: the one just woken   50 ms
ns:callbacks:<queue>     list   callbacks to be called for runs that were killed (JSON)     7 days after the last one
ns:stop:<fence>          string set when a stopped run cannot begin any more                10 s
ns:leases                zset   names of workers, score: ms when their lease expires        a day after the last renewal
ns:renewed               string ms when the lease of any worker was last renewed            a day after the last renewal
ns:leader                string name of the worker that runs the shared duties              a lease after its last renewal
ns:cron                  hash   name of a scheduled job → its specification (JSON)          7 days after the last leader
ns:cron_due              zset   names of scheduled jobs, score: ms when they are due next   7 days after the last leader
ns:cron_last             hash   name → ms of the time for which it was last enqueued        7 days after the last leader
ns:cron_alarms           hash   name → ms since when no worker listens to its queue         7 days after the last alarm
ns:history:<step>:<at>   hash   counts of the minute (step: m) or hour (h) at, since 1970   8 hours, 72 hours
ns:history:open          string the hour whose minutes are not summed up yet                72 hours after the last count
ns:clock                 hash   at_ms, cron_ms (last looks), jumped_ms, holds_jumped_ms      7 days after the last leader
ns:cron_workers          hash   name of a worker → the scheduled jobs it has loaded (JSON)  7 days after the last leader
======================== ====== =========================================================== ==================================

================== ====================================================================================
channel            messages
================== ====================================================================================
ns:direct:<name>   reports to the subscribers with that name only, as JSON
ns:event:<topic>   the events of a topic, as JSON; any other message on it is an event as well
================== ====================================================================================

Topics on which Notify itself publishes: ``services`` (services become available or suspect, join or leave a group, are withdrawn),
``<service>_status`` (reports of a service, and its end), ``job.<queue>`` (transitions of jobs), ``cron`` (alarms about recurring jobs).

Redis shares channels among all databases of a server, so in the database 3 they are ``ns@3:event:<topic>`` and ``ns@3:direct:<name>``.
"""

from typing import Final

import msgspec

__all__ = ["CRON_TOPIC", "SERVICES_TOPIC", "STATUS_SUFFIX", "Keys", "any_provider", "due_member", "is_own_topic", "parse_due_member"]

SERVICES_TOPIC: Final = "services"
"""The topic on which the directory publishes its changes."""
CRON_TOPIC: Final = "cron"
"""The topic of recurring jobs: which are new, and which are due while no worker listens to their queue."""
STATUS_SUFFIX: Final = "_status"
"""The topic of the reports of a service is its name with this suffix."""
JOB_PREFIX: Final = "job."
"""The topic of the transitions of jobs is the name of their queue with this prefix."""


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


def is_own_topic(topic: str) -> bool:
    """Return whether Notify itself publishes on a topic: services and their reports, jobs, and recurring jobs."""
    return topic in (SERVICES_TOPIC, CRON_TOPIC) or topic.startswith(JOB_PREFIX) or topic.endswith(STATUS_SUFFIX)
