"""Client side of requests: calls a method of a service and waits for the answer.

A request is sent to one incarnation of one service. A call returns the result of the method, or raises an error. If no answer came
in time, or the service was withdrawn before it answered, the error says whether the method had begun.
"""

import itertools
import logging
import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeAlias

import msgspec

from notify.directory import Provider, ServiceChange, Target, Upkeep, read_logged_change
from notify.errors import (
    ClosedError,
    DirectoryError,
    RequestFailedError,
    RequestsFullError,
    RequestTimeoutError,
    ServerError,
    ServiceKilledError,
    ServiceWithdrawnError,
    UnknownMethodError,
)
from notify.keys import SERVICES_TOPIC, due_member
from notify.process import UNTRACED, current_trace, is_traced, producing
from notify.requests.message import Answer, Request, encode_request
from notify.requests.resolver import Endpoint, Resolver
from notify.requests.scripts import FULL, GONE, RequestScripts
from notify.server import COUNT, Client, Entries, StreamReader
from notify.settings import MAX_TIMEOUT_S, positive
from notify.values import Encodable, Signature

__all__ = ["Method", "RequestClient"]

Method: TypeAlias = str | Callable[..., Any]
"""A method to call: its name, or the method as its class defines it, whose return annotation gives the type of the result."""

TRIM_EVERY: Final = 100
"""After this many answers, the answers that were read are deleted from the stream."""

log = logging.getLogger(__name__)


