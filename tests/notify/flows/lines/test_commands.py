"""Standard input, commands and serial lines as sources: they end cleanly, and say how."""

import logging
import os
import pty
import sys
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from notify import EndpointError, SettingsError, WiringError
from notify.flows import Failed, command_lines, pipeline, retry, serial_lines, stage, stdin_lines
from notify.flows.lines import serial_line as serial_module
from notify.testing import wait_until
from tests.support.processes import Process, is_running

pytestmark = pytest.mark.any_server


def python(program: str) -> list[str]:
    return [sys.executable, "-u", "-c", program]


class Standard:
    """Standard input that a test writes to."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()

    def fileno(self) -> int:
        return self.read_end

    def write(self, text: str) -> None:
        os.write(self.write_end, text.encode())

    def end(self) -> None:
        if self.write_end >= 0:
            os.close(self.write_end)
            self.write_end = -1


@pytest.fixture
def standard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Standard]:
    made = Standard()
    monkeypatch.setattr(sys, "stdin", made)
    yield made
    made.end()
    os.close(made.read_end)


def test_K14_standard_input_is_a_source_and_its_end_the_end_of_the_flow(standard: Standard) -> None:
    got: list[str] = []
    with pipeline(stdin_lines(), got.append) as flow:
        standard.write("one\ntw")
        wait_until(lambda: got == ["one"], what="the line")
        standard.write("o\nthree")
        standard.end()
        assert flow.wait(5)
    assert got == ["one", "two", "three"]


def test_K14_a_flow_ends_although_nothing_comes_from_standard_input(standard: Standard) -> None:
    got: list[str] = []
    with pipeline(stdin_lines(), got.append) as flow:
        standard.write("one\n")
        wait_until(lambda: got == ["one"], what="the line")
        began = time.monotonic()
        assert flow.close()
        assert time.monotonic() - began < 0.4  # sooner than a source is given up that cannot be stopped


def test_K14_a_process_copies_its_standard_input(start: Any) -> None:
    process: Process = start("flows.stdin")
    assert process.told() == "ready"
    process.go()
    assert process.told() == "go"
    assert process.end() == 0


def test_standard_input_that_is_none_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(EndpointError, match="there is no standard input: start the program with one"):
        pipeline(stdin_lines(), print).start()


def test_K14_the_output_of_a_command_is_a_source() -> None:
    got: list[Any] = []
    source = command_lines(["sh", "-c", "printf '{\"a\": 1}\\n[2]\\n'; exit 3"], framing="json", check=False)
    pipeline(source, got.append).run()
    assert got == [{"a": 1}, [2]]
    assert source.exit_code == 3


@pytest.mark.parametrize(
    ("command", "problem"),
    [(["sh", "-c", "echo one; exit 3"], "ended with status 3: see"), (["sh", "-c", "echo one; kill -9 $$"], "was ended by SIGKILL")],
)
def test_K14_a_command_that_fails_is_an_error_after_its_output(command: list[str], problem: str) -> None:
    got: list[str] = []
    with pytest.raises(EndpointError, match=problem):
        pipeline(command_lines(command), got.append).run()
    assert got == ["one"]


def test_a_command_that_fails_is_started_again_by_the_policy(tmp_path: Path) -> None:
    got: list[str] = []
    program = f"import os; n = len(os.listdir({str(tmp_path)!r})); open(f'{tmp_path}/{{n}}', 'w'); print(n); exit(n < 2)"
    pipeline(stage(command_lines(python(program)), on_error=retry(3, 0.01)), got.append).run()
    assert got == ["0", "1", "2"]


def test_K14_a_command_gets_sigterm_and_what_it_prints_then_is_delivered() -> None:
    program = """
import signal, sys
def end(*_):
    print("last words")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("ready")
