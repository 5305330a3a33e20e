"""`connect`: opens a `Bus` from a URL, from the environment, or on the private server of the user."""

import os
from collections.abc import Mapping

import msgspec

from notify.bus import Bus
from notify.errors import SettingsError
from notify.server import ONE_ATTEMPT, EmbeddedServer, LinkHandler, default_directory, open_client, process_name
from notify.settings import Settings
from notify.values import is_text

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
    """Connect to a Redis server, or to the private server of this user.

    Args:
        url: ``redis://``, ``rediss://``, ``unix://`` or ``redis+sentinel://``; or ``memory://`` for a new fake server in this process,
            ``memory://<name>`` for one that all with that name share (for tests, with the extra ``testing``). Without it, and
            without ``$NOTIFY_URL`` and ``$REDIS_URL``, the private server is used: it is started if it does not run, and its last
            user stops it.
        settings: the settings; by default read from ``environ``. If they are given, ``$NOTIFY_URL`` and ``$REDIS_URL`` are not read.
        environ: the environment; by default ``os.environ``.
        name: the name of this process, as source of events and in ``CLIENT LIST``; by default ``host:pid``.
        retry_s: seconds between attempts, which are repeated while the server is unreachable; by default there is one attempt.
        on_link: called with a `LinkStatus` after the first probe of the server, and when the connection is lost or made again.

    Returns:
        A bus; close it, or use it as a context manager. That also closes what was opened through it, see `Bus.close`.

    Raises:
        SettingsError: the URL, the name or a setting cannot be used.
        ServerUnreachableError: no server answers at the address, and there is one attempt.
        ServerRefusedError: the server refuses the password, or is older than Redis 6.2.
        EmbeddedServerError: the private server could not be started.
    """
    if name is not None and not is_text(name):
        raise SettingsError(f"the name of this process is {name!r}: give a text without halves of surrogate pairs")
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
