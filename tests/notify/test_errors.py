"""The errors: the tree in the docstring is that of the classes, and no error of redis-py leaves a public call."""

import inspect
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest

import notify
from notify import errors
from notify.directory.monitor import Monitor
from notify.testing import PrivateServer, private_server

PASSWORD = "hush"

CALLS: dict[str, Callable[[notify.Bus], object]] = {
    "publish": lambda bus: bus.publish("t", 1),
    "publish, retained": lambda bus: bus.publish("t", 1, retain_s=60),
    "register_publisher": lambda bus: bus.register_publisher("t"),
    "topics": lambda bus: bus.topics(),
    "subscribe to a topic": lambda bus: bus.subscribe("t").close(),
    "subscribe to a pattern": lambda bus: bus.subscribe("*").close(),
    "manager": lambda bus: bus.manager().open().close(),
    "service": lambda bus: bus.service("s2", provides={"work"}).open().close(),
    "exclusive service": lambda bus: bus.service("s2", exclusive=True).open().close(),
    "call": lambda bus: bus.call("s", "work"),
    "call by capability": lambda bus: bus.call(notify.provides("work"), "work"),
    "lookup": lambda bus: bus.directory.lookup("s"),
    "find": lambda bus: bus.directory.find(lambda _: True),
    "find by capability": lambda bus: bus.directory.find(provides="work"),
    "find_all": lambda bus: bus.directory.find_all(),
    "iterate the directory": lambda bus: list(bus.directory),
    "in the directory": lambda bus: "s" in bus.directory,
    "last_end": lambda bus: bus.directory.last_end("gone"),
    "watch": lambda bus: bus.directory.watch().close(),
    "kill": lambda bus: bus.directory.kill("s"),
    "sweep": lambda bus: Monitor(bus.redis).sweep(),
    "state, get": lambda bus: bus.state("s")["f"],
    "state, set": lambda bus: bus.state("s").update(f=2),
    "state, delete": lambda bus: bus.state("s").pop("f"),
    "state, iterate": lambda bus: list(bus.state("s")),
    "state, len": lambda bus: len(bus.state("s")),
    "state, in": lambda bus: "f" in bus.state("s"),
    "state, snapshot": lambda bus: bus.state("s").snapshot(),
    "state, clear": lambda bus: bus.state("another").clear(),
    "state, add": lambda bus: bus.state("s").add("g", 1),
    "state, update": lambda bus: bus.state("s").update(f=2, g=3),
    "state, increment": lambda bus: bus.state("s").increment("n"),
    "state, append": lambda bus: bus.state("s").append("list", 1),
    "state, modify": lambda bus: bus.state("s").modify("f", lambda value: value),
    "connect": lambda bus: notify.connect(settings=bus.settings).close(),
}
WRITES = {
    "publish",
    "publish, retained",
    "register_publisher",
    "manager",
    "service",
    "exclusive service",
    "kill",
    *(name for name in CALLS if name.startswith("state, ") and name.split()[1] not in ("get", "iterate", "len", "in", "snapshot")),
}


def _tree() -> dict[str, str | None]:
    """Return the name of the parent of each error in the tree of the docstring."""
    parents: dict[str, str | None] = {}
    path: list[str] = []
    for line in errors.__doc__.splitlines():
        drawn = re.match(r"    ([│├└─ ]*)(\w+Error)\b", line)
        if drawn:
            depth = len(drawn[1]) // 4
            path[depth:] = [drawn[2]]
            parents[drawn[2]] = path[depth - 1] if depth else None
    return parents


def _classes() -> dict[str, type]:
    return {
        name: value for name, value in vars(errors).items() if inspect.isclass(value) and value.__module__.startswith(f"{errors.__name__}.")
    }


def test_the_tree_in_the_docstring_is_that_of_the_classes():
    ours = set(_classes().values())
    parents = {name: next((base.__name__ for base in kind.__bases__ if base in ours), None) for name, kind in _classes().items()}
    assert _tree() == parents


def test_every_error_is_a_notify_error_with_a_docstring_and_is_exported():
    for name, kind in _classes().items():
        assert issubclass(kind, notify.NotifyError)
        assert kind.__doc__
        assert name in errors.__all__
        assert getattr(notify, name) is kind


