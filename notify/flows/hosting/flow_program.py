"""A program whose work is a flow."""

import logging
import socket
import threading
from collections.abc import Collection
from typing import Any, ClassVar, Final, Protocol, Self, runtime_checkable

from notify.bus import Bus
from notify.directory import Target
from notify.errors import NotifyError
from notify.flows.flow import Flow
from notify.flows.hosting.needs import NeedsGate, needs_of
from notify.program import Program

__all__ = ["FlowProgram"]

LOOK_S: Final = 0.2
"""How often the program looks whether its flow has ended, or its service was killed."""
CLOSE_S: Final = 10.0
WILDCARDS: Final = ("", "*", "0.0.0.0", "[::]", "::")  # noqa: S104  # compared with, not bound to

log = logging.getLogger(__name__)


@runtime_checkable
class Listens(Protocol):
    """A part of a flow that others connect to, such as a `TCPServer`."""

    @property
    def port(self) -> int:
        """The port that it listens at; 0 if the flow has not started and any free port will do."""

    @property
    def address(self) -> str:
        """The host and the port."""


class FlowProgram(Program):
    """A program that runs a flow: registered in the directory, with heartbeats, and killed as any other service.

    ::

        flow = pipeline(subscribe_to(bus, "alarms"), contents, TCPServer(1600))
        Dispatcher(FlowProgram(bus, flow, name="alarms-out", needs=["storage"])).run()

    The flow starts before the service is registered: what is in the directory can be connected to. Each port that the flow listens at is
    a capability, ``tcp:1600``, and the first one is the address of the service. While a service is gone that the flow needs, its
    sources give nothing, and a report on ``<name>_status`` says so.

    In a shutdown the sources end first. The shutdown is suspended until what is in the flow is delivered; when its time is over the
    flow is cut. A flow that ends by itself ends the program, and an error of the flow is raised by `run`.

    Args:
        bus: the bus to serve on.
        flow: the flow, which has not started.
        name: the name of the service; by default that of the class, or of the flow.
        provides: capabilities, those of the class and of the ports besides.
        needs: names of services, and capabilities as `notify.provides` gives them; by default those of the class.
        address: an address at which the flow can be reached; by default the first one that it listens at.
        ttl_s: seconds without a heartbeat after which the service is withdrawn; by default ``ttl_s`` of the settings.
        close_s: seconds that the flow gets, after a shutdown or a kill began, to deliver what is in it.

    Raises:
        InvalidServiceError: a name, capability, need or address cannot be used.
    """

    needs: ClassVar[Collection[Target]] = ()
    """The services that the flow needs."""

    def __init__(
        self,
        bus: Bus,
        flow: Flow,
        *,
        name: str | None = None,
        provides: Collection[str] = (),
        needs: Collection[Target] | None = None,
        address: str = "",
        ttl_s: float | None = None,
        close_s: float = CLOSE_S,
    ) -> None:
        self.flow = flow
        self._needs = needs_of(self.needs if needs is None else needs)
        self._added, self._given_address = frozenset({provides} if isinstance(provides, str) else provides), address
        self._close_s = close_s
        self._must_end = threading.Event()
        self._arguments: dict[str, Any] = {"name": name or self.name or flow.name, "ttl_s": ttl_s}
        self._described = self._description()
        super().__init__(bus, **self._arguments, **self._described)

    def run(self) -> None:
        """Run the flow until it has ended, a shutdown begins, or the service is killed; then deliver what is in it, and close it.

        Raises:
            Exception: the first error that ended the flow.
        """
        with NeedsGate(self.bus.directory, self._needs, hold=self._hold, release=self._go_on, name=self.service.name):
            while not self.stopping.is_set() and not self.flow.wait(LOOK_S) and not self.service.wait(0):
                continue
        self.flow.close(timeout_s=0.0 if self._must_end.is_set() else self._close_s)

    def pending(self) -> None:
        """Start the shutdown: the sources end. `run` returns when what is in the flow is delivered, and the dispatcher waits for it."""
        super().pending()
        self.flow.stop()

    def arrived(self) -> None:
        """Cut the flow, if it has not delivered all by now."""
        self._must_end.set()
        self.flow.cut()

    def __enter__(self) -> Self:
        """Start the flow, with its sources held, and register the service.

        Raises:
            Exception: the flow cannot start, or the service cannot be registered; nothing is left open.
        """
        self.flow.hold()
        self.flow.start()
        try:
            self._describe()
            return super().__enter__()
        except BaseException:
            self.flow.close(timeout_s=0)
            raise

    def __exit__(self, *details: object) -> None:
        try:
            self.flow.close(timeout_s=0)
        finally:
            super().__exit__(*details)

    def _hold(self, missing: list[str]) -> None:
        self.flow.hold()
        log.warning("the flow %r is held: %s is not there", self.flow.name, ", ".join(missing))
        self._report(f"held: {', '.join(missing)} is not there")

    def _go_on(self) -> None:
        self.flow.release()
        if self._needs:
            self._report(f"running: {', '.join(map(str, self._needs))} is there")

    def _report(self, text: str) -> None:
        try:
            self.service.report(text)
        except NotifyError as exc:  # the flow is held or released in any case
            log.warning("the report %r of %r could not be published: %s", text, self.service.name, exc)

    def _describe(self) -> None:
        """Make the service anew if the flow has got a port from the system when it started."""
        if self._described != self._description():
            self._described = self._description()
            self.service = self.bus.service(**self._arguments, **self._described, standby=self.standby)

    def _listening(self) -> list[Any]:
        return [node.work for node in self.flow.nodes.values() if isinstance(node.work, Listens) and node.work.port]

    def _description(self) -> dict[str, Any]:
        """Return the capabilities and the address, as they are known now."""
        given = {self.provides} if isinstance(self.provides, str) else self.provides
        ports = {f"tcp:{part.port}" for part in self._listening()}
        return {"provides": frozenset(given) | self._added | ports, "address": self._address()}

    def _address(self) -> str:
        listening = self._listening()
        if self._given_address or not listening:
            return self._given_address
        host, _, port = listening[0].address.rpartition(":")
        return f"{socket.gethostname() if host in WILDCARDS else host}:{port}"
