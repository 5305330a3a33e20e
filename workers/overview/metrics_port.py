"""Serves metrics beside something else, if that is wanted, without importing what only that needs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from notify.bus import Bus
from notify.connection import connect
from notify.errors import SettingsError
from notify.settings import Settings

__all__ = ["metrics_server", "serving_metrics"]

NEEDS = "metrics need prometheus-client: pip install 'notify-workers[metrics]'"


def metrics_server(bus: Bus, address: str, *, not_ready: Callable[[], str] = lambda: "") -> Any:
    """Return a `MetricsServer`, which is not open yet.

    Args:
        bus: the namespace.
        address: ``PORT`` or ``HOST:PORT``; without a host, this machine only.
        not_ready: as for `MetricsServer`.

    Raises:
        SettingsError: the address is none, or the extra ``metrics`` is not installed.
    """
    host, _, port = address.rpartition(":")
    if not port.isdecimal() or int(port) > 65_535:
        raise SettingsError(f"{address!r} is no address for metrics: give PORT or HOST:PORT, such as 9400 or 0.0.0.0:9400")
    try:
        found = import_module("workers.overview.metrics")
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] != "prometheus_client":
            raise
        raise SettingsError(NEEDS) from exc
    return found.MetricsServer(bus, host=host.strip("[]") or "127.0.0.1", port=int(port), not_ready=not_ready)


@contextmanager
def serving_metrics(address: str | None, settings: Settings, *, not_ready: Callable[[], str] = lambda: "") -> Iterator[None]:
    """Serve metrics within a block, on a connection of their own; do nothing without an address. Arguments and errors as above."""
    if not address:
        yield
        return
    with connect(settings=settings, environ={}, name="notify-metrics") as bus, metrics_server(bus, address, not_ready=not_ready):
        yield