signal.pause()
"""
    got: list[str] = []
    source = command_lines(python(program))
    with pipeline(source, got.append) as flow:
        wait_until(lambda: got == ["ready"], what="the first line")
        assert flow.close()
    assert got == ["ready", "last words"]
    assert source.exit_code == 0


def test_a_command_that_ignores_sigterm_is_killed_with_all_that_it_has_started(caplog: pytest.LogCaptureFixture) -> None:
    program = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
if child:
    print(child)
while True:
    print("x" * 100) if child else None
    time.sleep(0.001)  # a line each millisecond, without an end
"""
    got: list[str] = []
    source = command_lines(python(program), end_s=0.2)
    with pipeline(source, got.append) as flow:
        wait_until(lambda: len(got) > 10, what="lines")
        assert flow.close()
    assert source.exit_code == -9
    assert not is_running(int(got[0]))
    assert "does not end at SIGTERM, and is killed after 0.2 s" in caplog.text


def test_a_command_that_cannot_be_started_is_an_error() -> None:
    with pytest.raises(EndpointError, match="'no-such-program -x' cannot be started: No such file or directory; check its name"):
        pipeline(command_lines(["no-such-program", "-x"]), print).run()
    for wrong in ("ls -l", [], [1]):
        with pytest.raises(WiringError, match="give a list"):
            command_lines(wrong)  # type: ignore[arg-type]  # a wrong value is refused


class Device:
    """The other end of a pseudo-terminal."""

    def __init__(self) -> None:
        self.device, self._line = pty.openpty()
        tty.setraw(self._line)
        self.name = os.ttyname(self._line)

    def send(self, data: bytes) -> None:
        os.write(self.device, data)

    def unplug(self) -> None:
        if self.device >= 0:
            os.close(self.device)
            os.close(self._line)
            self.device = -1


@pytest.fixture
def device() -> Iterator[Device]:
    made = Device()
    yield made
    made.unplug()


def test_K14_a_serial_line_is_a_source(device: Device) -> None:
    got: list[str] = []
    with pipeline(serial_lines(device.name, 115_200), got.append) as flow:
        device.send(b"temperature 20")
        device.send(b".5\r\nhumidity 40\r\n")
        wait_until(lambda: len(got) == 2, what="the lines")
        began = time.monotonic()
        assert flow.close()
        assert time.monotonic() - began < 0.4
    assert got == ["temperature 20.5", "humidity 40"]


def test_a_serial_line_that_sends_noise_is_read_on(device: Device) -> None:
    got: list[str] = []
    failed: list[Failed] = []
    with pipeline(serial_lines(device.name), got.append, errors=failed.append):
        writing = threading.Thread(target=device.send, args=(b"\xff" * 40_000 + b"\nok\nhal",))
        writing.start()
        writing.join()
        wait_until(lambda: got == ["ok"], what="the line behind the noise")
    assert len(failed[0].item) == 200
    assert failed[1].item == b"hal"


@pytest.mark.parametrize("reconnect", [False, True])
def test_a_serial_line_that_is_lost_is_an_error_or_waited_for(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, reconnect: bool
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(serial_module, "PAUSE_S", 0.01)
    link = tmp_path / "ttyUSB0"
    link.symlink_to(device.name)
    got: list[str] = []
    flow = pipeline(serial_lines(str(link), reconnect=reconnect), got.append).start()
    device.send(b"one\n")
    wait_until(lambda: got == ["one"], what="the line")
    link.unlink()
    device.unplug()
    if not reconnect:
        assert flow.wait(5)
        with pytest.raises(EndpointError, match=r"was lost: .*; check the device"):
            flow.close()
        return
    wait_until(lambda: "and is waited for" in caplog.text, what="the loss")
    another = Device()
    link.symlink_to(another.name)
    wait_until(lambda: "is there again" in caplog.text, what="the device")
    another.send(b"two\n")
    wait_until(lambda: got == ["one", "two"], what="the line of the new device")
    assert flow.close()
    another.unplug()


def test_a_serial_line_that_cannot_be_opened_is_an_error(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EndpointError, match=r"the serial line /dev/nowhere cannot be opened: .*; check the device"):
        pipeline(serial_lines("/dev/nowhere"), print).start()
    with pytest.raises(SettingsError, match="has an option that cannot be used"):
        pipeline(serial_lines(device.name, parity="?"), print).start()
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(SettingsError, match=r"pip install 'notify-workers\[serial\]'"):
        pipeline(serial_lines(device.name), print).start()
