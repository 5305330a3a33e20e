"""Addresses of TCP and Unix sockets, and the errors of those that cannot be opened."""

import contextlib
import errno
import ipaddress
import os
import socket
import ssl
import stat
from collections.abc import Collection, Iterator
from typing import Any, TypeAlias

import msgspec

from notify.errors import EndpointError, WiringError

__all__ = ["Address", "Network", "address_of", "is_in", "networks_of", "peer_of", "socket_for_all", "translating", "unix_socket"]

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class Address(msgspec.Struct, frozen=True):
    """Where an endpoint is: a host and a port, or the path of a Unix socket."""

    host: str | None = None
    port: int = 0
    path: str | None = None

    def __str__(self) -> str:
        if self.path is not None:
            return self.path
        return f"[{self.host}]:{self.port}" if self.host and ":" in self.host else f"{self.host or '*'}:{self.port}"


def address_of(host: str | None, port: object, path: str | None) -> Address:
    """Return the address for the arguments of an endpoint, or raise `WiringError`."""
    if path is not None:
        if port is not None:
            raise WiringError(f"both port {port!r} and unix={path!r} are given: give one of them")
        if not isinstance(path, str) or not path or "\0" in path or len(os.fsencode(path)) > 107:
            raise WiringError(f"unix is {path!r}: give the path of a socket, of at most 107 bytes")
        return Address(path=path)
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65_535:
        raise WiringError(f"port is {port!r}: give a number from 0 to 65535; 0 is any free port of a server")
    if host is not None and (not isinstance(host, str) or not host):
        raise WiringError(f"host is {host!r}: give a name or an address, or None for all addresses of this machine")
    return Address(host, port)


def networks_of(allowed: Collection[str] | None) -> tuple[Network, ...] | None:
    """Return the networks for an argument ``allowed``, or raise `WiringError`."""
    if allowed is None:
        return None
    if isinstance(allowed, str):
        raise WiringError(f"allowed is {allowed!r}: give a list of networks, such as ['10.0.0.0/8']")
    found = []
    for network in allowed:
        try:
            found.append(ipaddress.ip_network(network, strict=False))
        except ValueError as exc:
            raise WiringError(f"{network!r} in allowed is no network: {exc}; give addresses such as '10.0.0.0/8' or '::1'") from exc
    return tuple(found)


def is_in(peer: Any, networks: Collection[Network]) -> bool:
    """Return whether the name of a peer, as asyncio gives it, is in one of the networks; a Unix socket is."""
    if not isinstance(peer, tuple):
        return True
    address = ipaddress.ip_address(peer[0].partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in networks)


def peer_of(peer: Any, path: str | None) -> str:
    """Return the name of a peer for people."""
    return str(Address(peer[0].removeprefix("::ffff:"), peer[1])) if isinstance(peer, tuple) else f"a client of {path}"


@contextlib.contextmanager
def translating(address: Address, *, listens: bool) -> Iterator[None]:
    """Raise `EndpointError`, with the remedy, in place of the errors of the operating system."""
    try:
        yield
    except ssl.SSLError as exc:
        raise EndpointError(f"{address} cannot be reached by TLS: {_reason(exc)}; check tls= on both sides") from exc
    except UnicodeError as exc:  # of the encoding for names of hosts
        raise EndpointError(f"{address} cannot be reached: {address.host!r} is no name of a host") from exc
    except OSError as exc:
        what = "cannot be listened at" if listens else "cannot be reached"
        raise EndpointError(f"{address} {what}: {_remedy(exc, address, listens=listens)}") from exc


def socket_for_all(port: int) -> socket.socket:
    """Return a bound socket for all addresses of this machine, of both versions of IP, which share the port. Raises `OSError`."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def unix_socket(address: Address, mode: int) -> socket.socket:
    """Return a bound Unix socket. The file that a dead server has left there is replaced, that of a living one is not.

    Raises:
        OSError: it cannot be bound.
    """
    path = address.path or ""
    with contextlib.suppress(FileNotFoundError):  # nothing is in the way
        if stat.S_ISSOCK(os.stat(path).st_mode) and not _answers(path):
            os.unlink(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(path)
        os.chmod(path, mode)  # before it listens: nobody connects in between
    except BaseException:
        bound.close()
        raise
    return bound


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
        except OSError:
            return True  # it is full, or belongs to another user: it lives
    return True


def _reason(problem: ssl.SSLError) -> str:
    return getattr(problem, "verify_message", "") or problem.reason or str(problem)


def _remedy(problem: OSError, address: Address, *, listens: bool) -> str:
    """Return what is wrong and what to do about it."""
    if isinstance(problem, socket.gaierror):
        return f"the host {address.host!r} is unknown ({problem.strerror}): check its name, and the name server"
    if problem.errno == errno.EADDRINUSE:
        return "another process listens there already: choose another address, or end that process (`ss -ltnp` names it)"
    if problem.errno in (errno.EACCES, errno.EPERM):
        if address.path is None and listens and address.port < 1024:
            return "ports below 1024 are forbidden to this user: choose a higher one, or grant CAP_NET_BIND_SERVICE"
        return "this user has no permission: check the owner and the mode of the file or folder, and the firewall"
    if problem.errno == errno.EADDRNOTAVAIL:
        return "this machine has no such address: give one of its own, or None for all"
    if problem.errno == errno.ECONNREFUSED:
        return "nothing listens there: start the server, or check the port"
    if problem.errno == errno.ENOENT:
        return "there is no such file: start the server, or check the path"
    if isinstance(problem, ConnectionAbortedError):
        return "the handshake of TLS was not answered: check that the server uses TLS"
    if isinstance(problem, TimeoutError):
        return "there is no answer: check the address and the firewall"
    return problem.strerror or str(problem) or type(problem).__name__
