"""``notify web``: serves the page."""

import ipaddress
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cli.options import AsJson, Namespace, Url, options
from cli.signals import Stop
from cli.web.access import Access, Token, read_tokens
from cli.web.mount import require, web_app
from notify import SettingsError

__all__ = ["web"]

PORT: Final = 8400
TOKENS: Final = {"NOTIFY_WEB_TOKEN": "act", "NOTIFY_WEB_READ_TOKEN": "read"}
"""The environment variables with a token, and the role of who knows it."""
BACKLOG: Final = 256
LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")


def web(
    context: typer.Context,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on. Any but a loopback one needs a token or --auth-header.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = PORT,
    allow_actions: Annotated[
        bool, typer.Option("--allow-actions", help="Let people change jobs, queues, workers and services; else they may only look.")
    ] = False,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            help="File with a token per line: TOKEN, 'read TOKEN' or 'act NAME TOKEN'. Or give $NOTIFY_WEB_TOKEN, $NOTIFY_WEB_READ_TOKEN.",
            show_default=False,
        ),
    ] = None,
    auth_header: Annotated[
        str | None,
        typer.Option("--auth-header", help="Header in which a proxy names the user, such as X-Forwarded-User.", show_default=False),
    ] = None,
    proxies: Annotated[
        list[str] | None,
        typer.Option("--trusted-proxy", help="Address or network of that proxy; by default this host.", show_default=False),
    ] = None,
    actors: Annotated[
        list[str] | None, typer.Option("--actor", help="User of the proxy that may act; by default all of them.", show_default=False)
    ] = None,
    allowed_hosts: Annotated[
        list[str] | None,
        typer.Option("--allowed-host", help="Further name by which browsers reach the page, as in its URL.", show_default=False),
    ] = None,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Serve a page that shows jobs, services, queues, workers and topics as they change, until Ctrl-C."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    access = _access(allow_actions, token_file, auth_header, proxies, actors)
    if not (access.is_guarded or _is_loopback(host)):
        raise SettingsError(
            f"{host} can be reached by others, and everybody there could look: give --token-file or --auth-header, or listen on 127.0.0.1"
        )
    names = [*LOOPBACK_NAMES, _in_url(host), *(allowed_hosts or ())]
    is_any = host in ("0.0.0.0", "::", "")  # noqa: S104  # a comparison
    uvicorn = require("uvicorn")
    with Stop() as stop, chosen.connect(name="notify-web") as bus:
        app = web_app(bus, access=access, hosts=None if is_any and not allowed_hosts else names)
        listening = _listen(host, port)
        server = _server(uvicorn, app, stop)
        with listening:
            found = listening.getsockname()[1]
            chosen.output.talk(f"the page is at http://{_in_url(host)}:{found} ({_told(access)}), for {bus.redis.address}")
            server.run(sockets=[listening])


def _server(uvicorn: Any, app: Any, stop: Stop) -> Any:
    """Return a server that ends when the command is told to, and leaves signals to the command."""

    class Server(uvicorn.Server):  # type: ignore[misc]  # imported when it is needed
        """A server of uvicorn."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

        async def on_tick(self, counter: int) -> bool:
            return bool(await super().on_tick(counter)) or stop.asked

    config = uvicorn.Config(
        app, log_level="warning", access_log=False, proxy_headers=False, server_header=False, timeout_graceful_shutdown=1, lifespan="on"
    )
    return Server(config)


def _access(
    allow_actions: bool, token_file: Path | None, auth_header: str | None, proxies: list[str] | None, actors: list[str] | None
) -> Access:
    """Return who may look and act.

    Raises:
        SettingsError: a file cannot be read, a token or a network is none, or options contradict each other.
    """
    tokens: list[Token] = []
    if token_file is not None:
        try:
            tokens += read_tokens(token_file.read_text().splitlines(), source=str(token_file))
        except (OSError, UnicodeError) as exc:
            raise SettingsError(f"the file with the token cannot be read: {exc}") from exc
    for variable, role in TOKENS.items():
        if os.environ.get(variable):
            tokens += read_tokens([f"{role} {os.environ[variable]}"], source=f"${variable}")
    if tokens and auth_header:
        raise SettingsError("give tokens or --auth-header, not both: either the page asks who comes, or the proxy does")
    if not auth_header and (proxies or actors):
        raise SettingsError("--trusted-proxy and --actor are for --auth-header: give that too")
    given = {"allow_actions": allow_actions, "tokens": tuple(tokens), "header": auth_header}
    if proxies:
        try:
            given["proxies"] = tuple(ipaddress.ip_network(proxy, strict=False) for proxy in proxies)
        except ValueError as exc:
            raise SettingsError(f"--trusted-proxy is no address or network: {exc}") from exc
    return Access(**given, actors=frozenset(actors) if actors else None)  # type: ignore[arg-type]  # one dict for all


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        SettingsError: the port is taken, or the address is none of this machine.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
            listening.listen(BACKLOG)
        except BaseException:
            listening.close()
            raise
    except OSError as exc:
        raise SettingsError(f"the page cannot listen on {host}:{port}: {exc.strerror or exc}; give another --port or --host") from exc
    return listening


def _told(access: Access) -> str:
    who = "with a token" if access.tokens else f"for users that {access.header} names" if access.header else "for everybody on this host"
    return f"{who}, {'with actions' if access.allow_actions else 'read-only'}"
