"""Serving requests: an object's methods, called by other processes, one request at a time in each thread."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from notify.errors import InvalidServiceError, ServerError, UnknownMethodError
from notify.keys import due_member
from notify.process import Suspensions
from notify.requests.exports import exported_methods
from notify.requests.message import Request, encode_answer, encode_failure
from notify.requests.scripts import RequestScripts
from notify.server import Client, StreamReader

__all__ = ["RequestServer"]

DRAIN_S: Final = 5.0
"""How long the methods that run may go on when the service is closed."""
MAX_THREADS: Final = 64

Identity = Callable[[], tuple[str, int]]

log = logging.getLogger(__name__)


class RequestServer:
    """Threads that take the requests of a service and run them.

    A request waits in Redis until a thread is free for it; then it begins, or never does.

    Args:
        client: whose server to serve on; each thread has a connection of its own.
        exports: the object whose public methods are called.
        threads: how many requests may run at once; with one the object needs no locks.
        identity: gives name and incarnation of the service, as they are now.
        suspensions: a request in hand holds up the shutdown of the service.

    Raises:
        InvalidServiceError: there is no method to call, or no such number of threads.
    """

    def __init__(self, client: Client, exports: object, *, threads: int, identity: Identity, suspensions: Suspensions) -> None:
        self.methods = exported_methods(exports)
        self._servers = [Server(client, self.methods, identity, suspensions) for _ in range(_check_threads(threads))]

    def open(self) -> None:
        for server in self._servers:
            server.open()

    def stop(self) -> None:
        """Take no more requests; those that run go on."""
        for server in self._servers:
            server.stop()

    def close(self) -> None:
        """Take no more requests, and give those that run a few seconds to end."""
        for server in self._servers:
            server.interrupt()
        deadline = time.monotonic() + DRAIN_S
        for server in self._servers:
            server.join(max(0.0, deadline - time.monotonic()))


class Server:
    """One of the threads, with a connection on which it waits, takes and answers."""

    def __init__(self, client: Client, methods: Mapping[str, Callable[..., Any]], identity: Identity, suspensions: Suspensions) -> None:
        self._methods = methods
        self._identity = identity
        self._suspensions = suspensions
        self._max_bytes = client.settings.max_payload_bytes
        self._reader = StreamReader(client, name="serving")
        self._scripts = RequestScripts(self._reader.client)
        self._thread = threading.Thread(target=self._run, name="notify-serving", daemon=True)

    def open(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._reader.stop()

    def interrupt(self) -> None:
        self._reader.interrupt()

    def join(self, timeout_s: float) -> None:
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._reader.is_stopped:
            service, incarnation = self._identity()
            requests = self._scripts.keys.requests(due_member(service, incarnation))
            # Always from the beginning: what was taken is there no more, so the first entry is the one whose turn it is.
            for entry_id, fields in self._reader.read({requests: "0-0"}, count=1).get(requests, []):
                try:
                    left_s = self._take(service, incarnation, entry_id, fields)
                    if left_s > 0:
                        with self._suspensions.take():
                            self._serve(fields.get(b"request", b""), time.monotonic() + left_s)
                except Exception:  # whatever it is, a thread that ends here would leave a service that never answers
                    log.exception("a request to %r went wrong", service)
        self._reader.close()

    def _take(self, service: str, incarnation: int, entry_id: str, fields: Mapping[bytes, bytes]) -> float:
        """Take the request. Returns the seconds left for it; 0 if it must not begin."""
        deadline_ms = fields.get(b"deadline_ms", b"")
        try:
            return self._scripts.take(service, incarnation, entry_id, deadline_ms=int(deadline_ms) if deadline_ms.isdigit() else 0)
        except ServerError as exc:
            self._reader.pause(exc)
            return 0.0

    def _serve(self, raw: bytes, deadline: float) -> None:
        try:
            request = msgspec.json.decode(raw, type=Request)
        except msgspec.DecodeError as exc:
            return log.warning("what was sent to %r is no request: %s", self._identity()[0], exc)
        answer = self._answer_to(request)
        while True:
            try:
                return self._scripts.answer(request.caller, answer, left_s=max(0.0, deadline - time.monotonic()))
            except ServerError as exc:
                if time.monotonic() >= deadline or self._reader.is_closing:
                    return log.warning("the answer to %s for %r is lost: %s", request.source, request.method, exc)
                self._reader.pause(exc)

    def _answer_to(self, request: Request) -> bytes:
        try:
            method = self._methods.get(request.method)
            if method is None:
                raise UnknownMethodError(f"{request.method!r} is not exported: {', '.join(self._methods)} are")
            return encode_answer(request, method(*request.args, **request.kwargs), max_bytes=self._max_bytes)
        except BaseException as exc:  # sys.exit() included: it ends the method, not the service
            log.info("%r raised for %s", request.method, request.source, exc_info=True)
            return encode_failure(request, exc, max_bytes=self._max_bytes)


def _check_threads(threads: int) -> int:
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= MAX_THREADS:
        raise InvalidServiceError(f"threads is {threads!r}: give a whole number from 1 to {MAX_THREADS}")
    return threads
