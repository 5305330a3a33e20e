"""What every request passes: the name of the host, the size of the body, where a form comes from, who asks; and the headers of answers."""

from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl, quote

from cli.web.access import Access

__all__ = ["MOST_BODY_BYTES", "Guard", "path_of"]

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_BODY_BYTES: Final = 128 * 1024
"""The largest body of a request. A form with two hundred marked jobs has 10 kB, and an event at most 64 KiB."""
TOKEN_NAMES: Final = frozenset({"token", "access_token", "api_key", "apikey", "auth", "password"})
OPEN_PATHS: Final = ("/static/", "/login", "/healthz")
"""Where one may look without being known."""
HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


class Guard:
    """An ASGI application around the page. What does not pass is answered with a line of text, and goes no further.

    Args:
        app: the page. It finds who asks in ``scope["notify_viewer"]``.
        access: who may look.
        hosts: the names that a request may have as its ``Host``, without port; ``None``: any.
    """

    def __init__(self, app: App, *, access: Access, hosts: Collection[str] | None) -> None:
        self._app = app
        self._access = access
        self._hosts = None if hosts is None else frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1003})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send = _with_headers(send)
        headers = {name: value.decode(errors="replace") for name, value in scope["headers"]}
        problem = self._problem(scope, headers)
        if problem is not None:
            await _answer(send, *problem)
            return
        viewer, path = self._access.viewer_of(scope), path_of(scope)
        if viewer is None and not path.startswith(OPEN_PATHS):
            await self._refuse(scope, headers, send)
            return
        scope["notify_viewer"] = viewer
        await self._app(scope, _limited(receive), send)

    def _problem(self, scope: Scope, headers: Mapping[bytes, str]) -> tuple[int, str] | None:
        """Return the status and the text that refuse a request; ``None`` if it may go on."""
        host = headers.get(b"host", "")
        if self._hosts is not None and _host_name(host) not in self._hosts:
            return 421, f"this page is not served as {host[:100]!r}: start it with --allowed-host to give it that name"
        given = parse_qsl(scope["query_string"].decode(errors="replace"), keep_blank_values=True)
        if any(name.lower() in TOKEN_NAMES or self._access.is_token(name) or self._access.is_token(value) for name, value in given):
            return 400, "a token in a URL stands in logs and histories afterwards: send it as Authorization: Bearer, or log in"
        size = headers.get(b"content-length", "0")
        if not size.isdecimal() or len(size) > 12 or int(size) > MOST_BODY_BYTES:
            return 413, f"the body has {size[:20]} bytes, the limit is {MOST_BODY_BYTES}"
        if scope["method"] in ("GET", "HEAD"):
            return None
        origin = headers.get(b"origin")
        if (origin is not None and origin.partition("://")[2].lower() != host.lower()) or headers.get(b"sec-fetch-site") in (
            "cross-site",
            "same-site",
        ):
            return 403, "this form was sent from a page of another origin: open the page itself, and try again"
        return None

    async def _refuse(self, scope: Scope, headers: Mapping[bytes, str], send: Send) -> None:
        if self._access.header is not None:
            await _answer(send, 403, f"the proxy names no user in {self._access.header}, or it is none of the trusted ones")
        elif not self._access.tokens:
            await _answer(send, 403, "you may not look at this page")
        elif scope["method"] == "GET" and "text/html" in headers.get(b"accept", ""):
            query = scope["query_string"].decode("latin-1")
            target = path_of(scope) + (f"?{query}" if query else "")
            login = f"{scope.get('root_path', '')}/login?next={quote(target, safe='')}"
            await _answer(send, 303, "log in first", {"location": login})
        else:
            await _answer(send, 401, "send a token as Authorization: Bearer, or log in", {"www-authenticate": "Bearer"})


def path_of(scope: Mapping[str, Any]) -> str:
    """Return the path of a request below the place where the page is mounted."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path.removeprefix(root) or "/" if root and path.startswith(root) else path


def _limited(receive: Receive) -> Receive:
    """Return a receiver that ends at the limit of a body. What lies behind it is taken for cut off."""
    left = MOST_BODY_BYTES

    async def limited() -> MutableMapping[str, Any]:
        nonlocal left
        message = await receive()
        if message["type"] == "http.request":
            left -= len(message.get("body", b""))
            if left < 0:
                return {"type": "http.disconnect"}
        return message

    return limited


def _with_headers(send: Send) -> Send:
    """Return a sender that adds the headers of safety to the start of an answer."""

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            given = list(message.get("headers", ()))
            names = {name.lower() for name, _ in given}
            added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            if b"cache-control" not in names:
                added.append((b"cache-control", b"no-store"))
            message = {**message, "headers": [*given, *added]}
        await send(message)

    return sending


async def _answer(send: Send, status: int, text: str, more: Mapping[str, str] | None = None) -> None:
    body = f"{text}\n".encode()
    headers = {"content-type": "text/plain; charset=utf-8", "content-length": str(len(body)), **(more or {})}
    await send({"type": "http.response.start", "status": status, "headers": [(k.encode(), v.encode()) for k, v in headers.items()]})
    await send({"type": "http.response.body", "body": body})


def _host_name(host: str) -> str:
    """Return the name in a ``Host`` header, without port."""
    name = host.strip().lower()
    if name.startswith("["):
        return name.partition("]")[0] + "]"
    return name.partition(":")[0].rstrip(".")
