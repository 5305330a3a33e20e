"""An error about a service says which service it is about."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

import notify
from notify.errors import NotifyError
from notify.testing import wait_until

WORK = notify.provides("work")
SOON_S = 0.02


def raised(call: Callable[[], object]) -> NotifyError:
    with pytest.raises(NotifyError) as caught:
        call()
    return caught.value


def about(error: NotifyError) -> tuple[str, tuple[str, ...]]:
    return error.service, error.capabilities


LOOK_UPS: dict[str, tuple[Callable[[notify.Bus], object], tuple[str, tuple[str, ...]]]] = {
    "lookup": (lambda bus: bus.directory.lookup("svc"), ("svc", ())),
    "kill": (lambda bus: bus.directory.kill("svc"), ("svc", ())),
    "find": (lambda bus: bus.directory.find(provides="work"), ("", ("work",))),
    "wait_for a name": (lambda bus: bus.directory.wait_for("svc", timeout_s=SOON_S), ("svc", ())),
    "wait_for a capability": (lambda bus: bus.directory.wait_for(WORK, timeout_s=SOON_S), ("", ("work",))),
    "wait_for several": (lambda bus: bus.directory.wait_for(WORK, "svc", timeout_s=SOON_S), ("svc", ("work",))),
    "call a name": (lambda bus: bus.call("svc", "work"), ("svc", ())),
    "call a capability": (lambda bus: bus.call(WORK, "work"), ("", ("work",))),
}


@pytest.mark.parametrize("name", LOOK_UPS)
def test_the_error_about_a_missing_service_names_it(bus: notify.Bus, name: str) -> None:
    call, expected = LOOK_UPS[name]
    error = raised(lambda: call(bus))
    assert isinstance(error, notify.ServiceNotFoundError)
    assert about(error) == expected


def test_a_refused_write_to_a_state_names_the_service(bus: notify.Bus, another_bus: notify.Bus) -> None:
    with another_bus.service("svc"):
        state = bus.state("svc", fenced=True)
        another_bus.directory.kill("svc")
        error = raised(lambda: state.update(x=1))
    assert isinstance(error, notify.FencedError)
    assert error.service == "svc"


def test_a_call_that_gets_no_answer_names_the_incarnation(bus: notify.Bus, another_bus: notify.Bus) -> None:
    calls: list[int] = []
    end = threading.Event()

    class Work:
        def work(self) -> None:
            calls.append(1)
            end.wait(10)

    with another_bus.service("svc", provides={"work"}, exports=Work(), threads=2) as service:
        error = raised(lambda: bus.call(WORK, "work", timeout_s=0.1))
        assert isinstance(error, notify.RequestTimeoutError)
        assert (*about(error), error.incarnation) == ("svc", ("work",), service.incarnation)
        errors: list[Any] = []
        thread = threading.Thread(target=lambda: errors.append(raised(lambda: bus.call("svc", "work", timeout_s=10))))
        thread.start()
        wait_until(lambda: len(calls) == 2)
        bus.directory.kill("svc")
        thread.join()
        end.set()
    assert isinstance(errors[0], notify.ServiceKilledError)
    assert (*about(errors[0]), errors[0].incarnation) == ("svc", ("work",), error.incarnation)