@pytest.mark.parametrize(
    ("ours", "builtin"),
    [
        (notify.SettingsError, ValueError),
        (notify.ServerUnreachableError, ConnectionError),
        (notify.InvalidTopicError, ValueError),
        (notify.TopicTypeError, TypeError),
        (notify.TopicTypeError, ValueError),
        (notify.ContentsError, TypeError),
        (notify.PayloadTooLargeError, ValueError),
        (notify.EmptySubscriptionError, ValueError),
        (notify.NotSubscribedError, LookupError),
        (notify.InvalidServiceError, ValueError),
        (notify.ServiceNotFoundError, LookupError),
        (notify.MissingKeyError, KeyError),
        (notify.FieldValueError, ValueError),
    ],
)
def test_errors_can_be_caught_as_their_builtin_error(ours, builtin):
    with pytest.raises(builtin) as caught:
        raise ours("what happened")
    assert str(caught.value) == "what happened"


def _kill(server: PrivateServer, _: notify.Bus) -> None:
    server.kill()


def _freeze(server: PrivateServer, _: notify.Bus) -> None:
    server.freeze()


def _change_password(_: PrivateServer, bus: notify.Bus) -> None:
    bus.redis.config_set("requirepass", "another")
    bus.redis.client_kill_filter(skipme=False, _type="normal")


def _forbid(_: PrivateServer, bus: notify.Bus) -> None:
    bus.redis.execute_command("ACL", "SETUSER", "default", "-@all")


def _become_replica(_: PrivateServer, bus: notify.Bus) -> None:
    bus.redis.replicaof("127.0.0.1", "1")


def _spoil(_: PrivateServer, bus: notify.Bus) -> None:
    keys = bus.keys
    for key in (keys.topics, keys.topic("t"), keys.log("t"), keys.services, keys.due, keys.service("s"), keys.provides("work")):
        bus.redis.set(key, "x")
    for key in (keys.state("s"), keys.tombstone("gone"), keys.topic("services")):
        bus.redis.set(key, "x")
    bus.redis.delete(keys.retained("t"))
    bus.redis.rpush(keys.retained("t"), "x")


OUTAGES = {
    "killed": (_kill, notify.ServerUnreachableError),
    "frozen": (_freeze, notify.ServerUnreachableError),
    "another password": (_change_password, notify.ServerRefusedError),
    "nothing permitted": (_forbid, notify.ServerRefusedError),
    "read only": (_become_replica, notify.ServerRefusedError),
    "spoilt": (_spoil, notify.ServerRefusedError),
}


@pytest.fixture(scope="module")
def broken() -> Iterator[dict[str, notify.Bus]]:
    """For each fault a bus on a server with that fault. The URL has a password, which must not show; the server accepts any."""
    with ExitStack() as stack:
        buses = {}
        for name, (strike, _) in OUTAGES.items():
            server = stack.enter_context(private_server())
            url = server.url.replace("unix://", f"unix://default:{PASSWORD}@")
            bus = stack.enter_context(notify.connect(settings=notify.Settings(url=url, command_timeout_s=0.05)))
            bus.publish("t", 1, retain_s=60)
            bus.state("s")["f"] = 1
            stack.enter_context(bus.service("s", provides={"work"}, ttl_s=3600))
            with suppress(notify.UnknownMethodError):
                bus.call("s", "work")  # from here on the bus receives answers
            strike(server, bus)
            buses[name] = bus
        yield buses


@pytest.mark.parametrize("outage", OUTAGES)
@pytest.mark.parametrize("name", CALLS)
def test_every_fault_of_the_server_raises_an_error_of_ours_with_the_address(broken, outage, name):
    """One error for each fault, whatever the call."""
    bus = broken[outage]
    error = _error_of(CALLS[name], bus)
    if (outage == "read only" and name not in WRITES) or (
        outage == "spoilt" and name in ("connect", "state, clear", "in the directory", "call", "subscribe to a topic")
    ):
        assert error is None or isinstance(error, notify.NotifyError)
        return
    assert type(error) is OUTAGES[outage][1]
    assert bus.redis.address in str(error)
    assert PASSWORD not in f"{error} {error.__cause__} {error.__context__} {bus!r}"


def _error_of(call: Callable[[notify.Bus], object], bus: notify.Bus) -> BaseException | None:
    try:
        call(bus)
    except Exception as exc:
        return exc
    return None


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"\x15\x03\x01\x00\x02\x02", b"*1\r\n$-5\r\n", b"$20\r\nhalf an ans"]
)
def test_a_server_of_another_kind_at_the_address_raises_an_error_of_ours(answer):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        answering = threading.Thread(target=_answer_once, args=(listening, answer))
        answering.start()
        with pytest.raises(notify.ServerError, match="127.0.0.1"):  # noqa: RUF043
            notify.connect(f"redis://127.0.0.1:{listening.getsockname()[1]}")
        answering.join()


def _answer_once(listening: socket.socket, answer: bytes) -> None:
    connection, _ = listening.accept()
    with connection:
        connection.recv(1000)
        connection.sendall(answer)
