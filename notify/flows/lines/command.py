"""The output of a command as a source."""

import logging
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Literal

from notify.errors import EndpointError, WiringError
from notify.flows.framing import Framing, LineFraming
from notify.flows.lines.reader import READ_BYTES, LineSource, Waker
from notify.flows.protocol import Context
from notify.settings import positive

__all__ = ["CommandLines", "command_lines"]

END_S: Final = 2.0
"""How long a command gets between SIGTERM and SIGKILL, by default."""
POLL_S: Final = 0.01
DRAIN_S: Final = 0.5
"""How long the output is still read after the command has ended: something that it has started may hold it open."""

log = logging.getLogger(__name__)


def command_lines(
    command: Sequence[str],
    *,
    framing: Literal["lines", "json", "length"] | Framing | None = None,
    check: bool = True,
    environ: Mapping[str, str] | None = None,
    end_s: float = END_S,
) -> "CommandLines":
    """Return a source of the lines that a command prints. It ends with the command.

    The command has no input, and writes its errors where this process does. At a stop of the flow it gets SIGTERM, with all processes that
    it has started, and what it still prints is delivered; after ``end_s`` seconds it is killed. With the policy `retry` it is started
    again when it fails.

    Args:
        command: the program and its arguments; no shell reads them.
        framing: how bytes become items, by default lines, the last of which may come without a line break.
        check: whether it is an error if the command fails; otherwise `CommandLines.exit_code` tells it.
        environ: variables that are added to the environment.
        end_s: seconds between SIGTERM and SIGKILL.

    Raises:
        WiringError, SettingsError: an argument cannot be used.

    The source raises `EndpointError` if the command cannot be started, or fails.
    """
    if isinstance(command, str) or not command or not all(isinstance(part, str) for part in command):
        raise WiringError(f"command is {command!r}: give a list, such as ['tail', 'log.txt']; for a shell ['sh', '-c', '...']")
    return CommandLines(list(command), framing, check=check, environ=environ, end_s=positive(end_s, "end_s"))


class CommandLines(LineSource):
    """The source that `command_lines` returns, which has the description."""

    def __init__(self, command: list[str], framing: object, *, check: bool, environ: Mapping[str, str] | None, end_s: float) -> None:
        super().__init__(f"the command {shlex.join(command)!r:.200}", LineFraming(partial="keep") if framing is None else framing)
        self._command, self._check, self._end_s = command, check, end_s
        self._environ = {**os.environ, **environ} if environ else None
        self._process: subprocess.Popen[bytes] | None = None
        self._waker: Waker | None = None
        self.exit_code: int | None = None
        """The exit status of the command, negative if a signal ended it; ``None`` while it runs."""

    def open(self, context: Context) -> None:
        super().open(context)
        self._waker = Waker()

    def __iter__(self) -> Iterator[Any]:
        decoder = self._decoder()
        process = self._start()
        try:
            for data in self._output(process):
                yield self._decoded(decoder, data)
            yield self._rest(decoder)
        finally:
            self._end(process)
        if self._check and self.exit_code and not self._stopping.is_set():
            code = self.exit_code
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
            raise EndpointError(f"{self.what} {how}: see what it has printed, or give check=False")

    def stop(self) -> None:
        super().stop()
        if self._waker is not None:
            self._waker.wake()

    def close(self) -> None:
        super().close()
        if self._process is not None:
            self._end(self._process)
        if self._waker is not None:
            self._waker.close()

    def _start(self) -> "subprocess.Popen[bytes]":
        self.exit_code = None
        try:
            # A session of its own: a signal reaches all that it starts, and a Ctrl-C is told by the flow, in order.
            process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=self._environ, start_new_session=True, bufsize=0
            )
        except OSError as exc:
            raise EndpointError(f"{self.what} cannot be started: {exc.strerror}; check its name and permissions") from exc
        self._process = process
        return process

    def _output(self, process: "subprocess.Popen[bytes]") -> Iterator[bytes]:
        """Yield what the command prints; after a stop, what it prints until it has ended."""
        if process.stdout is None or self._waker is None:
            return
        file = process.stdout.fileno()
        while not self._stopping.is_set():
            if self._waker.wait(file):
                data = os.read(file, READ_BYTES)
                if not data:
                    return
                yield data
        _signal(process, signal.SIGTERM)
        os.set_blocking(file, False)
        kill_at = time.monotonic() + self._end_s
        while time.monotonic() < kill_at:
            printed = _read_now(file)
            if printed == b"":
                return
            if printed:
                yield printed
                continue
            if process.poll() is not None:
                kill_at = min(kill_at, time.monotonic() + DRAIN_S)
            time.sleep(POLL_S)
        if process.poll() is None:
            log.warning("%s does not end at SIGTERM, and is killed after %g s", self.what, self._end_s)

    def _end(self, process: "subprocess.Popen[bytes]") -> None:
        """End what still runs, and note the exit status."""
        try:
            process.wait(0.0 if self._stopping.is_set() else self._end_s)  # its output has ended: so will it
        except subprocess.TimeoutExpired:
            _signal(process, signal.SIGKILL)
            process.wait()
        self.exit_code = process.returncode
        if process.stdout is not None:
            process.stdout.close()


def _signal(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    """Send a signal to the command and what it has started."""
    if process.poll() is None:
        with suppress(ProcessLookupError, PermissionError):  # it has just ended, or runs as another user by now
            os.killpg(process.pid, number)


def _read_now(file: int) -> bytes | None:
    """Return what can be read without waiting: empty at the end, ``None`` if there is nothing now."""
    try:
        return os.read(file, READ_BYTES)
    except BlockingIOError:
        return None
