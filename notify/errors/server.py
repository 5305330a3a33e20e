"""Errors of the server and of the connection to it."""

from notify.errors.base import NotifyError

__all__ = ["EmbeddedServerError", "NoServerBinaryError", "ServerError", "ServerRefusedError", "ServerUnreachableError"]


class ServerError(NotifyError):
    """The Redis server cannot be used."""


class ServerUnreachableError(ServerError, ConnectionError):
    """The server does not answer at its address."""


class ServerRefusedError(ServerError):
    """The server answered with an error."""


class EmbeddedServerError(ServerError):
    """The private server cannot be started or stopped."""


class NoServerBinaryError(EmbeddedServerError):
    """No Redis or Valkey server is installed on this machine."""
