"""Server side of requests: threads that run the exported methods of a service. Each thread runs one request at a time."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from notify.errors import ContentsError, InvalidServiceError, ServerError, UnknownMethodError
from notify.history import OTHER
from notify.keys import due_member
from notify.process import Suspensions, Trace, consuming
from notify.requests.exports import exported_methods
from notify.requests.message import Request, encode_answer, encode_failure
from notify.requests.scripts import MOVED, OVERDUE, RequestScripts, Served
from notify.server import Client, StreamReader, whole
from notify.values import Signature

__all__ = ["RequestServer"]

DRAIN_S: Final = 5.0
"""When the service is closed, running methods get this many seconds to finish."""
MAX_THREADS: Final = 64
OVERDUE_PAUSE_S: Final = 0.05
"""An overdue service asks again after this time whether its requests may begin: its heartbeat is about to be sent."""

log = logging.getLogger(__name__)


class Host(Protocol):
    """The registration of the service that serves the requests."""

    @property
    def identity(self) -> tuple[str, int]:
        """The present name and incarnation; both may change when the service registers again, or a standby gets its name."""

    @property
    def former(self) -> tuple[str, int] | None:
        """What the service was as a standby: the requests that were sent to that are served as well."""

    def follow(self) -> bool:
        """Find out whether a standby was given the name that it waits for. Returns whether `identity` has changed."""


class RequestServer:
    """Runs the requests of a service in its threads.

    A request waits in Redis until a thread is free. It runs at most once. It never runs if its caller gave up first, its deadline
    has passed, or the incarnation that it was sent to is not registered any more. While the service is overdue, it waits.

    Args:
        client: the client of the server to serve on; each thread opens a connection of its own.
        exports: the object whose public methods are called; ``None`` if there is none: then no thread runs.
        threads: how many requests may run at once; with one thread the object needs no locks.
        host: the registration of the service.
        suspensions: the suspensions of the service's shutdown; each running request holds one.

    Raises:
        InvalidServiceError: the object has no method to call, or the number of threads is out of range.
    """

    def __init__(self, client: Client, exports: object, *, threads: int, host: Host, suspensions: Suspensions) -> None:
        self.methods = exported_methods(exports)
        signatures = {name: Signature(method) for name, method in self.methods.items()}
        count = range(_check_threads(threads) if exports is not None else 0)
        self._threads = [RequestThread(client, self.methods, signatures, host, suspensions) for _ in count]

    def open(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.open()

    def stop(self, *, finish_s: float = 0.0) -> None:
        """Take no more requests, and wait up to ``finish_s`` seconds for running methods; they go on after that."""
        for thread in self._threads:
            thread.stop()
        self._join(finish_s)

    def close(self) -> None:
        """Take no more requests, and wait up to `DRAIN_S` seconds for running methods."""
        for thread in self._threads:
            thread.interrupt()
        self._join(DRAIN_S)

    def _join(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))


class RequestThread:
    """One thread of a `RequestServer`. It waits for requests, takes them and answers them on one connection."""

    def __init__(
        self,
        client: Client,
        methods: Mapping[str, Callable[..., Any]],
        signatures: Mapping[str, Signature],
        host: Host,
        suspensions: Suspensions,
    ) -> None:
        self._methods = methods
        self._signatures = signatures
        self._host = host
        self._suspensions = suspensions
        self._max_bytes = client.settings.max_payload_bytes
        self._reader = StreamReader(client, name="serving")
        self._scripts = RequestScripts(self._reader.client)
        self._thread = threading.Thread(target=self._run, name="notify-serving", daemon=True)

    def open(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more requests; a method that runs goes on."""
        self._reader.stop()

    def interrupt(self) -> None:
        """Take no more requests, and repeat no answer that cannot be sent."""
        self._reader.interrupt()

    def join(self, timeout_s: float) -> None:
        """Wait until the thread has ended, at most ``timeout_s`` seconds; not in the thread itself."""
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._reader.is_stopped:
            former, (service, incarnation) = self._host.former, self._host.identity
            members = [due_member(*each) for each in (former, (service, incarnation)) if each is not None]
            streams = {self._scripts.keys.requests(member): member for member in members}
            # Always read from the beginning: taking a request deletes its entry, so the first entry is the oldest waiting request.
            for stream, entries in self._reader.read(dict.fromkeys(streams, "0-0"), count=1).items():
                for entry_id, fields in entries:
                    try:
                        left_s = self._take(service, incarnation, entry_id, fields, streams[stream])
                        if left_s == OVERDUE:
                            self._reader.wait(OVERDUE_PAUSE_S)
                        elif left_s > 0:
                            with self._suspensions.take():
                                self._serve(fields.get(b"request", b""), time.monotonic() + left_s)
                    except Exception:  # an error must not end this thread: the service would stay registered and never answer
                        log.exception("a request to %r failed unexpectedly", service)
        self._reader.close()

    def _take(self, service: str, incarnation: int, entry_id: str, fields: Mapping[bytes, bytes], sent_to: str) -> float:
        """Take a request. Returns the seconds until its deadline; 0 if it must not begin, `OVERDUE` or `MOVED` if not yet."""
        deadline_ms = whole(fields.get(b"deadline_ms"), 0)
        try:
            left_s = self._scripts.take(service, incarnation, entry_id, deadline_ms=deadline_ms, sent_to=sent_to)
            if left_s == MOVED:
                self._host.follow()  # the request is read again under the new name
            return left_s
        except ServerError as exc:
            self._reader.pause(exc)
            return 0.0

    def _serve(self, raw: bytes, deadline: float) -> None:
        """Run the method of a request and send the answer. While the server is away, send it again until the deadline."""
        try:
            request = msgspec.json.decode(raw, type=Request)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            return log.warning("an entry in the stream of requests to %r is not a request and is ignored: %s", self._host.identity[0], exc)
        answer, done = self._run_method(request)
        served: Served | None = done
        while True:
            try:
                return self._scripts.answer(request.caller, answer, left_s=max(0.0, deadline - time.monotonic()), served=served)
            except ServerError as exc:
                served = None
                if time.monotonic() >= deadline or self._reader.is_closing:
                    return log.warning("the answer to caller %r for method %r is lost: %s", request.source, request.method, exc)
                self._reader.pause(exc)

    def _arguments(self, request: Request) -> tuple[Sequence[Any], Mapping[str, Any]]:
        try:
            return self._signatures[request.method].arguments(request.args, request.kwargs)
        except ContentsError as exc:
            raise TypeError(str(exc)) from exc  # the caller gets what Python raises for a wrong number of arguments

    def _run_method(self, request: Request) -> tuple[bytes, Served]:
        """Return the answer with the method's result, or with the error that it raised; and what to count."""
        began, name = time.monotonic(), request.method if request.method in self._methods else OTHER
        answer, has_failed = self._answer_of(request)
        return answer, Served(self._host.identity[0], name, has_failed, time.monotonic() - began)

    def _answer_of(self, request: Request) -> tuple[bytes, bool]:
        """Return the answer to a request, and whether it is an error."""
        try:
            method = self._methods.get(request.method)
            if method is None:
                raise UnknownMethodError(f"no method {request.method!r} is exported; exported are {', '.join(self._methods)}")
            args, kwargs = self._arguments(request)
            name = f"{self._host.identity[0]}.{request.method}"
            trace = Trace(request.traceparent, request.tracestate)
            with consuming("serve", name, trace=trace, attributes={"message.id": request.id}):
                result = method(*args, **kwargs)
            return encode_answer(request, result, max_bytes=self._max_bytes), False
        except BaseException as exc:  # also SystemExit: sys.exit() ends the method, not the service
            log.info("method %r raised an error, which is sent to its caller %r", request.method, request.source, exc_info=True)
            return encode_failure(request, exc, max_bytes=self._max_bytes), True


def _check_threads(threads: int) -> int:
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= MAX_THREADS:
        raise InvalidServiceError(f"threads is {threads!r}: give a whole number from 1 to {MAX_THREADS}")
    return threads
