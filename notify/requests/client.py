"""Calling methods of services: each request goes to one incarnation of one service, and each call ends in one of few ways."""

import itertools
import logging
import queue
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import msgspec

from notify.directory import ServiceChange, Target, read_logged_change
from notify.errors import (
    ClosedError,
    RequestFailedError,
    RequestsFullError,
    RequestTimeoutError,
    ServerError,
    ServiceKilledError,
    ServiceWithdrawnError,
    UnknownMethodError,
)
from notify.events import Json
from notify.keys import SERVICES_TOPIC
from notify.requests.message import Answer, Request, encode_request
from notify.requests.resolver import Endpoint, Resolver
from notify.requests.scripts import FULL, GONE, RequestScripts
from notify.server import COUNT, Client, Entries, StreamReader
from notify.settings import MAX_TIMEOUT_S, positive

__all__ = ["RequestClient"]

TRIM_EVERY: Final = 100
"""Answers that are read before the server may forget them."""

log = logging.getLogger(__name__)


class Waiting:
    """A call that waits for its answer, or for the end of who was asked."""

    def __init__(self, offer: Endpoint) -> None:
        self.offer = offer
        self.entry_id: str | None = None
        self.outcome: queue.SimpleQueue[Answer | ServiceChange | None] = queue.SimpleQueue()


