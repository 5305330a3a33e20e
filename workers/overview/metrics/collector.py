"""The metrics of a namespace, read when they are asked for: those of rq-exporter by its names, and those of Notify."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from notify.directory import registered_services
from notify.errors import ServerError
from notify.history import (
    EDGES_S,
    Histogram,
    History,
    histories_of_methods,
    histories_of_topics,
    loss_history,
    service_history,
    topic_history,
)
from notify.server import Client, whole
from workers import rq_keys
from workers.overview.fleet import find_workers
from workers.overview.history import COUNTED, histories_of_functions
from workers.overview.metrics.totals import Totals
from workers.overview.queue_info import QueueInfo, queues

__all__ = ["NotifyCollector"]

MOST_WORKERS: Final = 1_000
"""Workers, and queues, with metrics of their own: those that are first."""
STATUSES: Final = ("queued", "started", "finished", "failed", "deferred", "scheduled", "held", "stopped", "canceled")
STATES: Final = ("alive", "suspect", "overdue")
NO_KEY: Final = -2
"""What Redis answers to PTTL."""


class NotifyCollector(Collector):
    """Reads the metrics of one namespace at each collection. While Redis does not answer, ``notify_up`` is 0 and there are no others.

    Args:
        client: the server and the namespace; the threads that ask share it.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._totals = Totals(client)
        self._count, self._seconds = 0, 0.0

    def collect(self) -> Iterator[Metric]:
        began_at = time.perf_counter()
        try:
            found = [*self._read()]
        except ServerError:
            found = []
        self._count += 1
        self._seconds += time.perf_counter() - began_at
        yield GaugeMetricFamily("notify_up", "Whether Redis answered.", value=float(bool(found)))
        yield SummaryMetricFamily(
            "rq_request_processing_seconds", "Time spent collecting RQ data", count_value=self._count, sum_value=self._seconds
        )
        yield from found

    def describe(self) -> Sequence[Metric]:
        """Return nothing: what there is, is known when it is read."""
        return []

    def _read(self) -> Iterator[Metric]:
        client = self._client
        found_queues, history = queues(client)[:MOST_WORKERS], self._totals.read()
        with client.translating("reading metrics"):
            yield from self._workers()
            yield from _of_queues(found_queues)
            yield from self._directory()
        yield from _of_jobs(history)
        yield from _of_events(history)

    def _workers(self) -> Iterator[Metric]:
        """Yield the metrics of rq-exporter about workers."""
        workers = find_workers(self._client)[:MOST_WORKERS]
        with self._client.pipeline(transaction=False) as pipe:
            for worker in workers:
                pipe.hget(rq_keys.worker(worker.name), "total_working_time")
            times: list[Any] = pipe.execute(raise_on_error=False)
        rows = GaugeMetricFamily("rq_workers", "RQ workers", labels=["name", "state", "queues"])
        success = CounterMetricFamily("rq_workers_success", "RQ workers success count", labels=["name", "queues"])
        failed = CounterMetricFamily("rq_workers_failed", "RQ workers fail count", labels=["name", "queues"])
        working = CounterMetricFamily("rq_workers_working_time", "RQ workers spent seconds", labels=["name", "queues"])
        for worker, seconds in zip(workers, times, strict=True):
            names = [worker.name, ",".join(worker.queues)]
            rows.add_metric([worker.name, worker.state, names[1]], 1)
            success.add_metric(names, worker.done)
            failed.add_metric(names, worker.failed)
            working.add_metric(names, _seconds(seconds))
        yield from (rows, success, failed, working)
        yield _gauge("notify_workers", "Workers by state.", ["state"], Counter[str](worker.state for worker in workers))

    def _directory(self) -> Iterator[Metric]:
        """Yield the metrics about services, leases, the leader and the sweep."""
        client, keys = self._client, self._client.own_keys
        states = Counter[str](service.state for service in registered_services(client))
        with client.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.get(keys.renewed)
            pipe.pttl(keys.leader)
            pipe.hget(keys.clock, "cron_ms")
            pipe.hget(keys.sweep, "at_ms")
            (seconds, microseconds), renewed, lease_ms, led, swept = pipe.execute(raise_on_error=False)
        now_ms = seconds * 1000 + microseconds // 1000
        yield _gauge("notify_services", "Registered services by state.", ["state"], dict.fromkeys(STATES, 0) | states)
        lease_s = max(0, lease_ms) / 1000
        yield GaugeMetricFamily("notify_leader", "Whether one of the workers leads.", value=int(lease_ms != NO_KEY))
        yield GaugeMetricFamily(
            "notify_leader_lease_seconds", "Seconds that the lease of the leader has left; 0 if none leads.", value=lease_s
        )
        yield from _age("notify_leader_age_seconds", "Seconds since a leader looked for recurring jobs that are due.", led, now_ms)
        yield from _age("notify_lease_age_seconds", "Seconds since any worker renewed its lease.", renewed, now_ms)
        yield from _age("notify_sweep_age_seconds", "Seconds since somebody looked for dead services.", swept, now_ms)


