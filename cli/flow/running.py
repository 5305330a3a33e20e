"""Runs a flow in the foreground until it ends or a signal comes."""

import threading
import traceback
from collections.abc import Callable
from typing import Any

import msgspec
import typer

from cli.flow.loading import Loaded
from cli.flow.meter import Meter
from cli.output import Output, one_line
from cli.services.killed import end_if_killed
from cli.signals import Stop
from notify import Dispatcher, Event, FlowError, Gap, Message, NotifyError
from notify.flows import Failed
from notify.process import set_title

__all__ = ["run", "shown_by"]

LOOK_S = 0.1
END_S = 15.0


def run(loaded: Loaded, stop: Stop, output: Output, *, ready: Callable[[], str], has_progress: bool = False) -> None:
    """Run a flow, as a service if it has a program, until it has ended or a signal comes; then deliver what is in it.

    Args:
        loaded: the flow.
        stop: the signals.
        output: the output of the command.
        ready: returns what to say when the flow runs.
        has_progress: whether to show the counters of each node.

    Raises:
        typer.Exit: not all was delivered, or the service was killed.
        Exception: the error that ended the flow.
    """
    set_title(f"flow {loaded.flow.name}")
    part: Foreground = Service(loaded) if loaded.program is not None else Plain(loaded)
    try:
        part.start()
        output.talk(ready())
        with Meter(output, loaded.flow, is_shown=has_progress) as meter:
            while not stop.wait(LOOK_S) and not part.has_ended():
                meter.show()
            is_complete = part.close()
    except BaseException as exc:
        part.abandon()
        if isinstance(exc, NotifyError | OSError) or not isinstance(exc, Exception):
            raise
        frame = traceback.extract_tb(exc.__traceback__)[-1]  # the code of the user: a stage has raised it
        where = f"{frame.filename}:{frame.lineno}"
        raise FlowError(f"the flow {loaded.flow.name!r} has failed: {type(exc).__name__}: {exc} ({where})") from exc
    if loaded.program is not None and not stop.asked:
        end_if_killed(loaded.program.service, loaded.program.bus, output)
    if not is_complete:
        raise typer.Exit(1)


class Foreground:
    """A flow that runs beside the main thread, which waits for signals."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded, self._flow = loaded, loaded.flow

    def start(self) -> None:
        """Start it. Raises the error of a flow that cannot start."""
        raise NotImplementedError

    def has_ended(self) -> bool:
        """Whether it has ended by itself."""
        raise NotImplementedError

    def close(self) -> bool:
        """End it, and return whether all was delivered; raise the error that ended it."""
        raise NotImplementedError

    def abandon(self) -> None:
        """End it at once, after a second signal or an error."""
        self._flow.cut()


class Plain(Foreground):
    """A flow that is no service."""

    def start(self) -> None:
        try:
            self._flow.start()
        except NotifyError as exc:
            raise self._loaded.failed(exc) from exc

    def has_ended(self) -> bool:
        return self._flow.wait(0)

    def close(self) -> bool:
        return self._flow.close()


class Service(Foreground):
    """A flow that is a service. A dispatcher runs it in a thread."""

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(loaded)
        assert loaded.program is not None  # noqa: S101  # the caller has looked
        self._dispatcher = Dispatcher(loaded.program)
        self._program = loaded.program
        self._problem: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="notify-flow", daemon=True)

    def start(self) -> None:
        self._thread.start()
        while self._thread.is_alive() and not self._program.service.incarnation:
            self._thread.join(LOOK_S)
        self._check()

    def has_ended(self) -> bool:
        return not self._thread.is_alive()

    def close(self) -> bool:
        self._dispatcher.shutdown()
        self._thread.join(END_S)
        self._check()
        return not self._flow.is_cut

    def abandon(self) -> None:
        for _ in range(2):
            self._dispatcher.shutdown()
        if self._thread.ident is not None:
            self._thread.join(END_S)

    def _run(self) -> None:
        try:
            self._dispatcher.run()
        except BaseException as exc:  # the main thread raises it
            self._problem = exc

    def _check(self) -> None:
        problem, self._problem = self._problem, None
        if isinstance(problem, NotifyError):
            raise self._loaded.failed(problem) from problem
        if problem is not None:
            raise problem


def shown_by(output: Output) -> Callable[[Any], object]:
    """Return the function that prints an item, escaped, in a line of its own."""

    def show(item: Any) -> None:
        if isinstance(item, Event | Gap):
            output.item(item)
            return
        text = f"{type(item.error).__name__}: {item.error}: {item.item!r}" if isinstance(item, Failed) else item
        value = item.to_contents() if isinstance(item, Message) else text
        try:
            msgspec.json.encode(value)
        except (TypeError, ValueError, OverflowError, RecursionError, UnicodeEncodeError):
            value = repr(value)
        output.record({"item": value}, one_line(value))

    show.__name__ = "print"
    return show
