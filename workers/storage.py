"""The storage service: keeps values for others, one JSON value per key, and tells on ``storage_status`` how it goes.

`StorageService` is the one that runs; `Store` is the hand that anybody can reach in with, from any process, as long as
the service is registered; `StorageDesk` does so for JSON alone: the service answers calls with it, and `store`, `retrieve`
and `modify` are jobs that use it.
"""

from collections.abc import Callable
from typing import Any, Final

from notify import Bus, FencedError, MissingKeyError, Service, ServiceKilledError
from notify.events import Failure, Json
from workers.errors import DuplicateKeyError, JobDefinitionError, StorageError, StorageKilledError, UnknownKeyError
from workers.jobs import current_bus, job

__all__ = ["MISSING", "NAME", "OPERATIONS", "StorageDesk", "StorageService", "Store", "modify", "retrieve", "store"]

NAME: Final = "storage"


class _Missing:
    """What `Store.retrieve` gives where nothing is stored: not a stored null."""

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = _Missing()


class Store:
    """Store, retrieve and modify values while the storage service is registered.

    A mistake about one key raises nothing: it is an event on ``storage_status``, and the answer tells. A storage that
    is not there raises.

    Args:
        bus: the bus it is on.
        name: the name of the storage service.
    """

    def __init__(self, bus: Bus, *, name: str = NAME) -> None:
        self._bus = bus
        self._name = name
        self._state = bus.state(name, fenced=True)

    def store(self, key: str, value: Json) -> bool:
        """Store a value under a new key; an existing one keeps its value.

        Returns:
            Whether it was stored.

        Raises:
            StorageKilledError: the service was killed.
            StorageError: it is not registered.
            notify.FencedError: the job that does this was stopped, or another run has it.
        """
        with _Told(self._bus, self._name):
            if self._state.add(key, value):
                return True
        self._report(DuplicateKeyError(f"{key!r} holds a value already"))
        return False

    def retrieve(self, key: str) -> Json | _Missing:
        """Return the value under a key, or `MISSING`. Errors as for `store`."""
        with _Told(self._bus, self._name):
            self._check_registered()
            try:
                return self._state[key]
            except MissingKeyError:
                pass
        self._report(UnknownKeyError(f"nothing is stored under {key!r}"))
        return MISSING

    def modify(self, key: str, change: Callable[[Any], Json]) -> Json | _Missing:
        """Change the value under a key as if nobody else were there.

        Args:
            key: the key; if nothing is stored there, nothing is created.
            change: takes the value and returns the new one; may be called more than once. What it raises is raised.

        Returns:
            The new value, or `MISSING`. Errors as for `store`.
        """
        changing = False

        def changed(value: Json) -> Json:
            nonlocal changing
            changing = True
            new = change(value)
            changing = False
            return new

        with _Told(self._bus, self._name):
            self._check_registered()
            try:
                return self._state.modify(key, changed)
            except MissingKeyError:
                if changing:
                    raise  # out of ``change``, not about our key
        self._report(UnknownKeyError(f"nothing is stored under {key!r}"))
        return MISSING

    def _check_registered(self) -> None:
        """Reading is not fenced, and where nothing is stored nothing is written."""
        if self._name not in self._bus.directory:
            raise FencedError(f"{self._name!r} is not registered", key=self._bus.keys.service(self._name))

    def _report(self, error: StorageError) -> None:
        self._bus.publish(self._bus.keys.status_topic(self._name), Failure.of(error))


class _Told:
    """Tells why the service fenced off a write: it was killed, or is simply not there."""

    def __init__(self, bus: Bus, name: str) -> None:
        self._bus = bus
        self._name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, FencedError) or error.key != self._bus.keys.service(self._name):
            return
        end = self._bus.directory.last_end(self._name)
        if end is not None and end.reason == "killed":
            raise StorageKilledError(f"{self._name} killed" + (f": {end.why}" if end.why else "")) from error
        raise StorageError(
            f"the service {self._name!r} is not registered at {self._bus.redis.address}: start it (notify serve storage)"
        ) from error


