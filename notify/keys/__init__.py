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
ns:paused                set    names of queues from which no worker takes a job             30 days after the last claim
ns:leases                zset   names of workers, score: ms when their lease expires        a day after the last renewal
ns:renewed               string ms when the lease of any worker was last renewed            a day after the last renewal
ns:leader                string name of the worker that runs the shared duties              a lease after its last renewal
ns:cron                  hash   name of a scheduled job → its specification (JSON)          7 days after the last leader
ns:cron_due              zset   names of scheduled jobs, score: ms when they are due next   7 days after the last leader
ns:cron_last             hash   name → ms of the time for which it was last enqueued        7 days after the last leader
ns:cron_alarms           hash   name → ms since when no worker listens to its queue         7 days after the last alarm
ns:history:<step>:<at>   hash   counts of the minute (step: m) or hour (h) at, since 1970   8 hours, 72 hours
ns:history:open          string the hour whose minutes are not summed up yet                72 hours after the last count
ns:job_logs              zset   topics job_log.<id> with lines, score: ms of the last one   two hours after the last line
ns:clock                 hash   at_ms, cron_ms (last looks), jumped_ms, holds_jumped_ms      7 days after the last leader
ns:cron_paused           set    names of scheduled jobs that are not enqueued                7 days after the last leader
ns:cron_workers          hash   name of a worker → the scheduled jobs it has loaded (JSON)  7 days after the last leader
======================== ====== =========================================================== ==================================

================== ====================================================================================
channel            messages
================== ====================================================================================
ns:direct:<name>   reports to the subscribers with that name only, as JSON
ns:event:<topic>   the events of a topic, as JSON; any other message on it is an event as well
================== ====================================================================================

Topics on which Notify itself publishes: ``services`` (services become available or suspect, join or leave a group, are withdrawn),
``<service>_status`` (reports of a service, and its end), ``job.<queue>`` (transitions of jobs), ``cron`` (alarms about recurring jobs),
``job_log.<id>`` (what a job logs), ``ops`` (what people changed by hand, and who did).

Redis shares channels among all databases of a server, so in the database 3 they are ``ns@3:event:<topic>`` and ``ns@3:direct:<name>``.
"""

from notify.keys.keys import Keys, any_provider, due_member, parse_due_member
from notify.keys.topics import CRON_TOPIC, OPS_TOPIC, SERVICES_TOPIC, STATUS_SUFFIX, is_own_topic

__all__ = [
    "CRON_TOPIC",
    "OPS_TOPIC",
    "SERVICES_TOPIC",
    "STATUS_SUFFIX",
    "Keys",
    "any_provider",
    "due_member",
    "is_own_topic",
    "parse_due_member",
]
