"""Other processes for tests. Each plays one role, prints what happened as lines of JSON, and goes on when it reads a line.

``python -m tests.support.processes <role> <argument> ...`` is what `Process` starts.
"""

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta, tzinfo
from itertools import count
from pathlib import Path
from typing import Any, cast

import notify
from notify.directory.monitor import Monitor
from notify.events import event
from notify.process import identity
from notify.process.title import set_title
from notify.service.heartbeat import Heartbeats
from notify.service.service import Service
from tests.support.moments import WAITS, SignalledAt

WAIT_S = 15.0
_RECEIVER = re.compile(r"-m notify\.events |^notify: listener of")


class Calculator:
    """The methods that the role `calculator` exports. Each call is printed when it begins."""

    def multiply(self, a: Any, b: Any = 1) -> Any:
        say({"begun": [a, b]})
        return a * b

    def sleep(self, seconds: float) -> str:
        say({"begun": seconds})
        time.sleep(seconds)  # as its caller asks
        return "slept"


class Process:
    """A process that plays a role. `told` reads a line, `go` lets it go on, `end` lets it end, `kill` kills it.

    A role is a function of this module, or of another one in its folder: ``flows.copier``.
    """

    def __init__(self, role: str, *arguments: object, environ: dict[str, str] | None = None, prefix: Sequence[str] = ()) -> None:
        module, _, role = role.rpartition(".")
        command = [*prefix, sys.executable, "-m", f"tests.support.{module or 'processes'}", role, *map(str, arguments)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **(environ or {})}
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def told(self, timeout_s: float = WAIT_S) -> Any:
        """Return the next line, decoded."""
        try:
            line = self._lines.get(timeout=timeout_s)
        except queue.Empty:
            raise AssertionError(f"the process printed nothing for {timeout_s:g} s") from None
        assert line, f"the process ended with status {self._process.wait(WAIT_S)} before it printed anything"
        return json.loads(line)

    def rest(self) -> list[Any]:
        """Return all remaining lines, decoded."""
        return [json.loads(line) for line in iter(lambda: self._lines.get(timeout=WAIT_S), "")]

    def go(self) -> None:
        self.write("go\n")

    def write(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text)
        self._process.stdin.flush()

    def end(self) -> int:
        """Close its stdin, and wait for its end. Returns the exit status."""
        self._close()
        return self._process.wait(WAIT_S)

    def freeze(self) -> None:
        """Freeze the process (SIGSTOP); it is frozen when this returns."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)

    def thaw(self) -> None:
        """Resume the process after `freeze`, if it still exists."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(WAIT_S)

    def dispose(self) -> None:
        """Kill the process if it still runs, and close its pipes."""
        if self._process.poll() is None:
            self.kill()
        self._close()
        self._reader.join(WAIT_S)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _close(self) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            return  # the process ended first

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")


def receivers(parent: int) -> list[int]:
    """Return the receiving processes that a process started and that still run."""
    return [pid for pid, started_by, command in _running() if started_by == parent and _RECEIVER.search(command)]


def command_of(pid: int) -> str:
    """Return the command line of a process, or its title."""
    return next(command.strip() for running, _, command in _running() if running == pid)


def is_running(pid: int) -> bool:
    return any(pid == running for running, _, _ in _running())


