"""The bell, which wakes whoever polls it."""

import os
import select
import signal
import threading
from collections.abc import Iterator

import pytest

from workers.horse.bell import Bell

pytestmark = pytest.mark.any_server


@pytest.fixture
def bell() -> Iterator[Bell]:
    made = Bell()
    made.open()
    yield made
    made.close()


def rings(bell: Bell, timeout_ms: int = 0) -> bool:
    poll = select.poll()
    poll.register(bell, select.POLLIN)
    return bool(poll.poll(timeout_ms))


def test_a_ring_is_heard_until_it_is_cleared(bell: Bell) -> None:
    assert not rings(bell)
    bell.ring()
    bell.ring()
    assert rings(bell)
    assert rings(bell)
    bell.clear()
    assert not rings(bell)
    bell.clear()


def test_a_ring_before_the_wait_ends_it_at_once_and_one_in_it_as_well(bell: Bell) -> None:
    bell.ring()
    assert rings(bell, 5_000)
    bell.clear()
    threading.Timer(0.01, bell.ring).start()
    assert rings(bell, 5_000)


def test_a_full_bell_keeps_nobody_waiting_and_is_cleared_at_once_for_the_next_wait(bell: Bell) -> None:
    for _ in range(100_000):
        bell.ring()
    while rings(bell):
        bell.clear()
    bell.ring()
    assert rings(bell)


def test_a_process_that_was_forked_rings_as_well(bell: Bell) -> None:
    pid = os.fork()
    if pid == 0:
        bell.ring()
        os._exit(0)
    assert rings(bell, 5_000)
    os.waitpid(pid, 0)


def test_a_signal_rings_in_the_main_thread_only_until_it_is_closed(bell: Bell) -> None:
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        other = threading.Thread(target=bell.ring_at_signals)
        other.start()
        other.join()
        os.kill(os.getpid(), signal.SIGUSR1)
        assert not rings(bell), "the twin: a thread other than the main one asked for it"
        bell.ring_at_signals()
        os.kill(os.getpid(), signal.SIGUSR1)
        assert rings(bell, 5_000)
        bell.close()
        assert signal.set_wakeup_fd(-1) == -1
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_closed_bell_rings_for_nobody() -> None:
    bell = Bell()
    bell.ring()
    bell.clear()
    assert bell.fileno() == -1
