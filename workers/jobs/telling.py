"""Telling how a job ended, on the topic of its queue, where that is not told by a script."""

from typing import Any

import msgspec

from notify.events import Event, EventScripts, publish
from notify.server import Client
from workers.jobs.outcome import Outcome

__all__ = ["publish_outcome"]


def publish_outcome(client: Client, job: Any, outcome: Outcome, *, source: str) -> None:
    """Publish how a job ended, if such is told.

    Raises:
        ServerError: the server did not answer, or refused.
    """
    if client.settings.tells(outcome.status):
        scripts = EventScripts(client)
        told = {"job": job.id, **msgspec.to_builtins(outcome)}
        publish(scripts, Event(topic=scripts.keys.job_topic(job.origin), contents=told, source=source))