class RequestClient:
    """Calls methods of services, from any number of threads; one connection and one thread hear for all of them.

    The thread reads two streams at once: the answers, and what the directory tells of comings and goings.

    Args:
        client: whose server and connections to use.
        name: what requests say about who asks.
    """

    def __init__(self, client: Client, *, name: str) -> None:
        self._client = client
        self._name = name
        self._scripts = RequestScripts(client)
        self._resolver = Resolver(client)
        self._id = uuid.uuid4().hex
        self._numbers = itertools.count(1)
        self._waiting: dict[str, Waiting] = {}
        self._changing = threading.Lock()
        keys = self._scripts.keys
        self._answers, self._comings = keys.answers(self._id), keys.log(SERVICES_TOPIC)
        self._positions = {self._answers: "0-0", self._comings: "0-0"}
        self._read = 0
        self._reader = StreamReader(client, name="caller")
        self._thread = threading.Thread(target=self._run, name="notify-caller", daemon=True)

    def open(self) -> "RequestClient":
        """Begin to listen.

        Raises:
            ServerError: the server did not answer, or refused.
        """
        with self._client.translating("looking at the directory"):
            last: Any = self._client.xrevrange(self._comings, count=1)
        if last:
            self._positions[self._comings] = last[0][0].decode()
        self._thread.start()
        return self

    def call(self, target: Target, method: str, args: tuple[Json, ...], kwargs: dict[str, Json], *, timeout_s: float) -> Any:
        """Call a method and return its result; arguments and errors as for `Bus.call`."""
        deadline = time.monotonic() + positive(timeout_s, "timeout_s", at_most=MAX_TIMEOUT_S)
        if not isinstance(method, str):
            raise UnknownMethodError(f"a method is named by text, not by {method!r}")
        request = Request(f"{self._id}-{next(self._numbers)}", method, list(args), kwargs, self._id, self._name)
        body = encode_request(request, max_bytes=self._client.settings.max_payload_bytes)
        while True:
            for offer in self._resolver.of(target, method):
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    raise RequestTimeoutError(f"{target} could not be asked for {method!r} within {timeout_s:g} s: it comes and goes")
                with self._expecting(request, offer) as waiting:
                    asked = self._scripts.send(offer.service, offer.incarnation, body, timeout_s=left_s)
                    if asked not in (GONE, FULL):
                        waiting.entry_id = asked
                        return self._await(waiting, request, deadline, timeout_s)
                if asked == GONE:
                    self._resolver.forget()
                    break
            else:
                raise RequestsFullError(f"too many requests wait for {target}: it is slower than it is asked; try {method!r} again later")

    def close(self) -> None:
        """End every call that waits with `ClosedError`, take back what has not begun, and stop listening."""
        ended = self._end_calls()
        with suppress(ServerError):
            for waiting in ended:
                self._take_back(waiting)
        if self._thread.is_alive():
            self._thread.join()

    @contextmanager
    def _expecting(self, request: Request, offer: Endpoint) -> Iterator[Waiting]:
        """Listen for an answer, from before anybody is asked: it could be faster than we are."""
        waiting = Waiting(offer)
        with self._changing:
            if self._reader.is_closing:
                raise _closed(request)
            self._waiting[request.id] = waiting
        try:
            yield waiting
        except ServerError:
            if self._reader.is_closing:
                raise _closed(request) from None  # the connections went under our feet
            raise
        finally:
            with self._changing:
                del self._waiting[request.id]

    def _await(self, waiting: Waiting, request: Request, deadline: float, timeout_s: float) -> Any:
        service = waiting.offer.service
        try:
            outcome = waiting.outcome.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            begun = self._give_up(waiting)
            if waiting.outcome.empty():
                raise RequestTimeoutError(f"{service!r} did not answer {request.method!r} within {timeout_s:g} s: {begun}") from None
            outcome = waiting.outcome.get()
        except BaseException:
            self._give_up(waiting)  # Ctrl-C: what has not begun is not to begin
            raise
        if isinstance(outcome, Answer):
            return _result(outcome, service, request)
        if outcome is None:
            raise _closed(request)
        raise _withdrawn(outcome, request, self._give_up(waiting))

    def _give_up(self, waiting: Waiting) -> str:
        """Take the request back. Returns what that says about it."""
        try:
            not_begun = self._take_back(waiting)
        except ServerError:
            return "nobody knows whether it had begun"
        return "it had not begun, and will not" if not_begun else "it had begun, and may have been finished"

    def _take_back(self, waiting: Waiting) -> bool:
        offer = waiting.offer
        return waiting.entry_id is not None and self._scripts.give_up(offer.service, offer.incarnation, waiting.entry_id)

    def _end_calls(self) -> list[Waiting]:
        with self._changing:
            self._reader.interrupt()
            ended = list(self._waiting.values())
            for waiting in ended:
                waiting.outcome.put(None)
        return ended

    def _run(self) -> None:
        try:
            while not self._reader.is_closing:
                came = self._reader.read(self._positions)
                self._hear(came.get(self._answers, []), came.get(self._comings, []))
        finally:
            self._end_calls()  # also if this thread dies: nobody is to wait for answers that nobody reads
            self._reader.close()

    def _hear(self, answers: Entries, comings: Entries) -> None:
        # Answers first, all of them: who answered and then went has answered.
        for entry_id, fields in answers:
            self._positions[self._answers] = entry_id
            self._answered(fields.get(b"answer", b""))
        if len(answers) < COUNT:
            for entry_id, fields in comings:
                self._positions[self._comings] = entry_id
                self._changed(fields.get(b"data", b""))
        self._read += len(answers)
        if self._read >= TRIM_EVERY:
            self._reader.trim(self._answers, self._positions[self._answers])
            self._read = 0

    def _answered(self, raw: bytes) -> None:
        try:
            answer = msgspec.json.decode(raw, type=Answer)
        except msgspec.DecodeError:
            return log.warning("what is in %s is no answer: %r", self._answers, raw[:40])
        waiting = self._waiting.get(answer.id)
        if waiting is None:
            return log.debug("a late answer is dropped: %s", answer.id)
        return waiting.outcome.put(answer)

    def _changed(self, raw: bytes) -> None:
        self._resolver.forget()
        change = read_logged_change(raw)
        if change is None or change.change != "withdrawn":
            return
        with self._changing:
            for waiting in self._waiting.values():
                if (waiting.offer.service, waiting.offer.incarnation) == (change.service, change.incarnation):
                    waiting.outcome.put(change)


def _result(answer: Answer, service: str, request: Request) -> Any:
    if answer.error is None:
        return None if answer.result is msgspec.UNSET else answer.result
    message = f"{request.method!r} of {service!r} raised {answer.error.type}: {answer.error.message}"
    raise RequestFailedError(message, error_type=answer.error.type, error_message=answer.error.message)


def _withdrawn(change: ServiceChange, request: Request, begun: str) -> ServiceWithdrawnError:
    kind = ServiceKilledError if change.reason == "killed" else ServiceWithdrawnError
    reason = change.reason + (f": {change.why}" if change.why else "")
    return kind(f"{change.service!r} was withdrawn ({reason}) before it answered {request.method!r}: {begun}")


def _closed(request: Request) -> ClosedError:
    return ClosedError(f"the bus was closed before {request.method!r} was answered")
