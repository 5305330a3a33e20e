"""Metrics for Prometheus, and the answers to probes: what there is now, and counters from the history in Redis.

``notify metrics`` and the option ``--metrics-port`` serve them; it needs the extra ``metrics`` (prometheus-client).
Nothing here counts what happens: the scripts that make a change do, see `notify.history`.
"""

from workers.overview.metrics.collector import NotifyCollector
from workers.overview.metrics.server import MetricsServer

__all__ = ["MetricsServer", "NotifyCollector"]
