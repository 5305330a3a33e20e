"""A serial line as a source, by pyserial (the extra ``serial``)."""

import logging
from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final, Literal

from notify.errors import EndpointError, SettingsError
from notify.flows.framing import Framing
from notify.flows.lines.reader import READ_BYTES, LineSource, Waker
from notify.flows.protocol import Context, Source

__all__ = ["serial_lines"]

PAUSE_S: Final = 1.0
"""How long a device that is gone is waited for before the next look."""

log = logging.getLogger(__name__)


def serial_lines(
    port: str,
    baudrate: int = 9_600,
    *,
    framing: Literal["lines", "json", "length"] | Framing = "lines",
    reconnect: bool = True,
    **options: Any,
) -> Source:
    """Return a source of the lines that a device sends on a serial line. It needs the extra ``serial``.

    Args:
        port: the device, such as ``/dev/ttyUSB0``.
        baudrate: bits per second.
        framing: how bytes become items.
        reconnect: whether to wait for the device when it was taken out, and to go on; otherwise that is an `EndpointError`.
        options: further arguments of ``serial.Serial``, such as ``parity="E"``.

    Raises:
        WiringError: the framing cannot be used.

    ``Flow.start`` raises `EndpointError` if the device cannot be opened, and `SettingsError` if pyserial is not installed or an option is
    wrong.
    """
    return SerialLines(port, framing, reconnect=reconnect, options={**options, "baudrate": baudrate, "timeout": 0})


class SerialLines(LineSource):
    """The source that `serial_lines` returns, which has the description."""

    def __init__(self, port: str, framing: object, *, reconnect: bool, options: dict[str, Any]) -> None:
        super().__init__(f"the serial line {port}", framing)
        self._port, self._reconnect, self._options = port, reconnect, options
        self._device: Any = None
        self._waker: Waker | None = None

    def open(self, context: Context) -> None:
        super().open(context)
        try:
            self._serial = import_module("serial")
        except ImportError as exc:
            raise SettingsError("serial lines need pyserial: pip install 'notify-workers[serial]'") from exc
        self._device = self._opened()
        self._waker = Waker()

    def __iter__(self) -> Iterator[Any]:
        decoder = self._decoder()
        while not self._stopping.is_set():
            if self._device is None:
                yield None
                self._try_again()
                continue
            try:
                data = self._read()
            except (OSError, TypeError) as exc:  # a SerialException is an OSError; pyserial raises TypeError if it was closed meanwhile
                yield self._rest(decoder)
                decoder = self._decoder()
                self._lost(exc)
                continue
            if data:
                yield self._decoded(decoder, data)
        yield self._rest(decoder)

    def stop(self) -> None:
        super().stop()
        if self._waker is not None:
            self._waker.wake()

    def close(self) -> None:
        super().close()
        if self._device is not None:
            self._device.close()
        if self._waker is not None:
            self._waker.close()

    def _read(self) -> bytes:
        if self._waker is None or not self._waker.wait(self._device.fileno()):
            return b""
        data: bytes = self._device.read(READ_BYTES)  # what is there: the timeout is 0
        return data

    def _opened(self) -> Any:
        try:
            return self._serial.Serial(self._port, **self._options)
        except OSError as exc:
            raise EndpointError(f"{self.what} cannot be opened: {exc}; check the device, its permissions, and who else uses it") from exc
        except (ValueError, TypeError) as exc:
            raise SettingsError(f"{self.what} has an option that cannot be used: {exc}") from exc

    def _lost(self, problem: Exception) -> None:
        self._device.close()
        self._device = None
        if not self._reconnect:
            raise EndpointError(f"{self.what} was lost: {problem}; check the device, or use reconnect=True") from problem
        log.warning("%s was lost (%s), and is waited for", self.what, problem)

    def _try_again(self) -> None:
        try:
            self._device = self._opened()
        except EndpointError:
            self._stopping.wait(PAUSE_S)
        else:
            log.warning("%s is there again", self.what)