def _of_queues(found: Sequence[QueueInfo]) -> Iterator[Metric]:
    jobs = GaugeMetricFamily("rq_jobs", "RQ jobs by state", labels=["queue", "status"])
    latency = GaugeMetricFamily("notify_queue_latency_seconds", "Age of the oldest job that waits; 0 if none does.", labels=["queue"])
    held = GaugeMetricFamily("notify_held_jobs", "Jobs that wait for a service that they need.", labels=["queue"])
    for queue in found:
        for status in STATUSES:
            jobs.add_metric([queue.queue, status], getattr(queue, status))
        latency.add_metric([queue.queue], queue.latency_s or 0.0)
        held.add_metric([queue.queue], queue.held)
    yield from (jobs, latency, held)


def _of_jobs(history: History) -> Iterator[Metric]:
    changes = CounterMetricFamily("notify_jobs", "Jobs by what became of them.", labels=["queue", "function", "event"])
    waits = HistogramMetricFamily("notify_job_wait_seconds", "Seconds that jobs waited on their queue.", labels=["queue", "function"])
    works = HistogramMetricFamily("notify_job_duration_seconds", "Seconds that runs of jobs took.", labels=["queue", "function"])
    for (queue, function), (point,) in histories_of_functions(history).items():
        for name in COUNTED:
            if number := getattr(point, name):
                changes.add_metric([queue, function, name], number)
        for family, histogram in ((waits, point.wait), (works, point.work)):
            if histogram.count:
                _add_histogram(family, [queue, function], histogram)
    yield from (changes, waits, works)
    (losses,) = loss_history(history)
    lost = CounterMetricFamily("notify_jobs_lost", "Jobs that lost a service which they need.", labels=["need", "on_loss"])
    for (on_loss, need), number in sorted(losses.by_need.items()):
        lost.add_metric([need, on_loss], number)
    yield lost


def _of_events(history: History) -> Iterator[Metric]:
    events = CounterMetricFamily("notify_events", "Events that programs and services published.", labels=["topic"])
    for topic, (point,) in histories_of_topics(history).items():
        events.add_metric([topic], point.events)
    yield events
    yield CounterMetricFamily(
        "notify_gaps", "Times that a subscriber was told that events are lost to it.", value=topic_history(history)[0].gaps
    )
    withdrawals = CounterMetricFamily("notify_withdrawals", "Withdrawals of services.", labels=["reason"])
    for reason, number in sorted(service_history(history)[0].withdrawn.items()):
        withdrawals.add_metric([reason], number)
    yield withdrawals
    took = HistogramMetricFamily("notify_requests_seconds", "Seconds that services took for requests.", labels=["service", "method"])
    failed = CounterMetricFamily("notify_requests_failed", "Requests whose method raised an error.", labels=["service", "method"])
    for pair, (request,) in histories_of_methods(history).items():
        if request.took.count:
            _add_histogram(took, list(pair), request.took)
        failed.add_metric(list(pair), request.failed)
    yield from (took, failed)


def _add_histogram(family: HistogramMetricFamily, labels: Sequence[str], histogram: Histogram) -> None:
    buckets = [
        ("+Inf" if edge == EDGES_S[-1] else f"{edge:g}", float(number)) for edge, number in zip(EDGES_S, histogram.cumulative, strict=True)
    ]
    family.add_metric(labels, buckets, histogram.sum_s)


def _gauge(name: str, about: str, labels: Sequence[str], values: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(name, about, labels=labels)
    for label, value in sorted(values.items()):
        family.add_metric([label], value)
    return family


def _age(name: str, about: str, at_ms: Any, now_ms: int) -> Iterator[Metric]:
    if isinstance(at_ms, bytes):
        yield GaugeMetricFamily(name, about, value=max(0.0, (now_ms - whole(at_ms, now_ms)) / 1000))


def _seconds(value: Any) -> float:
    try:
        return float(value or 0.0)
    except (TypeError, ValueError):  # another program wrote it, or uses the key for something else
        return 0.0
