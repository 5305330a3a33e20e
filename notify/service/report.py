"""Reports: events of a service about a subject. A report names the service and the incarnation that published it."""

from collections.abc import Callable, Collection
from datetime import datetime

import msgspec

from notify.errors import NotSubscribedError, SettingsError
from notify.events import (
    Event,
    EventScripts,
    Failure,
    Glob,
    Message,
    check_topic,
    check_topics,
    contents_of,
    expire_retained,
    flat_topics,
    is_pattern,
    publish,
    publish_direct,
)
from notify.values import Encodable, Json

__all__ = ["Report", "Reports"]


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


class Reports:
    """The reports of one service: publishes them, and deletes those that are retained. Reached through `Service.reports`.

    Args:
        scripts: the event scripts of the server.
        identity: returns the name and the incarnation of the service.
        check: raises an error if the service is not open, or has ended.
    """

    def __init__(self, scripts: EventScripts, *, identity: Callable[[], tuple[str, int]], check: Callable[[], None]) -> None:
        self._scripts = scripts
        self.identity = identity
        self._check = check

    def publish(
        self,
        contents: Encodable | Failure | BaseException,
        *,
        subject: str | None,
        to: str | None,
        retain_s: float | None,
        key: str | None,
    ) -> str:
        """Publish a report; arguments, result and errors as for `Service.report`."""
        event = self._event(contents, subject)
        if to is None:
            return publish(self._scripts, event, retain_s=retain_s, key=key)
        if retain_s is not None or key is not None:
            raise SettingsError(f"a report to {to!r} only cannot be retained and has no idempotency key: leave out retain_s and key")
        if not publish_direct(self._scripts, event, to=to):
            raise NotSubscribedError(f"no subscriber is named {to!r}: the names are those of bus.demand({event.topic!r})")
        return ""

    def expire(self, *subjects: str | Collection[str]) -> list[str]:
        """Delete the retained reports about subjects, so that later subscribers do not get them. The logs keep the events.

        Only reports of this service are deleted, of this incarnation or an earlier one.

        Args:
            subjects: subjects and glob patterns, or lists of them.

        Returns:
            The topics of the deleted reports, sorted.

        Raises:
            EmptySubscriptionError, InvalidTopicError: no subject was given, or one is not valid; nothing was deleted.
            ServiceWithdrawnError, ClosedError: the service has ended, or is not open yet.
        """
        self._check()
        wanted = check_topics(flat_topics(*subjects))
        globs = [Glob(subject) for subject in wanted if is_pattern(subject)]
        prefix = f"{self.identity()[0]}."
        topics = {prefix + subject for subject in wanted if not is_pattern(subject)}
        for topic in self._scripts.topics() if globs else ():
            if topic.startswith(prefix) and any(glob.matches(topic.removeprefix(prefix)) for glob in globs):
                topics.add(topic)
        return expire_retained(self._scripts, sorted(topics), where=self._is_own)

    def purge(self) -> list[str]:
        """Delete all retained reports of the service, and its retained status event. Result and errors as for `expire`."""
        self._check()
        return self.delete_all()

    def delete_all(self) -> list[str]:
        """Do what `purge` does, also if the service has ended."""
        name, _ = self.identity()
        topics = [topic for topic in self._scripts.topics() if topic.startswith(f"{name}.")]
        return expire_retained(self._scripts, sorted([*topics, self._scripts.keys.status_topic(name)]), where=self._is_own)

    def _event(self, contents: Encodable | Failure | BaseException, subject: str | None) -> Event:
        name, incarnation = self.identity()
        topic = self._scripts.keys.status_topic(name) if subject is None else report_topic(name, subject)
        source = name if subject is None else report_source(name, incarnation)
        return Event(topic=topic, contents=contents_of(topic, contents), source=source)

    def _is_own(self, event: Event) -> bool:
        """Return whether the event is of this service. ``a`` and ``a.b`` share the topic ``a.b.c``; a successor may have reported."""
        name, incarnation = self.identity()
        report = Report.of(event)
        if report is None:
            return event.source == name and event.topic == self._scripts.keys.status_topic(name)
        return report.service == name and report.incarnation <= incarnation


def report_topic(service: str, subject: str) -> str:
    """Return the topic of a service's reports about a subject: ``<service>.<subject>``.

    Raises:
        InvalidTopicError: the subject is not text, is empty, is too long, or is a pattern.
    """
    return f"{service}.{check_topic(subject)}"


def report_source(service: str, incarnation: int) -> str:
    """Return the ``source`` of a report: ``<service>#<incarnation>``."""
    return f"{service}#{incarnation}"
