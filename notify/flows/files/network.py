"""The kinds of nodes that are servers and clients. Their fields are the arguments of `TCPServer` and `TCPClient`."""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from notify.errors import FlowFileError
from notify.flows.fanout import QueueLimits
from notify.flows.files.framed import Count, Framed
from notify.flows.files.kind import Above0, Name, Site
from notify.flows.tcp import TLS, TCPClient, TCPServer

__all__ = ["TcpClient", "TcpServer"]

Port: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=65_535)]


class Queue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The limits of the queue of each client."""

    when_full: Literal["drop_oldest", "disconnect", "wait"] = "drop_oldest"
    max_items: Count = QueueLimits().max_items
    max_bytes: Count = QueueLimits().max_bytes


class Certificates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Files with certificates, as PEM."""

    certificate: Name | None = None
    key: Name | None = None
    ca: Name | None = None
    server_name: Name | None = None


class Endpoint(Framed, frozen=True, kw_only=True):
    """What servers and clients have in common."""

    port: Port | None = None
    unix: Name | None = None
    queue: Queue | None = None
    token_file: Name | None = None
    tls: Certificates | None = None
    idle_timeout_s: Above0 | None = None

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of both."""
        tls = None if self.tls is None else TLS(**{name: value for name, value in msgspec.structs.asdict(self.tls).items() if value})
        return {
            "unix": self.unix,
            "framing": self.framing_made(),
            "queue": None if self.queue is None else QueueLimits(**msgspec.structs.asdict(self.queue)),
            "token": None if self.token_file is None else token_in(self.token_file),
            "idle_timeout_s": self.idle_timeout_s,
            "tls": tls,
        }


class TcpServer(Endpoint, frozen=True, kw_only=True):
    """source and sink: a server that listens at a port; a sink sends each item to all its clients"""

    host: str = "127.0.0.1"
    max_clients: Count = 1_000
    single_client: bool = False
    allowed: list[Name] | None = None

    def work(self, site: Site) -> Any:
        return TCPServer(
            self.port,
            None if self.host == "*" else self.host,
            max_clients=self.max_clients,
            single_client=self.single_client,
            allowed=self.allowed,
            **self.arguments(),
        )


class TcpClient(Endpoint, frozen=True, kw_only=True):
    """source and sink: a client that connects to a server, again and again"""

    host: Name | None = None
    reconnect: bool = True
    waits: bool = True

    def work(self, site: Site) -> Any:
        arguments = self.arguments()
        if self.queue is None:
            del arguments["queue"]
        return TCPClient(self.host, self.port, reconnect=self.reconnect, waits=self.waits, **arguments)


def token_in(path: str) -> str:
    """Return the shared token that a file holds, in its first line."""
    try:
        token = Path(path).read_text(encoding="utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise FlowFileError(f"the token file {path!r} cannot be read: {exc}") from exc
    if not token:
        raise FlowFileError(f"the token file {path!r} is empty: write the token into its first line")
    return token
