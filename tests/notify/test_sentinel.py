"""A failover under a publisher and a subscriber that connected through Sentinels."""

import signal
import threading
import time
from collections.abc import Iterator

import pytest

import notify
from notify import Gap, ServerError
from notify.testing import wait_until
from tests.sentinels import Replicated

pytestmark = pytest.mark.slow


@pytest.fixture
def replicated() -> Iterator[Replicated]:
    with Replicated() as running:
        yield running


class Publishing:
    """Publishes numbers all the time, and notes which were acknowledged."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.acknowledged: list[int] = []

    def __enter__(self) -> "Publishing":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        with notify.connect(settings=notify.Settings(url=self._url, connect_timeout_s=0.5, command_timeout_s=0.5)) as bus:
            while not self._stop.wait(0.005):
                number += 1
                try:
                    bus.publish("t", number)
                except ServerError:
                    continue
                self.acknowledged.append(number)


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP], ids=["the master is killed", "the master is frozen"])
def test_N6_a_failover_loses_nothing_that_was_acknowledged_or_a_gap_tells(replicated, fault):
    settings = notify.Settings(url=replicated.url, connect_timeout_s=0.5, command_timeout_s=0.5)
    received: list[notify.Event | Gap] = []
    with notify.connect(settings=settings) as bus, bus.subscribe("t") as events, Publishing(replicated.url) as publishing:

        def read_until(number: int) -> None:
            deadline = time.monotonic() + 20
            while not any(not isinstance(item, Gap) and item.contents >= number for item in received[-1000:]):
                assert time.monotonic() < deadline, f"{number} never came; {len(received)} did, the last is {received[-1:]}"
                item = events.get(1)
                received.extend([] if item is None else [item])

        read_until(100)
        old = replicated.master
        replicated.signal(old, fault)
        deadline = time.monotonic() + 10
        wait_until(lambda: replicated.master != old, timeout_s=10, what="another master")
        before = len(publishing.acknowledged)
        wait_until(lambda: len(publishing.acknowledged) > before, timeout_s=deadline - time.monotonic(), what="publishing again")
        publishing.stop()
        read_until(max(publishing.acknowledged))
    _check_whole(received, set(publishing.acknowledged))


def _check_whole(received: list[notify.Event | Gap], acknowledged: set[int]) -> None:
    numbers = [item.contents for item in received if not isinstance(item, Gap)]
    gaps = [item for item in received if isinstance(item, Gap)]
    assert numbers == sorted(set(numbers))
    assert acknowledged <= set(numbers) or gaps
