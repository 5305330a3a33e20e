"""Process titles: they name the role of a process, and replace its command line."""

import os

import pytest

import notify
from notify.process import title
from notify.testing import wait_until
from tests.support.processes import command_of, receivers

pytestmark = pytest.mark.any_server


def test_M11_the_title_of_a_receiver_names_its_topics(bus):
    with bus.listen("temperature", "lab.*", callback=print):
        (pid,) = receivers(os.getpid())
        wait_until(lambda: command_of(pid) == "notify: listener of temperature, lab.*")


def test_M11_a_title_replaces_a_command_line_with_a_password(server, start):
    process = start("titled", server.url.replace("unix://", "unix://default:hush@"))
    assert process.told() == "ready"
    assert command_of(process.pid) == "notify: storage"


def test_M11_without_setproctitle_there_is_no_title_and_no_error(monkeypatch):
    monkeypatch.setattr(title, "setproctitle", None)
    before = command_of(os.getpid())
    title.set_title("nobody")
    assert command_of(os.getpid()) == before


@pytest.mark.parametrize("topic", ["t", "é", "two words\n"])
def test_M11_any_topic_can_be_in_a_title(bus, topic):
    received: list[object] = []
    with bus.listen(topic, callback=received.append):
        bus.publish(topic, 1)
        wait_until(lambda: received)
    assert isinstance(received[0], notify.Event)