def _running() -> list[tuple[int, int, str]]:
    """Return all processes but zombies, as (pid, pid of the parent, command)."""
    rows = subprocess.run(["ps", "-A", "-ww", "-o", "pid=,ppid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    found = [row.split(maxsplit=3) for row in rows.splitlines()]
    return [(int(row[0]), int(row[1]), row[3]) for row in found if len(row) == 4 and not row[2].startswith("Z")]


def say(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def wait_for_go() -> bool:
    """Wait for a line on stdin. Returns whether one came; otherwise stdin was closed, and the role ends."""
    return bool(sys.stdin.readline())


def service(url: str, name: str, ttl_s: str) -> None:
    """A service, until stdin is closed."""
    with notify.connect(url) as bus, bus.service(name, provides={"work"}, ttl_s=float(ttl_s)) as running:
        say({"name": running.name, "incarnation": running.incarnation})
        wait_for_go()


def restarted_service(url: str, name: str, ttl_s: str, host: str, standby: str) -> None:
    """A service that registers at the first line, as if on another host if that has a name, and tells its name and state at each."""
    if host:
        identity.socket.gethostname = lambda: host
    wait_for_go()
    with notify.connect(url) as bus, bus.service(name, ttl_s=float(ttl_s), standby=cast(Any, standby)) as running:
        while True:
            say({"name": running.name, "standby_for": running.standby_for, "state": running.state.snapshot()})
            if not wait_for_go():
                return


def unswept_services(url: str, names: str, ttl_s: str) -> None:
    """Services that send heartbeats and do not sweep, until stdin is closed."""
    with notify.connect(url) as bus, ExitStack() as stack:
        heartbeats = Heartbeats(bus.redis)
        for name in names.split(","):
            service = stack.enter_context(Service(bus.redis, name, ttl_s=float(ttl_s), heartbeats=heartbeats))
            say({"name": service.name, "incarnation": service.incarnation})
        wait_for_go()


def unswept_worker(url: str, name: str, ttl_s: str) -> None:
    """A service with a method, a capability and a group, which sends heartbeats and does not sweep, until stdin is closed."""

    class Exported:
        def work(self) -> None:
            pass

    with notify.connect(url) as bus, Service(bus.redis, name, ttl_s=float(ttl_s), groups=["all"], exports=Exported()) as service:
        say({"name": service.name, "incarnation": service.incarnation})
        wait_for_go()


def skewed_service(url: str, name: str, ttl_s: str, ahead_s: str) -> None:
    """A service, and a sweep, in a process with a wrong clock."""
    ahead, right = timedelta(seconds=float(ahead_s)), time.time

    class WrongClock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz) + ahead

    time.time = lambda: right() + ahead.total_seconds()
    event.datetime = WrongClock
    service(url, name, ttl_s)


def sweeper(url: str) -> None:
    """A monitor that sweeps until no service is left, and prints how many of its sweeps found a service."""
    with notify.connect(url) as bus:
        monitor = Monitor(bus.redis)
        say("ready")
        wait_for_go()
        found = 0
        while bus.redis.exists(bus.keys.due):
            found += monitor.sweep() == 0.0
        say(found)


def calculator(url: str, name: str, ttl_s: str, threads: str = "1") -> None:
    """A service with methods to call, until stdin is closed."""
    with notify.connect(url) as bus, bus.service(name, exports=Calculator(), ttl_s=float(ttl_s), threads=int(threads)) as running:
        say({"name": running.name, "incarnation": running.incarnation})
        wait_for_go()


def user(home: str) -> None:
    """A user of the private server in ``home``."""
    say("ready")
    wait_for_go()
    with notify.connect(environ={**os.environ, "NOTIFY_HOME": home, "NOTIFY_URL": "", "REDIS_URL": ""}) as bus:
        say(bus.redis.info("server")["process_id"])
        while wait_for_go():
            say(bus.publish("visits", os.getpid()))


def modify(url: str, times: str) -> None:
    """Adds to a counter by `State.modify`, and always reads before another process writes."""

    def add_one(value: int) -> int:
        nonlocal has_read
        if not has_read:
            has_read = True
            say("read")
            wait_for_go()
        return value + 1

    with notify.connect(url) as bus:
        for _ in range(int(times)):
            has_read = False
            bus.state("counter").modify("n", add_one)


def read_then_write(url: str, times: str) -> None:
    """Adds to a counter by reading and then writing it."""
    with notify.connect(url) as bus:
        state = bus.state("counter")
        for _ in range(int(times)):
            value: Any = state["n"]
            say("read")
            wait_for_go()
            state["n"] = value + 1


def add_up(url: str, times: str) -> None:
    """Adds to a counter and to a list, each in one atomic step."""
    with notify.connect(url) as bus:
        state = bus.state("counter")
        say("ready")
        wait_for_go()
        for number in range(int(times)):
            state.increment("n", 3)
            state.decrement("n")
            state.append("list", [os.getpid(), number])


def reader(url: str, store: str, *topics: str) -> None:
    """A subscriber that stores its positions after each event, and begins at the stored ones."""
    path = Path(store)
    since = json.loads(path.read_text()) if path.exists() else None
    with notify.connect(url) as bus, bus.subscribe(*topics, since=since) as events:
        _store(path, events.positions)
        say("ready")
        for item in events:
            assert isinstance(item, notify.Event)
            say(item.contents)
            _store(path, events.positions)


def _store(path: Path, positions: dict[str, str]) -> None:
    path.with_suffix(".new").write_text(json.dumps(positions))
    path.with_suffix(".new").replace(path)


def listener(url: str) -> None:
    """A bus with a receiving process."""
    with notify.connect(url) as bus, bus.listen("t", callback=print):
        say("open")
        wait_for_go()


def titled(_url: str) -> None:
    """A process with an address on its command line, which a title hides."""
    set_title("storage")
    say("ready")
    wait_for_go()


class Working(notify.Program):
    """A program that prints the phases of its shutdown, and can hold up the first one."""

    provides = frozenset({"work"})

    def __init__(self, bus: notify.Bus, name: str, *, suspends: bool) -> None:
        super().__init__(bus, name=name)
        self._suspends = suspends

    def pending(self) -> None:
        if self._suspends:
            held = self.service.suspend()
            threading.Thread(target=lambda: (wait_for_go(), self.service.report("finished"), held.resume())).start()
        super().pending()
        say([self.service.name, "pending"])

    def arrived(self) -> None:
        say([self.service.name, "arrived"])


def waiter(kind: str) -> None:
    """Waits for a signal that comes at the first line of the wait, then again with the second line, and so on."""
    for moment in count():
        signalled = SignalledAt(moment)
        WAITS[kind](signalled)
        say(moment)
        if not signalled.came:
            return


class Deaf(notify.Program):
    """A program that ignores the order to stop."""

    name = "deaf"

    def run(self) -> None:
        say("ready")
        time.sleep(3600)  # until it is killed


def deaf_dispatcher(url: str, drain_s: str) -> None:
    """A dispatcher with a program that never ends by itself."""
    with notify.connect(url) as bus:
        notify.Dispatcher(Deaf(bus), drain_s=float(drain_s)).run()
    say("done")


def dispatcher(url: str, drain_s: str, *names: str) -> None:
    """Several programs in one process; the first one suspends its shutdown until it reads a line."""
    with notify.connect(url) as bus:
        programs = [Working(bus, name, suspends=name == names[0]) for name in names]
        running = notify.Dispatcher(*programs, drain_s=float(drain_s))
        running.timers.after(0.001, lambda: say("ready"))
        running.run()
    say("done")


ROLES: dict[str, Callable[..., None]] = {
    "service": service,
    "restarted_service": restarted_service,
    "skewed_service": skewed_service,
    "sweeper": sweeper,
    "unswept_services": unswept_services,
    "unswept_worker": unswept_worker,
    "calculator": calculator,
    "user": user,
    "listener": listener,
    "modify": modify,
    "read_then_write": read_then_write,
    "reader": reader,
    "add_up": add_up,
    "titled": titled,
    "dispatcher": dispatcher,
    "deaf_dispatcher": deaf_dispatcher,
    "waiter": waiter,
}

if __name__ == "__main__":
    ROLES[sys.argv[1]](*sys.argv[2:])