class StorageService:
    """The storage service while it runs; use it as a context manager.

    Args:
        bus: the bus to serve on.
        ttl_s: seconds of silence after which it is withdrawn; by default that of the settings.

    Raises:
        ServiceNameTakenError: (on entering) there is a storage already.
    """

    def __init__(self, bus: Bus, *, ttl_s: float | None = None) -> None:
        self._bus = bus
        self._store = Store(bus)
        self.service: Service = bus.service(
            NAME, provides=frozenset({"kill"}), exports=StorageDesk(self._store), ttl_s=ttl_s, exclusive=True
        )

    def store(self, key: str, value: Json) -> bool:
        """As `Store.store`."""
        self._check()
        return self._store.store(key, value)

    def retrieve(self, key: str) -> Json | _Missing:
        """As `Store.retrieve`."""
        self._check()
        return self._store.retrieve(key)

    def modify(self, key: str, change: Callable[[Any], Json]) -> Json | _Missing:
        """As `Store.modify`."""
        self._check()
        return self._store.modify(key, change)

    def kill(self, why: str = "", *, purge: bool = False) -> None:
        """End the service with one fatal event, ``StorageKilledError: storage killed``; a second kill does nothing.

        Args:
            why: told with the event.
            purge: remove what is stored as well; otherwise it survives.
        """
        self.service.kill(why, purge=purge)

    def open(self) -> None:
        """Register, and report that it is ready.

        Raises:
            ServiceNameTakenError: there is a storage already.
        """
        self.service.open()
        self.service.report("ready")

    def close(self) -> None:
        """Withdraw; what is stored stays."""
        self.service.close()

    def __enter__(self) -> "StorageService":
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check(self) -> None:
        try:
            self.service.check()
        except ServiceKilledError as exc:
            raise StorageKilledError(str(exc)) from exc


OPERATIONS: Final[dict[str, Callable[[Any, Any], Json]]] = {
    "increment": lambda value, amount: value + amount,
    "append": lambda value, item: [*value, item],
    "update": lambda value, fields: {**value, **fields},
}
"""What the job `modify` can do to a value: functions do not travel as JSON."""


class StorageDesk:
    """Store, retrieve and modify for those who can send nothing but JSON: as jobs, or as calls (``notify call storage ...``)."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def store(self, key: str, value: Json) -> bool:
        """Store a value under a new key. Returns whether it was stored."""
        return self._store.store(key, value)

    def retrieve(self, key: str) -> dict[str, Json]:
        """Return ``{"found": true, "value": ...}`` or ``{"found": false}``."""
        return _found(self._store.retrieve(key))

    def modify(self, key: str, operation: str, operand: Json) -> dict[str, Json]:
        """Change a value by one of `OPERATIONS`. Returns as `retrieve` does.

        Raises:
            JobDefinitionError: there is no such operation.
        """
        change = _operation(operation)
        return _found(self._store.modify(key, lambda old: change(old, operand)))


def _operation(name: str) -> Callable[[Any, Any], Json]:
    if name not in OPERATIONS:
        raise JobDefinitionError(f"there is no operation {name!r}: choose one of {', '.join(OPERATIONS)}")
    return OPERATIONS[name]


def _found(value: Json | _Missing) -> dict[str, Json]:
    return {"found": False} if isinstance(value, _Missing) else {"found": True, "value": value}


@job("storage", needs=NAME)
def store(key: str, value: Json) -> bool:
    """As `StorageDesk.store`."""
    return StorageDesk(Store(current_bus())).store(key, value)


@job("storage", needs=NAME)
def retrieve(key: str) -> dict[str, Json]:
    """As `StorageDesk.retrieve`."""
    return StorageDesk(Store(current_bus())).retrieve(key)


@job("storage", needs=NAME)
def modify(key: str, operation: str, operand: Json) -> dict[str, Json]:
    """As `StorageDesk.modify`."""
    _operation(operation)  # before anybody is asked
    return StorageDesk(Store(current_bus())).modify(key, operation, operand)
