"""Reports: events of a service about a subject. A report names the service and the incarnation that published it."""

from datetime import datetime

import msgspec

from notify.events import Event, Failure, Json, Message, check_topic

__all__ = ["Report", "report_source", "report_topic"]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A report, as a subscriber receives it.

    Args:
        service: the name of the service that reported.
        incarnation: the number of its registration.
        subject: the subject of the report, for example ``system.time``.
        contents: any JSON value, or a `Failure`.
        time: the time when the service made the report; aware, in UTC.
    """

    service: str
    incarnation: int
    subject: str
    contents: Json | Failure | Message
    time: datetime

    @classmethod
    def of(cls, event: Event) -> "Report | None":
        """Return the report in an event; ``None`` if the event is not a report."""
        service, _, incarnation = (event.source or "").rpartition("#")
        if not service or not incarnation.isdecimal() or not event.topic.startswith(f"{service}."):
            return None
        subject = event.topic.removeprefix(f"{service}.")
        return cls(service=service, incarnation=int(incarnation), subject=subject, contents=event.contents, time=event.time)


def report_topic(service: str, subject: str) -> str:
    """Return the topic of a service's reports about a subject: ``<service>.<subject>``.

    Raises:
        InvalidTopicError: the subject is not text, is empty, is too long, or is a pattern.
    """
    return f"{service}.{check_topic(subject)}"


def report_source(service: str, incarnation: int) -> str:
    """Return the ``source`` of a report: ``<service>#<incarnation>``."""
    return f"{service}#{incarnation}"
