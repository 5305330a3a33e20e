"""The receiving process of a listener, started as a listener starts it, and its protocol."""

import subprocess
import sys

import msgspec
import pytest

import notify
from notify.events.receiver import ReceiverOptions, read_line


@pytest.fixture
def start_receiver(bus):
    """Start a receiving process with every warning as an error."""
    started = []

    def start(**changed):
        options = ReceiverOptions(msgspec.structs.replace(bus.settings, **changed), ("t",), None, "reader")
        command = [sys.executable, "-W", "error", "-m", "notify.events", "t"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        started.append(process)
        process.stdin.write(msgspec.json.encode(options) + b"\n")
        process.stdin.flush()
        return process

    yield start
    for process in started:
        process.communicate(timeout=10)


def test_the_first_line_says_that_the_process_is_subscribed(bus, start_receiver):
    process = start_receiver()
    first = read_line(process.stdout)
    assert (first.item, first.problem, first.positions) == (None, None, {"t": "start"})
    event_id = bus.publish("t", {"celsius": 21.5})
    second = read_line(process.stdout)
    assert isinstance(second.item, notify.Event)
    assert (second.item.contents, second.positions) == ({"celsius": 21.5}, {"t": event_id})


def test_the_first_line_says_why_the_process_could_not_subscribe(start_receiver):
    process = start_receiver(url="unix:///nowhere/redis.sock")
    first = read_line(process.stdout)
    assert first.problem.startswith("no answer from unix:///nowhere/redis.sock")
    assert read_line(process.stdout) is None


def test_the_process_starts_without_a_warning_and_ends_with_its_input(start_receiver):
    """No module is imported twice, which ``python -m`` would warn about."""
    process = start_receiver()
    read_line(process.stdout)
    process.stdin.close()
    assert process.wait(timeout=10) == 0
    assert process.stderr.read() == b""
    process.stdin = None
