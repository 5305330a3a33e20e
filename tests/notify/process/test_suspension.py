"""Holding up a shutdown."""

import threading
from contextlib import suppress

import pytest

import notify

pytestmark = pytest.mark.any_server


def test_N2_a_shutdown_is_held_up_by_as_many_as_have_work_in_hand(bus):
    with bus.service("worker") as service:
        assert service.drain(0)
        first, second = service.suspend(), service.suspend()
        assert not service.drain(0)
        first.resume()
        first.resume()
        assert not service.drain(0.01), "resuming twice counts once"
        second.resume()
        assert service.drain(0)


def test_N2_the_wait_ends_as_the_last_one_is_done(bus):
    with bus.service("worker") as service:
        held = service.suspend()
        threading.Timer(0.02, held.resume).start()
        assert service.drain(5)


def test_as_a_block_it_ends_with_the_block_also_on_an_error(bus):
    with bus.service("worker") as service:
        with suppress(ValueError), service.suspend():
            assert not service.drain(0)
            raise ValueError("oops")
        assert service.drain(0)


def test_what_has_ended_cannot_be_held_up(bus):
    with bus.service("worker") as service:
        pass
    with pytest.raises(notify.ServiceWithdrawnError):
        service.suspend()


def test_many_threads_are_counted_right(bus):
    with bus.service("worker") as service:

        def work() -> None:
            for _ in range(500):
                with service.suspend():
                    continue

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert service.drain(0)
