"""The actions of the page: each is told first, then done, and then published on the topic ``ops`` with who did what."""

import logging
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from cli.options import json_or_text
from cli.web.access import Viewer
from cli.web.job_actions import JOB_ACTIONS, apply_to_jobs, plan_for_jobs
from cli.web.plan import Done, Field, Plan
from cli.web.runs import Tell
from cli.web.view import FilterError, Query
from notify import Bus, Json, NotifyError
from notify.keys import OPS_TOPIC
from workers import JobNotFoundError, QueueNotFoundError
from workers.overview import cron_jobs, find_worker, preview_loss, queues, stop_worker
from workers.queue import pause_queue, resume_queue
from workers.schedule import pause_cron, resume_cron, run_cron

__all__ = ["Actions"]

MOST_REASON: Final = 300

log = logging.getLogger(__name__)


class _Action(NamedTuple):
    """An action on one thing: the parameter that names it, how it is planned, and how it is done."""

    parameter: str
    plan: Callable[[Bus, Query], Plan]
    apply: Callable[[Bus, Query, Mapping[str, str]], Done]


class Actions:
    """Plans and does what people ask for.

    Args:
        bus: the bus.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def plan(self, name: str, query: Query) -> Plan:
        """Return what an action would do. Nothing is changed.

        Raises:
            FilterError: there is no such action, or the URL does not say on what.
        """
        if name in JOB_ACTIONS:
            return plan_for_jobs(self._bus, name, query)
        return _action(name, query).plan(self._bus, query)

    def apply(self, name: str, query: Query, form: Mapping[str, str], viewer: Viewer, tell: Tell) -> Done:
        """Do it, tell how far it is, and publish who did what. Errors as for `plan`, and those of what is done."""
        try:
            is_for_jobs = name in JOB_ACTIONS
            done = apply_to_jobs(self._bus, name, query, form, tell) if is_for_jobs else _action(name, query).apply(self._bus, query, form)
        except Exception as exc:  # also one that nobody expected: what it did before is done
            self._tell(name, viewer, {"query": str(query)}, str(exc) or type(exc).__name__)
            raise
        self._tell(name, viewer, done.what, "")
        return done

    def goes_on(self, name: str, query: Query, viewer: Viewer) -> None:
        """Publish that something is begun that takes a while: the page might end before."""
        self._tell(name, viewer, {"query": str(query), "goes_on": True}, "")

    def _tell(self, name: str, viewer: Viewer, what: dict[str, Json], problem: str) -> None:
        contents: dict[str, Json] = {"action": name, "who": viewer.name, "by": "web", "what": what}
        if problem:
            contents["problem"] = problem
        try:
            self._bus.publish(OPS_TOPIC, contents)
        except NotifyError as exc:  # the action is done
            log.warning("the action %s of %s could not be published on %r: %s", name, viewer.name, OPS_TOPIC, exc)


def _action(name: str, query: Query) -> _Action:
    found = ACTIONS.get(name)
    if found is None:
        raise FilterError(f"there is no action {name!r}")
    query.must_be_of(found.parameter, "back")
    return found


def _named(query: Query, name: str) -> str:
    value = query.get(name)
    if not value:
        raise FilterError(f"the URL does not say which {name}")
    return value


def _plan_kill(bus: Bus, query: Query) -> Plan:
    name = _named(query, "name")
    bus.directory.lookup(name, overdue=True)
    rows = [(stake.queue, stake.on_loss, stake.waiting, stake.running) for stake in preview_loss(bus.redis, name)]
    told = "It is withdrawn at once, and its process is told to end."
    sentences = [told, "These jobs need it:" if rows else "No job that waits or runs needs it."]
    reason = Field("reason", "Reason")
    return Plan("kill", f"Kill service {name}?", sentences, "Kill it", ("queue", "on loss", "waiting", "running"), rows, [reason], True)


def _kill(bus: Bus, query: Query, form: Mapping[str, str]) -> Done:
    name, why = _named(query, "name"), form.get("reason", "")[:MOST_REASON]
    event = bus.directory.kill(name, why=why)
    return Done(f"{name} is killed", ["The loss is applied to the jobs that need it."], {"service": name, "reason": why, "event": event})


def _plan_pause(bus: Bus, query: Query) -> Plan:
    queue = _named(query, "queue")
    if all(info.queue != queue for info in queues(bus.redis, exact=False)):
        raise QueueNotFoundError(f"there is no queue {queue!r}: the view of queues lists them")
    told = (
        "No worker takes another job from it, on any host, until it is resumed. Running jobs go on. Workers of plain RQ do not know this."
    )
    return Plan("pause", f"Pause queue {queue}?", [told], "Pause it")


def _pause(bus: Bus, query: Query, form: Mapping[str, str]) -> Done:
    queue = _named(query, "queue")
    was_running = pause_queue(bus.redis, queue)
    return Done(f"Queue {queue} is paused", [] if was_running else ["It was paused already."], {"queue": queue})


def _plan_resume(bus: Bus, query: Query) -> Plan:
    return Plan("resume", f"Resume queue {_named(query, 'queue')}?", ["Workers take its jobs again."], "Resume it")


def _resume(bus: Bus, query: Query, form: Mapping[str, str]) -> Done:
    queue = _named(query, "queue")
    was_paused = resume_queue(bus.redis, queue)
    return Done(f"Queue {queue} goes on", [] if was_paused else ["It was not paused."], {"queue": queue})


def _plan_stop(bus: Bus, query: Query) -> Plan:
    worker = find_worker(bus.redis, _named(query, "worker"))
    job = f"It finishes job {worker.job} first." if worker.job else "It has no job in hand."
    return Plan("stop", f"Stop worker {worker.name}?", [job, "What started it may start another one."], "Stop it", is_danger=True)


def _stop(bus: Bus, query: Query, form: Mapping[str, str]) -> Done:
    worker = find_worker(bus.redis, _named(query, "worker"))
    hears = stop_worker(bus.redis, worker.name)
    told = (
        "It ends when its job has ended." if hears else "It does not listen just now: it is starting, or its connection is lost. Try again."
    )
    return Done(f"Worker {worker.name} {'is told to end' if hears else 'did not hear it'}", [told], {"worker": worker.name, "hears": hears})


def _known_cron(bus: Bus, query: Query) -> str:
    function = _named(query, "cron")
    if all(cron.function != function for cron in cron_jobs(bus.redis)):
        raise JobNotFoundError(f"there is no recurring job {function!r}: the view of recurring jobs lists them")
    return function


def _plan_run(bus: Bus, query: Query) -> Plan:
    return Plan("run", f"Run {_known_cron(bus, query)} now?", ["It is enqueued at once, besides its times."], "Run it now")


def _run(bus: Bus, query: Query, form: Mapping[str, str]) -> Done:
    function = _named(query, "cron")
    job = run_cron(bus.redis, function)
    return Done(
        f"{function} is enqueued", [f"Job {job.id} waits on queue {job.origin}."], {"cron": function, "job": job.id}, f"/job/{job.id}"
    )


def _plan_cron_pause(bus: Bus, query: Query) -> Plan:
    told = "It is not enqueued until it is resumed. Times that pass meanwhile are left out."
    return Plan("cron-pause", f"Pause {_known_cron(bus, query)}?", [told], "Pause it")


def _cron_pause(bus: Bus, query: Query, form: Mapping[str, str]) -> Done:
    function = _named(query, "cron")
    pause_cron(bus.redis, function)
    return Done(f"{function} is paused", [], {"cron": function})


def _plan_cron_resume(bus: Bus, query: Query) -> Plan:
    return Plan("cron-resume", f"Resume {_known_cron(bus, query)}?", ["It is enqueued again, at its next time."], "Resume it")


def _cron_resume(bus: Bus, query: Query, form: Mapping[str, str]) -> Done:
    function = _named(query, "cron")
    resume_cron(bus.redis, function)
    return Done(f"{function} goes on", [], {"cron": function})


def _plan_publish(bus: Bus, query: Query) -> Plan:
    topic = _named(query, "topic")
    told = "What is no JSON is published as text. Those who subscribe to the topic get it at once."
    return Plan("publish", f"Publish on {topic}", [told], "Publish", fields=[Field("contents", "Contents", long=True)])


def _publish(bus: Bus, query: Query, form: Mapping[str, str]) -> Done:
    topic, text = _named(query, "topic"), form.get("contents", "")
    if not text.strip():
        raise FilterError("there are no contents: write JSON or text")
    event_id = bus.publish(topic, json_or_text(text))
    return Done(f"Published on {topic}", [f"Its id is {event_id}."], {"topic": topic, "id": event_id})


ACTIONS: Final[Mapping[str, _Action]] = {
    "kill": _Action("name", _plan_kill, _kill),
    "pause": _Action("queue", _plan_pause, _pause),
    "resume": _Action("queue", _plan_resume, _resume),
    "stop": _Action("worker", _plan_stop, _stop),
    "run": _Action("cron", _plan_run, _run),
    "cron-pause": _Action("cron", _plan_cron_pause, _cron_pause),
    "cron-resume": _Action("cron", _plan_cron_resume, _cron_resume),
    "publish": _Action("topic", _plan_publish, _publish),
}
