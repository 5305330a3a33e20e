"""Serves metrics while a command runs, if that is wanted; what that needs is imported then, and not before."""

from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any

__all__ = ["serving_metrics"]


def serving_metrics(address: str | None, bus: Any) -> AbstractContextManager[None]:
    """Return a block in which metrics are served at an address, if there is one.

    Args:
        address: ``PORT`` or ``HOST:PORT``; ``None`` or empty: serve nothing.
        bus: the bus of the command, whose settings count; with an address only.

    Raises:
        SettingsError: the address is none or is in use, or the extra ``metrics`` is not installed.
    """
    if not address:
        return nullcontext()
    serving: AbstractContextManager[None] = import_module("workers.overview.metrics_port").serving_metrics(address, bus.settings)
    return serving