class PendingCall:
    """A call that waits for its answer.

    ``outcome`` receives the answer, or the withdrawal of the service to which the request was sent, or ``None`` when the bus is
    closed. ``entry_id`` is the id of the request in its stream, ``None`` until the request is sent. ``member`` is the registration
    that has to answer: that of the endpoint, or what became of it if it was a standby.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.member = due_member(endpoint.service, endpoint.incarnation)
        self.entry_id: str | None = None
        self.outcome: queue.SimpleQueue[Answer | ServiceChange | None] = queue.SimpleQueue()


class RequestClient:
    """Calls methods of services. Any number of threads may use it.

    One thread, with one connection, reads for all calls: the stream of answers to this client, and the log of the changes of the
    directory.

    Args:
        client: the client of the server on which to call.
        name: the name of the caller, which the service writes to its log.
        upkeep: the sweeps of the process; sweeps once when a call meets an overdue service.
    """

    def __init__(self, client: Client, *, name: str, upkeep: Upkeep) -> None:
        self._client = client
        self._name = name
        self._scripts = RequestScripts(client)
        self._resolver = Resolver(client, upkeep)
        self._id = uuid.uuid4().hex
        self._numbers = itertools.count(1)
        self._pending: dict[str, PendingCall] = {}
        self._lock = threading.Lock()
        keys = self._scripts.keys
        self._answers, self._changes = keys.answers(self._id), keys.log(SERVICES_TOPIC)
        self._positions = {self._answers: "0-0", self._changes: "0-0"}
        self._untrimmed = 0
        self.skipped = 0
        """How many entries could not be read."""
        self._told: set[str] = set()
        self._reader = StreamReader(client, name="caller")
        self._thread = threading.Thread(target=self._run, name="notify-caller", daemon=True)

    def open(self) -> "RequestClient":
        """Start the reading thread.

        Raises:
            ServerError: the server did not answer, or refused.
        """
        with self._client.translating("reading the changes of the directory"):
            last: Any = self._client.xrevrange(self._changes, count=1)
        if last:
            self._positions[self._changes] = last[0][0].decode()
        self._thread.start()
        return self

    def call(self, target: Target, method: Method, args: tuple[Encodable, ...], kwargs: dict[str, Encodable], *, timeout_s: float) -> Any:
        """Call a method and return its result. Arguments and errors are those of `Bus.call`."""
        if callable(method):
            name = getattr(method, "__name__", "")
            return Signature(method).result(self.call(target, name, args, kwargs, timeout_s=timeout_s))
        try:
            with producing("call", f"{target}.{method}") if is_traced() else UNTRACED:
                return self._call(target, method, args, kwargs, timeout_s=timeout_s)
        except (DirectoryError, RequestTimeoutError) as exc:  # say which service the error is about, as the caller named it
            if isinstance(target, Provider):
                exc.capabilities = (*exc.capabilities, target.capability)
            elif isinstance(target, str):
                exc.service = exc.service or target
            raise

    def _call(self, target: Target, method: Method, args: tuple[Encodable, ...], kwargs: dict[str, Encodable], *, timeout_s: float) -> Any:
        deadline = time.monotonic() + positive(timeout_s, "timeout_s", at_most=MAX_TIMEOUT_S)
        if not isinstance(method, str):
            raise UnknownMethodError(f"the name of a method is text, not {method!r}")
        request = Request(f"{self._id}-{next(self._numbers)}", method, list(args), kwargs, self._id, self._name, *current_trace())
        body = encode_request(request, max_bytes=self._client.settings.max_payload_bytes)
        while True:
            for endpoint in self._resolver.resolve(target, method):
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    raise RequestTimeoutError(
                        f"{method!r} was not sent to {target} within {timeout_s:g} s: each service that was tried was withdrawn or "
                        "full; call again, or with a longer timeout_s"
                    )
                with self._pending_call(request, endpoint) as call:
                    sent = self._scripts.send(endpoint.service, endpoint.incarnation, body, timeout_s=left_s)
                    if sent not in (GONE, FULL):
                        call.entry_id = sent
                        return self._wait(call, request, deadline, timeout_s)
                if sent == GONE:
                    self._resolver.forget()
                    break
            else:
                raise RequestsFullError(
                    f"too many requests wait for {target}, which is slower than its callers: call {method!r} again later, "
                    "or run more providers or threads"
                )

    def close(self) -> None:
        """End all pending calls with `ClosedError`, take back their requests that have not begun, and stop the thread."""
        ended = self._end_pending()
        with suppress(ServerError):  # their service drops them when their time is over
            for call in ended:
                self._take_back(call)
        if self._thread.is_alive():
            self._thread.join()

    @contextmanager
    def _pending_call(self, request: Request, endpoint: Endpoint) -> Iterator[PendingCall]:
        """Keep a pending call during the block. The request is sent within the block, because its answer may arrive at once."""
        call = PendingCall(endpoint)
        with self._lock:
            if self._reader.is_closing:
                raise _closed(request)
            self._pending[request.id] = call
        try:
            yield call
        except ServerError:
            if self._reader.is_closing:
                raise _closed(request) from None  # `close` disconnected the connections that this call used
            raise
        finally:
            with self._lock:
                del self._pending[request.id]

    def _wait(self, call: PendingCall, request: Request, deadline: float, timeout_s: float) -> Any:
        """Wait for the outcome of a call that was sent; return its result or raise its error."""
        service = call.endpoint.service
        try:
            outcome = call.outcome.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            progress = self._give_up(call)
            if call.outcome.empty():
                message = f"{service!r} did not answer {request.method!r} within {timeout_s:g} s: {progress}"
                raise RequestTimeoutError(message).about(service, incarnation=call.endpoint.incarnation) from None
            outcome = call.outcome.get()
        except BaseException:
            self._give_up(call)  # Ctrl-C: a request that has not begun must not begin
            raise
        if isinstance(outcome, Answer):
            return _result(outcome, service, request)
        if outcome is None:
            raise _closed(request)
        raise _withdrawn(outcome, request, self._give_up(call))

    def _give_up(self, call: PendingCall) -> str:
        """Take the request back. Returns whether its method had begun, as a part of an error message."""
        try:
            not_begun = self._take_back(call)
        except ServerError:
            return "whether the method had begun is unknown"
        return "the method had not begun, and will not" if not_begun else "the method had begun, and may have finished"

    def _take_back(self, call: PendingCall) -> bool:
        """Remove the request of a call from its stream. Returns whether the request was still waiting; then it never begins."""
        endpoint = call.endpoint
        return call.entry_id is not None and self._scripts.give_up(endpoint.service, endpoint.incarnation, call.entry_id)

    def _end_pending(self) -> list[PendingCall]:
        """Accept no more calls and end the pending ones with `ClosedError`. Returns them."""
        with self._lock:
            self._reader.interrupt()
            ended = list(self._pending.values())
            for call in ended:
                call.outcome.put(None)
        return ended

    def _run(self) -> None:
        try:
            while not self._reader.is_closing:
                read = self._reader.read(self._positions)
                self._dispatch(read.get(self._answers, []), read.get(self._changes, []))
                if self._answers not in read and self._pending and self._reader.is_behind(self._answers, self._positions[self._answers]):
                    self._positions[self._answers] = "0-0"  # the stream was gone, and began anew after the server's clock was put back
        finally:
            self._end_pending()  # also if this thread dies: otherwise the pending calls would wait until they time out
            self._reader.close()

    def _dispatch(self, answers: Entries, changes: Entries) -> None:
        # Changes are handled after all answers: if a service answered and was withdrawn then, the call gets its answer.
        for entry_id, fields in answers:
            self._positions[self._answers] = entry_id
            self._on_answer(fields.get(b"answer", b""))
        if len(answers) < COUNT:  # otherwise more answers may wait, and the changes are read again after them
            for entry_id, fields in changes:
                self._positions[self._changes] = entry_id
                self._on_change(fields.get(b"data", b""))
        self._untrimmed += len(answers)
        if self._untrimmed >= TRIM_EVERY:
            self._reader.trim(self._answers, self._positions[self._answers])
            self._untrimmed = 0

    def _on_answer(self, raw: bytes) -> None:
        try:
            answer = msgspec.json.decode(raw, type=Answer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._skip("an answer", self._answers, raw)
        call = self._pending.get(answer.id)
        if call is None:
            return log.debug("the answer to request %s came after its call had ended and is ignored", answer.id)
        return call.outcome.put(answer)

    def _skip(self, what: str, stream: str, raw: bytes) -> None:
        """Count an entry that cannot be read, which another program wrote. The first one of a stream is told."""
        self.skipped += 1
        level = logging.DEBUG if stream in self._told else logging.WARNING
        self._told.add(stream)
        log.log(level, "an entry of %s is not %s and is ignored, as others will be: %r", stream, what, raw[:40])

    def _on_change(self, raw: bytes) -> None:
        """Clear the cache of the resolver. A withdrawal ends the calls that wait for this incarnation, unless it goes on as another."""
        self._resolver.forget()
        change = read_logged_change(raw)
        if change is None:
            self._skip("a change of a service", self._changes, raw)
        if not isinstance(change, ServiceChange) or change.change != "withdrawn":
            return
        member = due_member(change.service, change.incarnation)
        with self._lock:
            for call in self._pending.values():
                if call.member == member and change.became:
                    call.member = change.became
                elif call.member == member:
                    call.outcome.put(change)


def _result(answer: Answer, service: str, request: Request) -> Any:
    if answer.error is None:
        return None if answer.result is msgspec.UNSET else answer.result
    message = f"{request.method!r} of {service!r} raised {answer.error.type}: {answer.error.message}"
    raise RequestFailedError(message, error_type=answer.error.type, error_message=answer.error.message)


def _withdrawn(change: ServiceChange, request: Request, progress: str) -> ServiceWithdrawnError:
    kind = ServiceKilledError if change.reason == "killed" else ServiceWithdrawnError
    reason = change.reason + (f": {change.why}" if change.why else "")
    message = f"{change.service!r} was withdrawn ({reason}) before it answered {request.method!r}: {progress}"
    return kind(message).about(change.service, incarnation=change.incarnation, capabilities=change.capabilities)


def _closed(request: Request) -> ClosedError:
    return ClosedError(f"the bus was closed before {request.method!r} was answered")
