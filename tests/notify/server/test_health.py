"""Connection health: the handler is called when the server becomes reachable or unreachable."""

import threading
import time
from pathlib import Path

import pytest

import notify
from notify import LinkState, LinkStatus, ServerUnreachableError, SettingsError
from notify.server import health as link
from notify.testing import wait_until

NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Monitors that probe every few milliseconds."""
    monkeypatch.setattr(link, "PROBE_S", 0.03)


def _states(statuses: list[LinkStatus]) -> list[str]:
    return [str(status.state) for status in statuses]


@pytest.mark.usefixtures("_impatient")
def test_N8_the_handler_is_called_in_order_when_the_server_is_there_gone_and_back(own_server):
    statuses: list[LinkStatus] = []
    with notify.connect(own_server.url, on_link=statuses.append) as bus:
        wait_until(lambda: _states(statuses) == ["ACTIVE"])
        first_pid = own_server.pid
        own_server.kill()
        wait_until(lambda: _states(statuses) == ["ACTIVE", "INACTIVE"])
        own_server.restart()
        wait_until(lambda: _states(statuses) == ["ACTIVE", "INACTIVE", "ACTIVE"])
        bus.publish("t", 1)
    assert _states(statuses) == ["ACTIVE", "INACTIVE", "ACTIVE", "INACTIVE"]
    assert all(status.process.endswith(f" pid {first_pid}") for status in statuses[:2])
    assert statuses[2].process.endswith(f" pid {own_server.pid}")
    assert {status.address for status in statuses} == {own_server.url}


def test_N8_a_failed_first_attempt_is_reported_also_when_connect_raises():
    for _ in range(10):
        statuses: list[LinkStatus] = []
        with pytest.raises(ServerUnreachableError):
            notify.connect(NOWHERE, on_link=statuses.append)
        assert statuses == [LinkStatus(LinkState.INACTIVE, "unknown", NOWHERE)]


@pytest.mark.usefixtures("_impatient")
def test_N8_a_server_that_starts_later_is_reported_after_the_failed_attempt(own_server):
    statuses: list[LinkStatus] = []
    own_server.kill()
    starting = threading.Thread(target=lambda: wait_until(lambda: statuses) and own_server.restart())
    starting.start()
    with notify.connect(own_server.url, retry_s=0.05, on_link=statuses.append) as bus:
        starting.join()
        wait_until(lambda: len(statuses) == 2)
        bus.publish("t", 1)
    assert _states(statuses) == ["INACTIVE", "ACTIVE", "INACTIVE"]


def test_N8_the_text_of_a_status_has_state_process_and_address():
    assert (
        str(LinkStatus(LinkState.ACTIVE, "redis 7.0.15 pid 42", "redis://lab:6379/0")) == "ACTIVE redis 7.0.15 pid 42 (redis://lab:6379/0)"
    )


def test_N8_the_monitor_has_a_name_in_client_list_and_its_address_hides_the_password(server, bus):
    """The server sees the connection of the monitor by name."""
    statuses: list[LinkStatus] = []
    url = server.url.replace("unix://", "unix://default:hush@")
    with notify.connect(url, on_link=statuses.append):
        wait_until(lambda: statuses)
        assert "notify:link" in [client["name"] for client in bus.redis.client_list()]
    assert "hush" not in str(statuses)
    assert Path(server.url.partition("://")[2].partition("?")[0]).name in statuses[0].address


@pytest.mark.usefixtures("_impatient")
def test_N8_an_exception_of_the_handler_is_logged_and_the_monitor_continues(own_server, caplog):
    statuses: list[LinkStatus] = []

    def broken(status: LinkStatus) -> None:
        statuses.append(status)
        raise RuntimeError("out of order")

    with notify.connect(own_server.url, on_link=broken) as bus:
        wait_until(lambda: len(statuses) == 1)
        own_server.kill()
        wait_until(lambda: len(statuses) == 2)
        own_server.restart()
        wait_until(lambda: len(statuses) == 3)
        bus.publish("t", 1)
    assert caplog.text.count("RuntimeError: out of order") == 4


@pytest.mark.any_server
def test_N8_a_frozen_server_is_detected_within_three_and_a_half_seconds(own_server):
    statuses: list[LinkStatus] = []
    with notify.connect(own_server.url, on_link=statuses.append):
        wait_until(lambda: _states(statuses) == ["ACTIVE"])
        own_server.freeze()
        wait_until(lambda: _states(statuses) == ["ACTIVE", "INACTIVE"], timeout_s=3.5)
        own_server.thaw()
        wait_until(lambda: _states(statuses) == ["ACTIVE", "INACTIVE", "ACTIVE"])


@pytest.mark.parametrize("retry", [{}, {"retry_s": -1}])
def test_N1_without_a_retry_there_is_one_attempt(retry):
    before = time.monotonic()
    with pytest.raises(ServerUnreachableError, match=r"127\.0\.0\.1:1"):
        notify.connect(NOWHERE, **retry)
    assert time.monotonic() - before < 1


@pytest.mark.parametrize("retry_s", [0, -2, "1", True])
def test_N1_a_time_between_attempts_that_is_not_above_0_is_refused(retry_s):
    with pytest.raises(SettingsError, match="retry_s"):
        notify.connect(NOWHERE, retry_s=retry_s)


def test_N1_with_a_retry_it_connects_when_the_server_comes_up(own_server):
    own_server.kill()
    with pytest.raises(ServerUnreachableError):
        notify.connect(own_server.url)
    buses: list[notify.Bus] = []
    connecting = threading.Thread(target=lambda: buses.append(notify.connect(own_server.url, retry_s=0.05)))
    connecting.start()
    connecting.join(0.2)
    assert connecting.is_alive()
    own_server.restart()
    connecting.join(5)
    with buses[0] as bus:
        bus.publish("t", 1)
