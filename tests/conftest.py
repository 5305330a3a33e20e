"""A real server for the whole run, an empty bus for each test, and checks that no thread, socket or key is left behind."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import hypothesis
import pytest
import redis

import notify
from notify.events import pubsub, subscriber
from notify.testing import PrivateServer, private_server, wait_until
from tests.support.processes import Process
from tests.support.proxy import Proxy

# Process titles would overwrite the environment in /proc, by which the tests find processes that were left running.
os.environ.setdefault("SPT_NOENV", "1")

hypothesis.settings.register_profile(
    "suite", max_examples=50, deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
hypothesis.settings.load_profile("suite")

PERMANENT = ("notify:state:", "rq:")

Received = list[notify.Event | notify.Gap]


@pytest.fixture(scope="session")
def server() -> Iterator[PrivateServer]:
    """The server under test: $NOTIFY_SERVER, else the one that Notify finds. A missing server is an error, never a skip."""
    with private_server() as running:
        yield running


@pytest.fixture
def bus(server: PrivateServer) -> Iterator[notify.Bus]:
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    with notify.connect(server.url, name="test") as connected:
        yield connected
        _check_lifetimes(connected)


@pytest.fixture
def another_bus(server: PrivateServer, bus: notify.Bus) -> Iterator[notify.Bus]:
    """A second bus on the same server, as another process would have it."""
    with notify.connect(server.url, name="another") as connected:
        yield connected


@pytest.fixture
def own_server() -> Iterator[PrivateServer]:
    """A server for one test only, which the test may freeze, kill and restart."""
    with private_server() as running:
        yield running


@pytest.fixture
def connect_to() -> Iterator[Callable[..., notify.Bus]]:
    """Connect to a server with other settings. Call it while the server is up; the bus is closed after the test."""
    with ExitStack() as stack:

        def connect(server: PrivateServer, *, name: str = "test", **changed: object) -> notify.Bus:
            settings = notify.Settings(url=server.url, **changed)
            return stack.enter_context(notify.connect(settings=settings, name=name))

        yield connect


@pytest.fixture
def proxy(server: PrivateServer, bus: notify.Bus) -> Iterator[Proxy]:
    """A proxy in front of the server under test, to break connections."""
    with Proxy(server.directory / "redis.sock") as running:
        yield running


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    """Start other processes, with the arguments of `Process`; all of them end with the test."""
    started: list[Process] = []

    def run(role: str, *arguments: object, environ: dict[str, str] | None = None, prefix: Sequence[str] = ()) -> Process:
        started.append(Process(role, *arguments, environ=environ, prefix=prefix))
        return started[-1]

    yield run
    for process in started:
        process.dispose()


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let subscribers ping and repair after fractions of a second instead of seconds."""
    monkeypatch.setattr(pubsub, "PROBE_AFTER_S", 0.05)
    monkeypatch.setattr(pubsub, "PROBE_TIMEOUT_S", 0.25)
    monkeypatch.setattr(subscriber, "REPAIR_AFTER_S", 0.1)


@pytest.fixture(autouse=True)
def _nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    threads, files = set(threading.enumerate()), _open_sockets()
    yield
    if "keeps_threads" in request.keywords:
        return
    wait_until(lambda: set(threading.enumerate()) <= threads, what=f"the end of {set(threading.enumerate()) - threads}")
    wait_until(lambda: _open_sockets() <= files, what="the closing of all sockets")


@pytest.fixture
def collect() -> Callable[..., Received]:
    """Read ``count`` items from a subscriber, then check that there are no more."""

    def read(
        subscriber: notify.Subscriber, count: int, *, timeout_s: float = 5.0, quiet_s: float = 0.05
    ) -> list[notify.Event | notify.Gap]:
        items = []
        while len(items) < count:
            item = subscriber.get(timeout_s)
            assert item is not None, f"only {len(items)} of {count} came: {items}"
            items.append(item)
        extra = subscriber.get(quiet_s)
        assert extra is None, f"{extra} came too"
        return items

    return read


def _check_lifetimes(bus: notify.Bus) -> None:
    immortal = [key.decode() for key in bus.redis.scan_iter() if bus.redis.ttl(key) == -1]
    assert not [key for key in immortal if not key.startswith(PERMANENT)], "keys without a TTL were left behind"


def _open_sockets() -> int:
    folder = "/proc/self/fd"
    if not os.path.isdir(folder):
        return 0
    count = 0
    for name in os.listdir(folder):
        try:
            count += os.readlink(f"{folder}/{name}").startswith("socket:")
        except OSError:
            continue  # it was closed meanwhile
    return count
