"""Serves metrics beside a pool."""

from contextlib import AbstractContextManager

from notify.connection import connect
from notify.errors import ServerError
from notify.settings import Settings
from workers.overview.metrics_port import serving_metrics
from workers.overview.probes import leases_missing
from workers.pool.pool import Pool

__all__ = ["serving_pool_metrics"]


def serving_pool_metrics(pool: Pool, address: str, settings: Settings) -> AbstractContextManager[None]:
    """Serve metrics within a block, if there is an address; the process is ready while each worker of the pool holds its lease."""

    def not_ready() -> str:
        try:
            with connect(settings=settings, environ={}, name="notify-probe") as bus:
                missing = leases_missing(bus.redis, pool.names)
        except ServerError as exc:
            return str(exc)
        return f"{len(missing)} of {pool.size} workers hold no lease" if missing or not pool.names else ""

    return serving_metrics(address, settings, not_ready=not_ready)
