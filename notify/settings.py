"""The settings: one frozen object, and the only code that reads them from the environment."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec

from notify.errors import SettingsError

__all__ = ["JOB_EVENTS", "MAX_LIFETIME_S", "MAX_TIMEOUT_S", "MAX_TTL_S", "Settings", "positive", "redact"]

MAX_TTL_S: Final = 86_400.0
"""The longest ttl of a service. With a longer one, the death of the service would practically not be detected."""

MAX_LIFETIME_S: Final = 100 * 365 * 86_400.0
"""A hundred years. Redis refuses much longer lifetimes, in the middle of a script."""

MAX_TIMEOUT_S: Final = 86_400.0
"""The longest timeout for a connection or an answer."""

JOB_EVENTS: Final = (
    *("enqueued", "scheduled", "deferred", "started", "finished", "failed", "retried", "stopped", "cancelled"),
    *("held", "released", "deleted", "progress"),
)
"""The transitions of a job that can be published, and what a run reports about its progress."""

SCHEMES: Final = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The address of the server, timeouts and limits.

    Args:
        url: ``redis://``, ``rediss://``, ``unix://`` or ``redis+sentinel://``; ``None`` means the private server of the user.
        namespace: the first part of every key and channel.
        ttl_s: seconds without a heartbeat after which a service is withdrawn.
        retention_s: seconds for which the log of a topic is kept after its last event.
        log_length: events that the log of a topic keeps (the server may keep a few more).
        log_bytes: memory that the log of a topic takes, in bytes (it may take that of 64 events more); older events are cut off.
        max_payload_bytes: the largest encoded event, request or call of a job, in bytes.
        connect_timeout_s: seconds to wait for a connection.
        command_timeout_s: seconds to wait for the answer to a command of the program. Parts that work in the background, such as
            heartbeats and sweeps, wait two seconds at most.
        job_events: the transitions of jobs that are published on ``job.<queue>``: ``all``, ``none``, or a comma-separated list
            of those in ``JOB_EVENTS``, for example ``failed,stopped``.
        history: ``on``; or ``off``: this process counts nothing of what it does, see `notify.history`.
        history_minutes_s: seconds for which the counts of a minute are kept.
        history_hours_s: seconds for which the counts of an hour are kept.

    Raises:
        SettingsError: a value cannot be used; the message says which one and why.
    """

    url: str | None = None
    namespace: str = "notify"
    ttl_s: float = 5.0
    retention_s: float = 86_400.0
    log_length: int = 10_000
    log_bytes: int = 64 * 1024 * 1024
    max_payload_bytes: int = 65_536
    connect_timeout_s: float = 2.0
    command_timeout_s: float = 2.0
    job_events: str = "all"
    history: str = "on"
    history_minutes_s: float = 8 * 3600.0
    history_hours_s: float = 72 * 3600.0

    def __post_init__(self) -> None:
        if self.url is not None:
            _check_url(self.url)
        if (
            not isinstance(self.namespace, str)
            or not self.namespace
            or any(c.isspace() or not c.isprintable() or c in "*?[\\@" for c in self.namespace)
        ):
            raise SettingsError(f"namespace {self.namespace!r} cannot be used: give a name without spaces, '*', '?', '[', '@' and '\\'")
        positive(self.ttl_s, "ttl_s", at_most=MAX_TTL_S)
        for name in ("retention_s", "history_minutes_s", "history_hours_s"):
            positive(getattr(self, name), name, at_most=MAX_LIFETIME_S)
        positive(self.connect_timeout_s, "connect_timeout_s", at_most=MAX_TIMEOUT_S)
        positive(self.command_timeout_s, "command_timeout_s", at_most=MAX_TIMEOUT_S)
        for name in ("log_length", "log_bytes", "max_payload_bytes"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise SettingsError(f"{name} is {value!r}: give a whole number above 0")
        _check_job_events(self.job_events)
        if self.history not in ("on", "off"):
            raise SettingsError(f"history is {self.history!r}: give on or off")

    def __repr__(self) -> str:
        fields = ", ".join(
            f"{name}={redact(value) if name == 'url' and value else value!r}" for name, value in msgspec.structs.asdict(self).items()
        )
        return f"Settings({fields})"

    def tells(self, status: str) -> bool:
        """Return whether the transition of a job to ``status``, one of `JOB_EVENTS`, is published."""
        return self.job_events == "all" or status in self.job_events.split(",")

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Return the settings in environment variables.

        Args:
            environ: usually ``os.environ``. The url is ``NOTIFY_URL``, else ``REDIS_URL``; every other setting is
                ``NOTIFY_<SETTING>``, for example ``NOTIFY_TTL_S=2.5``. An empty variable counts as unset.

        Raises:
            SettingsError: a variable has a value that cannot be used; the message names the variable.
        """
        found: dict[str, str] = {}
        for field in cls.__struct_fields__:
            variables = [f"NOTIFY_{field.upper()}", *(["REDIS_URL"] if field == "url" else [])]
            variable = next((name for name in variables if environ.get(name)), None)
            if variable is not None:
                found[field] = environ[variable]
                _check_variable(variable, field, environ[variable])
        return msgspec.convert(found, cls, strict=False)


def positive(value: float, name: str, *, at_most: float = MAX_LIFETIME_S) -> float:
    """Return ``value`` if it is above 0 and at most ``at_most`` seconds, else raise a `SettingsError` that names it ``name``."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= at_most:
        raise SettingsError(f"{name} is {value!r}: give a number of seconds above 0 and at most {at_most:g}")
    return value


def redact(url: str) -> str:
    """Return a URL for logs and errors: without user and password, and without a query that may contain a password."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return "***" if "@" in url or "pass" in url.lower() else url
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    path, mark, query = rest.removeprefix(authority).partition("?")
    if authority and "@" in path + query:
        return f"{scheme}://***"  # a password contains "/", "?" or "#" unquoted: its end is unknown
    secret = "***@" if "@" in authority else ""
    return f"{scheme}://{secret}{authority.rpartition('@')[2]}{path}{mark}{'***' if 'pass' in query.lower() else query}"


def _check_variable(variable: str, field: str, value: str) -> None:
    """Check one setting alone, so that the error can name its environment variable."""
    try:
        msgspec.convert({field: value}, Settings, strict=False)
    except msgspec.ValidationError as exc:
        problem = exc.__cause__ if isinstance(exc.__cause__, SettingsError) else f"{value!r} is not a number"
        raise SettingsError(f"${variable} cannot be used: {problem}") from None


def _check_job_events(value: object) -> None:
    if value in ("all", "none") or (isinstance(value, str) and value and set(value.split(",")) <= set(JOB_EVENTS)):
        return
    raise SettingsError(f"job_events is {value!r}: give all, none, or a comma-separated list of {', '.join(JOB_EVENTS)}")


def _check_url(url: object) -> None:
    if not isinstance(url, str) or not _is_plausible(url):
        raise SettingsError(
            f"{redact(str(url))!r} is not the URL of a Redis server: give redis://host:6379/0, rediss://…, unix:///path/to/socket "
            "redis+sentinel://host:26379/name or, for tests, memory://; quote special characters in a password (%40 for @, %2F for /)"
        )


def _is_plausible(url: str) -> bool:
    scheme, _, rest = url.partition("://")
    if scheme not in SCHEMES and scheme != "memory":
        return False
    if scheme == "memory":
        return True
    if scheme.endswith("+sentinel"):
        return bool(rest.strip("/"))  # urlsplit may refuse a list of hosts with brackets
    try:
        parts = urlsplit(url)
        return parts.scheme in SCHEMES and (parts.port is None or parts.port > 0) and bool(parts.netloc or parts.path.strip("/"))
    except ValueError:
        return False
