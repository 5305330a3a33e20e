"""The end of a job while the connection breaks at any one of the requests that record it: the true end is recorded, once."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rq import Callback, Retry

import notify
from notify.testing import PrivateServer, wait_until
from tests.support import failing_jobs
from tests.support.failing_jobs import (
    fail_later,
    fail_once,
    on_failure,
    on_stopped,
    on_success,
    retry_later,
    succeed_later,
    time_out_later,
)
from tests.support.proxy import Break, Proxy
from workers import Job, Pool, Queue, WorkerOptions, rq_keys

pytestmark = [pytest.mark.any_server, pytest.mark.slow]

CALLBACKS: dict[str, Any] = {"on_success": Callback(on_success), "on_failure": Callback(on_failure), "on_stopped": Callback(on_stopped)}
CARELESS = "tests.support.careless_worker"  # not imported here: it makes each worker of its process careless
ERROR = "RuntimeError: the true error"
TIMEOUT = "rq.timeouts.JobTimeoutException: the timeout is over"
STOP = "stop"


class End(msgspec.Struct, frozen=True):
    """An end of a job.

    Args:
        function, options: the job.
        events: those after its start.
        called: the callbacks that are called once, with callbacks.
        reason: the one of its outcome, and the error that ``on_failure`` gets.
        is_stopped: whether the job is stopped while it runs.
    """

    function: Callable[..., Any]
    events: tuple[str, ...]
    called: tuple[str, ...] = ()
    reason: str = ""
    options: dict[str, Any] = {}
    is_stopped: bool = False


ENDS = {
    "success": End(succeed_later, ("finished",), ("on_success",)),
    "failure": End(fail_later, ("failed",), ("on_failure",), ERROR),
    "timeout": End(time_out_later, ("failed",), ("on_failure",), TIMEOUT),
    "stop": End(succeed_later, ("stopped",), ("on_stopped",), "enough", is_stopped=True),
    "retry at once": End(
        fail_once, ("retried", "enqueued", "started", "finished"), ("on_failure", "on_success"), options={"retry": Retry(max=1)}
    ),
    "retry later": End(fail_later, ("retried", "scheduled"), ("on_failure",), options={"retry": Retry(max=1, interval=60)}),
    "returned retry": End(retry_later, ("retried", "enqueued", "started", "finished"), ("on_success",)),
}


class Case:
    """One job and its end, while one request breaks.

    Args:
        bus: a bus that the proxy does not break.
        folder: an empty folder of the job.
    """

    def __init__(self, bus: notify.Bus, folder: Path, end: End, *, with_callbacks: bool) -> None:
        self._bus, self._folder, self._end, self._with_callbacks = bus, folder, end, with_callbacks
        folder.mkdir()
        options = {**end.options, **(CALLBACKS if with_callbacks else {})}
        self.events: notify.Subscriber = bus.subscribe("job.work")
        self.seen: list[str] = []
        self.job: Job = Queue("work", connection=bus.redis).enqueue(end.function, str(folder), **options)

    def run(self, proxy: Proxy, number: int, how: Break) -> None:
        wait_until((self._folder / "begun").exists, timeout_s=15)
        proxy.break_at(number, self.job.id.encode(), how)
        if self._end.is_stopped:
            self.job.cancel(self._end.reason)
        else:
            (self._folder / "go").touch()

    def problems(self, *, timeout_s: float = 25.0) -> list[str]:
        """What is not as it should be, when the end has been recorded or ``timeout_s`` seconds are over."""
        expected = ["enqueued", "started", *self._end.events]
        try:
            wait_until(lambda: self._read() and self.seen == expected and self._leaves_nothing(), timeout_s=timeout_s)
        except TimeoutError:
            self._read()
        called = self._end.called if self._with_callbacks else ()
        found = {
            "events": (self.seen, expected),
            "calls": ({name: self._text(name) for name in CALLBACKS}, {name: "x" if name in called else "" for name in CALLBACKS}),
            "runs": (self._bus.redis.zcard(rq_keys.started("work")), 0),
        }
        if self._end.events[-1] in ("failed", "stopped"):
            found["reason"] = (self.job.outcome and self.job.outcome.reason, self._end.reason)
        if "on_failure" in called:
            found["error"] = (self._text("error"), self._end.reason.removeprefix("rq.timeouts.") or ERROR)
        self.events.close()
        return [f"{name}: {is_} instead of {ought}" for name, (is_, ought) in found.items() if is_ != ought]

    def _read(self) -> bool:
        while (event := self.events.get(0)) is not None:
            contents: Any = event.contents
            if contents["job"] == self.job.id:
                self.seen.append(contents["status"])
        return True

    def _leaves_nothing(self) -> bool:
        return self._bus.redis.zcard(rq_keys.started("work")) == 0

    def _text(self, name: str) -> str:
        path = self._folder / name
        return path.read_text() if path.exists() else ""


@pytest.fixture
def proxy(own_server: PrivateServer) -> Iterator[Proxy]:
    with Proxy(own_server.directory / "redis.sock") as running:
        yield running


WAYS = [(False, Break.LOST), (False, Break.CUT), (True, Break.LOST), (True, Break.AWAY)]
"""Whether there are callbacks, and how the connection breaks."""


def broken_ends(
    own_server: PrivateServer, proxy: Proxy, folder: Path, end: End, *, modules: tuple[str, ...] = (), timeout_s: float = 25.0
) -> Iterator[list[str]]:
    """Break each request of an end in turn, in each way. Yield what went wrong with each. pytest shows the log of the worker then."""
    settings = notify.Settings(url=proxy.url)
    options = WorkerOptions(settings=settings, queues=("work",), modules=(*modules, failing_jobs.__name__), log_level="DEBUG")
    with notify.connect(own_server.url) as bus, Pool(options, size=1):
        for with_callbacks, how in WAYS:
            for number in count(1):
                case = Case(bus, folder / f"{with_callbacks}-{how.value}-{number}", end, with_callbacks=with_callbacks)
                case.run(proxy, number, how)
                problems = case.problems(timeout_s=timeout_s)
                yield [f"{how.value} at request {number}, callbacks {with_callbacks}: {problem}" for problem in problems]
                if not proxy.has_broken:
                    assert number > 1
                    break
        proxy.break_at(0, b"", Break.LOST)


@pytest.mark.parametrize("name", ENDS)
def test_the_true_end_is_recorded_once_wherever_the_connection_breaks(
    own_server: PrivateServer, proxy: Proxy, tmp_path: Path, name: str
) -> None:
    for problems in broken_ends(own_server, proxy, tmp_path, ENDS[name]):
        assert problems == []


def test_the_twin_that_takes_each_step_once_records_an_untrue_end(own_server: PrivateServer, proxy: Proxy, tmp_path: Path) -> None:
    found = broken_ends(own_server, proxy, tmp_path, ENDS["failure"], modules=(CARELESS,), timeout_s=2.0)
    assert next(problems for problems in found if problems)
    found.close()


@pytest.mark.parametrize(("name", "results"), [("success", 1), ("failure", 1), ("retry later", 0), ("returned retry", 2)])
def test_a_transaction_whose_answer_is_lost_is_not_repeated(
    own_server: PrivateServer, proxy: Proxy, tmp_path: Path, name: str, results: int
) -> None:
    """redis-py reports that as a change of a watched key, after which RQ's code repeats the transaction."""
    options = WorkerOptions(settings=notify.Settings(url=proxy.url), queues=("work",), modules=(failing_jobs.__name__,), log_level="DEBUG")
    with notify.connect(own_server.url) as bus, Pool(options, size=1):
        case = Case(bus, tmp_path / "job", ENDS[name], with_callbacks=True)
        wait_until((tmp_path / "job" / "begun").exists, timeout_s=15)
        proxy.lose_answers(1, command=b"\r\nEXEC\r\n")
        case.run(proxy, 0, Break.LOST)
        assert case.problems() == []
        assert proxy.lost == 1
        assert len(case.job.results()) == results
