"""One frozen object with everything that can be set, and the only reading of the environment."""

import math
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import msgspec

from notify.errors import SettingsError

__all__ = ["MAX_TTL_S", "Settings", "positive", "redact"]

MAX_TTL_S: Final = 86_400.0
"""A service that may be silent for more than a day is not watched at all."""

SCHEMES: Final = ("redis", "rediss", "unix", "redis+sentinel")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach the server and within which limits to work.

    Args:
        url: ``redis://``, ``rediss://``, ``unix://`` or ``redis+sentinel://``; ``None`` means the private server.
        namespace: the first part of every key and channel. On Redis Cluster write it as a hash tag, ``{notify}``.
        ttl_s: seconds without a heartbeat after which a service is withdrawn.
        retention_s: seconds for which the log of a topic is kept after its last event.
        log_length: events kept per topic (the server may keep a few more).
        max_payload_bytes: the largest encoded event, in bytes.
        connect_timeout_s: seconds to wait for a connection.
        command_timeout_s: seconds to wait for the answer to a command.

    Raises:
        SettingsError: a value cannot be used; the message says which and why.
    """

    url: str | None = None
    namespace: str = "notify"
    ttl_s: float = 5.0
    retention_s: float = 86_400.0
    log_length: int = 10_000
    max_payload_bytes: int = 65_536
    connect_timeout_s: float = 2.0
    command_timeout_s: float = 5.0

    def __post_init__(self) -> None:
        if self.url is not None:
            _check_url(self.url)
        if not self.namespace or any(c.isspace() or not c.isprintable() or c in "*?[" for c in self.namespace):
            raise SettingsError(f"namespace {self.namespace!r} cannot be used: it must not be empty and hold no space, '*', '?' or '['")
        for name in ("ttl_s", "retention_s", "connect_timeout_s", "command_timeout_s"):
            positive(getattr(self, name), name)
        for name in ("log_length", "max_payload_bytes"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise SettingsError(f"{name} is {value!r}: give a whole number above 0")
        if self.ttl_s > MAX_TTL_S:
            raise SettingsError(f"ttl_s is {self.ttl_s:g}: give at most {MAX_TTL_S:g} seconds (a day)")

    def __repr__(self) -> str:
        fields = ", ".join(
            f"{name}={redact(value) if name == 'url' and value else value!r}" for name, value in msgspec.structs.asdict(self).items()
        )
        return f"Settings({fields})"

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the settings of a process from its environment.

        Args:
            environ: usually ``os.environ``. ``NOTIFY_URL`` (else ``REDIS_URL``) and ``NOTIFY_<SETTING>`` count, for
                example ``NOTIFY_TTL_S=2.5``; an empty value counts as unset.

        Raises:
            SettingsError: a variable holds a value that cannot be used; the message names the variable.
        """
        found: dict[str, str] = {}
        for field in cls.__struct_fields__:
            value = environ.get(f"NOTIFY_{field.upper()}", "") or (environ.get("REDIS_URL", "") if field == "url" else "")
            if value:
                found[field] = value
        try:
            return msgspec.convert(found, cls, strict=False)
        except msgspec.ValidationError as exc:
            if isinstance(exc.__cause__, SettingsError):
                raise exc.__cause__ from None
            raise SettingsError(f"cannot read the settings NOTIFY_* from the environment: {exc}") from exc


def positive(value: float, name: str) -> float:
    """Return ``value`` if it is a finite number above 0, else raise `SettingsError` naming ``name``."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise SettingsError(f"{name} is {value!r}: give a number of seconds above 0")
    return value


def redact(url: str) -> str:
    """Return the URL with its password and query (which may hold one too) hidden, fit for logs and errors."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "<a URL that cannot be read>"
    secret = "***@" if "@" in parts.netloc else ""
    query = "&".join(
        f"{name}=***" if "pass" in name.lower() else pair for pair in parts.query.split("&") if pair for name in [pair.partition("=")[0]]
    )
    return urlunsplit((parts.scheme, secret + host, parts.path, query, ""))


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        port_is_fine = parts.scheme == "redis+sentinel" or parts.port is None or parts.port > 0
    except ValueError:
        parts, port_is_fine = urlsplit(""), False
    if parts.scheme not in SCHEMES or not port_is_fine or not (parts.netloc or parts.path.strip("/")):
        raise SettingsError(
            f"{redact(url)!r} is no URL of a Redis server: write redis://host:6379/0, rediss://…, unix:///path/to/socket or redis+sentinel://host:26379/name"
        )
