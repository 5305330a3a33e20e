"""The way in: `connect`, from a URL, the environment or nothing at all to a `Bus`."""

import os
from collections.abc import Mapping

import msgspec

from notify.bus import ONE_ATTEMPT, Bus
from notify.server import EmbeddedServer, LinkHandler, default_directory, open_client, process_name
from notify.settings import Settings

__all__ = ["connect"]


def connect(
    url: str | None = None,
    *,
    settings: Settings | None = None,
    environ: Mapping[str, str] | None = None,
    name: str | None = None,
    retry_s: float = ONE_ATTEMPT,
    on_link: LinkHandler | None = None,
) -> Bus:
    """Connect to a Redis server, or to the private one of this user.

    Args:
        url: ``redis://``, ``rediss://``, ``unix://`` or ``redis+sentinel://``. Without one, and without
            ``$NOTIFY_URL`` and ``$REDIS_URL``, a private server is found or started; it ends with its last user.
        settings: everything else that can be set; by default read from ``environ``.
        environ: instead of ``os.environ``.
        name: what this process calls itself, as source of events and in ``CLIENT LIST``; by default ``host:pid``.
        retry_s: seconds between attempts, for as long as it takes; by default there is one attempt.
        on_link: is called when we are connected, when the connection is lost, and when the first attempt fails, in order.

    Returns:
        A bus; close it, or use it as a context manager.

    Raises:
        SettingsError: the URL or a setting cannot be used.
        ServerUnreachableError: nobody answers at the address.
        ServerRefusedError: the server wants another password, or is older than Redis 6.2.
        EmbeddedServerError: the private server would not start.
    """
    environ = os.environ if environ is None else environ
    settings = settings or Settings.from_env(environ)
    if url is not None:
        settings = msgspec.structs.replace(settings, url=url)
    embedded = None
    if settings.url is None:
        embedded = EmbeddedServer(default_directory(environ), environ)
        settings = msgspec.structs.replace(settings, url=embedded.url)
    try:
        client = open_client(settings, name=name or process_name())
    except BaseException:
        if embedded is not None:
            embedded.close()
        raise
    bus = Bus(client, name=name or process_name(), embedded=embedded)
    try:
        bus.open(retry_s=retry_s, on_link=on_link)
    except BaseException:
        bus.close()
        raise
    return bus
