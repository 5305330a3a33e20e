"""The history of topics, services, requests and losses, as points in time."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final, TypeVar

import msgspec

from notify.history.fields import Words
from notify.history.histogram import Histogram
from notify.history.reader import History
from notify.history.tally import Tally, tallies, tally_of_all

__all__ = [
    "LossPoint",
    "RequestPoint",
    "ServicePoint",
    "TopicPoint",
    "histories_of_methods",
    "histories_of_services",
    "histories_of_topics",
    "loss_history",
    "request_history",
    "service_history",
    "topic_history",
]


POLICIES: Final = ("cancel", "hold", "drain")
P = TypeVar("P")


class TopicPoint(msgspec.Struct, frozen=True):
    """The events of one minute or hour.

    Args:
        at: when it began, by the server's clock.
        events: the events that programs and services published. What Notify says about jobs is counted as jobs.
        gaps: how often a subscriber was told that events are lost to it.
    """

    at: datetime
    events: int = 0
    gaps: int = 0


class ServicePoint(msgspec.Struct, frozen=True):
    """What became of services in one minute or hour.

    Args:
        at: when it began, by the server's clock.
        registered: registrations, also those of standbys that got the name they waited for.
        suspected, recovered: how often heartbeats were late, and came again.
        withdrawn: withdrawals by their reason: ``withdrawn``, ``killed``, ``expired`` or ``promoted``.
    """

    at: datetime
    registered: int = 0
    suspected: int = 0
    recovered: int = 0
    withdrawn: Mapping[str, int] = {}


class RequestPoint(msgspec.Struct, frozen=True):
    """The requests that services served in one minute or hour.

    Args:
        at: when it began, by the server's clock.
        answered: requests whose method returned.
        failed: requests whose method raised an error, or is not exported.
        took: the time from the moment at which a request was taken to its answer.
    """

    at: datetime
    answered: int = 0
    failed: int = 0
    took: Histogram = Histogram()


class LossPoint(msgspec.Struct, frozen=True):
    """The jobs that lost a need in one minute or hour.

    Args:
        at: when it began, by the server's clock.
        by_need: how many, by the policy (``on_loss``) and the need: ``cancel`` counts jobs that were cancelled or stopped, ``hold``
            those that were held.
    """

    at: datetime
    by_need: Mapping[tuple[str, str], int] = {}


def topic_history(history: History, *, topic: str | None = None) -> tuple[TopicPoint, ...]:
    """Return a point for each moment: of one topic, or of all."""
    return _points(history, tally_of_all(history, "topic", topic), _topic_point)


def histories_of_topics(history: History) -> dict[str, tuple[TopicPoint, ...]]:
    """Return the history of each topic, by its name."""
    return {name: _points(history, row, _topic_point) for name, row in sorted(tallies(history, "topic", 1, _first).items())}


def service_history(history: History, *, service: str | None = None) -> tuple[ServicePoint, ...]:
    """Return a point for each moment: of one service, or of all."""
    return _points(history, tally_of_all(history, "service", service), _service_point)


def histories_of_services(history: History) -> dict[str, tuple[ServicePoint, ...]]:
    """Return the history of each service, by its name."""
    return {name: _points(history, row, _service_point) for name, row in sorted(tallies(history, "service", 1, _first).items())}


def request_history(history: History, *, service: str | None = None, method: str | None = None) -> tuple[RequestPoint, ...]:
    """Return a point for each moment: of one service or of all, and of one method or of all."""
    return _points(history, tally_of_all(history, "request", service, method), _request_point)


def histories_of_methods(history: History) -> dict[tuple[str, str], tuple[RequestPoint, ...]]:
    """Return the history of each method, by the names of its service and itself."""
    return {pair: _points(history, row, _request_point) for pair, row in sorted(tallies(history, "request", 2, _both).items())}


def loss_history(history: History, *, need: str | None = None) -> tuple[LossPoint, ...]:
    """Return a point for each moment: of one need, or of all."""
    points: list[dict[tuple[str, str], int]] = [{} for _ in history.moments]
    for name, row in tallies(history, "loss", 1, _first).items():
        for by_need, tally in zip(points, row, strict=True):
            by_need |= {(policy, name): number for policy in POLICIES if (number := tally.number(policy)) and need in (None, name)}
    return tuple(LossPoint(moment.at, by_need) for moment, by_need in zip(history.moments, points, strict=True))


def _points(history: History, row: Sequence[Tally], make: Callable[[datetime, Tally], P]) -> tuple[P, ...]:
    return tuple(make(moment.at, tally) for moment, tally in zip(history.moments, row, strict=True))


def _topic_point(at: datetime, tally: Tally) -> TopicPoint:
    return TopicPoint(at, tally.number("events"), tally.number("gaps"))


def _service_point(at: datetime, tally: Tally) -> ServicePoint:
    registered, suspected, recovered = map(tally.number, ("registered", "suspected", "recovered"))
    return ServicePoint(at, registered, suspected, recovered, tally.by_detail.get("withdrawn", {}))


def _request_point(at: datetime, tally: Tally) -> RequestPoint:
    return RequestPoint(at, tally.number("answered"), tally.number("failed"), tally.histogram("took"))


def _first(names: Words) -> str:
    return names[0]


def _both(names: Words) -> tuple[str, str]:
    return names[0], names[1]
