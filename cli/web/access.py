"""Who may look at the page, and who may act: everybody, those with a token, or those whom a proxy names."""

import hashlib
import hmac
import ipaddress
import secrets
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec

from notify import SettingsError

__all__ = ["SESSION_S", "Access", "Role", "Token", "Viewer", "read_tokens"]

Role: TypeAlias = Literal["read", "act"]
"""``read``: sees everything; ``act``: changes jobs, queues, workers and services as well."""
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

SESSION_S: Final = 12 * 3600
"""Seconds after which a session ends and asks for the token again."""
SHORTEST_TOKEN: Final = 16
MOST_NAME_CHARS: Final = 100


class Viewer(msgspec.Struct, frozen=True):
    """Somebody who looks at the page.

    Args:
        name: the name that the events on the topic ``ops`` tell.
        role: what they may do.
    """

    name: str
    role: Role = "read"


class Token(msgspec.Struct, frozen=True):
    """A secret, and who they are that know it."""

    secret: str
    viewer: Viewer

    def __repr__(self) -> str:
        return f"Token(***, {self.viewer!r})"


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Who may look, and who may act.

    Args:
        allow_actions: whether anybody may act; without it everybody has the role ``read``.
        tokens: if there are any, only who has one may look.
        header: the header in which a proxy names the user; only who is named may look.
        proxies: the addresses from which that header is believed.
        actors: the users of the proxy that may act; ``None``: all of them.
        ask: a function of one's own: takes the ASGI scope of a request, and returns who asks, or ``None`` to refuse.
    """

    allow_actions: bool = False
    tokens: tuple[Token, ...] = ()
    header: str | None = None
    proxies: tuple[Network, ...] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
    actors: frozenset[str] | None = None
    ask: Callable[[Mapping[str, Any]], Viewer | None] | None = None

    @classmethod
    def of(cls, ask: Callable[[Mapping[str, Any]], Viewer | None]) -> "Access":
        """Return the access that a function decides: it takes the ASGI scope of a request, and returns a `Viewer` or ``None``."""
        return cls(allow_actions=True, ask=ask)

    @property
    def is_guarded(self) -> bool:
        """Whether not everybody may look."""
        return bool(self.tokens or self.header or self.ask)

    def viewer_of(self, scope: Mapping[str, Any]) -> Viewer | None:
        """Return who sent a request; ``None`` if they may not look."""
        found = self._find(scope)
        if found is None or self.allow_actions:
            return found
        return Viewer(found.name)

    def is_token(self, text: str) -> bool:
        """Return whether a text is one of the tokens."""
        return self._token(text) is not None

    def log_in(self, secret: str) -> str | None:
        """Return the session of who knows a token; ``None`` if there is no such token."""
        found = self._token(secret)
        if found is None:
            return None
        body = f"{secrets.token_hex(8)}.{int(time.time()) + SESSION_S}"
        return f"{body}.{_seal(found.secret, 'session', body)}"

    def form_seal(self, nonce: str) -> str:
        """Return what the forms of a browser must send back. Nobody can make it who does not know the secrets of this page."""
        return _seal("".join(token.secret for token in self.tokens) or _OWN_SECRET, "form", nonce)

    def _find(self, scope: Mapping[str, Any]) -> Viewer | None:
        headers: dict[bytes, bytes] = dict(scope.get("headers", ()))
        if self.ask is not None:
            return self.ask(scope)
        if self.header is not None:
            return self._from_proxy(scope, headers)
        if not self.tokens:
            return Viewer(str((scope.get("client") or ("local",))[0]), "act")
        kind, _, given = headers.get(b"authorization", b"").decode(errors="replace").partition(" ")
        if kind.lower() == "bearer":
            token = self._token(given.strip())
            return token.viewer if token is not None else None
        return self._from_session(_cookie(headers, "notify_session"))

    def _from_proxy(self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> Viewer | None:
        assert self.header is not None  # noqa: S101  # the caller has checked
        names = [value for name, value in scope.get("headers", ()) if name == self.header.lower().encode()]
        try:
            address = ipaddress.ip_address((scope.get("client") or ("",))[0])
        except ValueError:
            return None
        if len(names) != 1 or not any(address in network for network in self.proxies):
            return None  # two headers of one name: somebody added theirs to that of the proxy
        name = names[0].decode(errors="replace").strip()[:MOST_NAME_CHARS]
        if not name:
            return None
        return Viewer(name, "act" if self.actors is None or name in self.actors else "read")

    def _from_session(self, session: str) -> Viewer | None:
        body, _, seal = session.rpartition(".")
        _, _, ends = body.partition(".")
        if not ends.isdecimal() or len(ends) > 15 or int(ends) < time.time():
            return None
        given = seal.encode(errors="surrogatepass")
        found = (token for token in self.tokens if hmac.compare_digest(_seal(token.secret, "session", body).encode(), given))
        return next((token.viewer for token in found), None)

    def _token(self, secret: str) -> Token | None:
        # All are compared, so that the time tells nothing.
        given = secret.encode(errors="surrogatepass")
        found = [token for token in self.tokens if hmac.compare_digest(token.secret.encode(), given)]
        return found[0] if found else None


def read_tokens(lines: Collection[str], *, source: str) -> tuple[Token, ...]:
    """Return the tokens in the lines of a file: ``TOKEN``, ``ROLE TOKEN`` or ``ROLE NAME TOKEN``; ``#`` begins a comment.

    Raises:
        SettingsError: a line is none of these, a token is short, or there is none.
    """
    tokens: list[Token] = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        role, name = (words[0] if len(words) > 1 else "act"), (words[1] if len(words) == 3 else "")
        if len(words) > 3 or role not in ("read", "act"):
            raise SettingsError(f"line {number} of {source} is no token: write TOKEN, 'read TOKEN', or 'act NAME TOKEN'")
        if len(words[-1]) < SHORTEST_TOKEN:
            raise SettingsError(f"the token in line {number} of {source} is shorter than {SHORTEST_TOKEN} characters: take a random one")
        tokens.append(Token(words[-1], Viewer(name or f"token {len(tokens) + 1}", "act" if role == "act" else "read")))
    if not tokens:
        raise SettingsError(f"there is no token in {source}: write one, of at least {SHORTEST_TOKEN} random characters")
    return tuple(tokens)


_OWN_SECRET: Final = secrets.token_hex(32)
"""The secret of this process, where there is no token."""


def _seal(secret: str, purpose: Literal["session", "form"], text: str) -> str:
    # Each purpose has a key of its own: a browser chooses the text of a form's seal, and could choose that of a session.
    key = hashlib.sha256(f"notify web {purpose} {secret}".encode(errors="surrogatepass")).digest()
    return hmac.new(key, text.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()


def _cookie(headers: Mapping[bytes, bytes], name: str) -> str:
    for part in headers.get(b"cookie", b"").decode(errors="replace").split(";"):
        key, _, value = part.strip().partition("=")
        if key == name:
            return value
    return ""
