"""The tools for tests: private servers, and waiting without sleeping."""

import subprocess
import sys

import pytest

import notify
from notify import EmbeddedServerError
from notify.testing import private_server, wait_until


def test_a_private_server_is_separate_and_leaves_nothing_behind():
    with private_server() as one, private_server() as other:
        assert one.pid != other.pid
        directory = one.directory
        with notify.connect(one.url) as bus, notify.connect(other.url) as elsewhere:
            bus.publish("t", 1)
            assert elsewhere.topics() == []
    assert not directory.exists()
    with pytest.raises(EmbeddedServerError, match="does not run"):
        assert one.pid


def test_a_private_server_is_stopped_when_the_test_fails():
    def fail() -> None:
        with private_server() as server:
            directories.append(server.directory)
            buses.append(notify.connect(server.url))
            raise ZeroDivisionError

    directories, buses = [], []
    with pytest.raises(ZeroDivisionError):
        fail()
    assert not directories[0].exists()
    with buses[0] as bus, pytest.raises(notify.ServerUnreachableError):
        bus.topics()


def test_a_private_server_that_hangs_is_stopped_as_well():
    with private_server() as server:
        server.freeze()
    assert not server.directory.exists()


def test_a_frozen_server_answers_again_when_it_is_thawed(own_server, connect_to):
    bus = connect_to(own_server, command_timeout_s=0.05)
    own_server.freeze()
    with pytest.raises(notify.ServerUnreachableError):
        bus.topics()
    own_server.thaw()
    assert wait_until(lambda: bus.redis.ping())


@pytest.mark.parametrize("killed", [True, False])
def test_a_restarted_server_is_another_process_with_the_same_data(own_server, connect_to, killed):
    bus = connect_to(own_server)
    bus.publish("t", 1)
    before = own_server.pid
    if killed:
        own_server.kill()
    own_server.restart()
    assert own_server.pid != before
    assert bus.topics() == ["t"]


def test_wait_until_returns_the_value_of_the_condition():
    answers = iter([None, 0, [], "yes"])
    assert wait_until(lambda: next(answers)) == "yes"


def test_wait_until_raises_an_error_that_names_the_condition():
    with pytest.raises(TimeoutError, match=r"gave up waiting for the moon after 0\.01 s"):
        wait_until(lambda: False, timeout_s=0.01, what="the moon")


WITHOUT_THE_EXTRA = """
import sys
sys.modules.update(fakeredis=None, lupa=None)  # as if they were not installed
from notify import SettingsError
from notify.testing import fake_bus, private_server, wait_until
try:
    fake_bus()
except SettingsError as exc:
    print(exc)
"""


@pytest.mark.any_server
def test_without_its_extra_the_tools_import_and_the_fake_bus_names_the_extra():
    done = subprocess.run([sys.executable, "-c", WITHOUT_THE_EXTRA], capture_output=True, text=True, timeout=30, check=True)
    assert "pip install 'notify-workers[testing]'" in done.stdout
    assert done.stderr == ""
