"""Suspensions, which delay a shutdown."""

import threading
from contextlib import suppress

import pytest

import notify

pytestmark = pytest.mark.any_server


def test_N2_a_shutdown_waits_for_every_suspension(bus):
    with bus.service("worker") as service:
        assert service.drain(0)
        first, second = service.suspend(), service.suspend()
        assert not service.drain(0)
        first.resume()
        first.resume()
        assert not service.drain(0.01), "resuming twice counts once"
        second.resume()
        assert service.drain(0)


def test_N2_the_wait_ends_when_the_last_suspension_is_released(bus):
    with bus.service("worker") as service:
        held = service.suspend()
        threading.Timer(0.02, held.resume).start()
        assert service.drain(5)


def test_a_suspension_as_a_block_ends_with_the_block_also_on_an_error(bus):
    with bus.service("worker") as service:
        with suppress(ValueError), service.suspend():
            assert not service.drain(0)
            raise ValueError("oops")
        assert service.drain(0)


def test_a_service_that_has_ended_cannot_be_suspended(bus):
    with bus.service("worker") as service:
        pass
    with pytest.raises(notify.ServiceWithdrawnError):
        service.suspend()


def test_suspensions_of_many_threads_are_counted_correctly(bus):
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
