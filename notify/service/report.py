"""Reports: what a service tells about a subject, and who it was that told it."""

from datetime import datetime

import msgspec

from notify.events import Event, Failure, Json, Message, check_topic

__all__ = ["Report", "report_source", "report_topic"]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A report as its receiver sees it.

    Args:
        service: the name of who reports.
        incarnation: which of the registrations of that name it was.
        subject: what the report is about, for example ``system.time``.
        contents: any JSON value, or a `Failure`.
        time: when it was made; aware, in UTC.
    """

    service: str
    incarnation: int
    subject: str
    contents: Json | Failure | Message
    time: datetime

    @classmethod
    def of(cls, event: Event) -> "Report | None":
        """Return the report in an event; ``None`` if it is none."""
        service, _, incarnation = (event.source or "").rpartition("#")
        if not service or not incarnation.isdecimal() or not event.topic.startswith(f"{service}."):
            return None
        subject = event.topic.removeprefix(f"{service}.")
        return cls(service=service, incarnation=int(incarnation), subject=subject, contents=event.contents, time=event.time)


def report_topic(service: str, subject: str) -> str:
    """The topic of a service's reports about a subject; globs may stand for either.

    Raises:
        InvalidTopicError: the subject is no text, or too long.
    """
    return f"{service}.{check_topic(subject)}"


def report_source(service: str, incarnation: int) -> str:
    """How a report names who made it."""
    return f"{service}#{incarnation}"
