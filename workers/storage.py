"""The storage service: stores one JSON value per key, and reports errors on ``storage_status``.

`StorageService` is the running service. `Store` reads and writes the values from any process while the service is registered.
`StorageDesk` is a `Store` whose arguments and results are JSON: the service exports its methods, and the jobs `store`, `retrieve`
and `modify` call it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from notify import Bus, FencedError, MissingKeyError, Service, ServiceKilledError
from notify.events import Failure
from notify.values import Json
from workers.errors import DuplicateKeyError, JobDefinitionError, StorageError, StorageKilledError, UnknownKeyError
from workers.jobs import current_bus, job

__all__ = ["MISSING", "NAME", "OPERATIONS", "StorageDesk", "StorageService", "Store", "modify", "retrieve", "store"]

NAME: Final = "storage"


class _Missing:
    """Type of `MISSING`, which stands for a key without a value. A stored null is ``None``."""

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = _Missing()


class Store:
    """Stores, retrieves and modifies values while the storage service is registered.

    An error about one key (it exists already, it is unknown) is not raised: it is reported on ``storage_status``, and the method
    returns ``False`` or `MISSING`. If the service is not registered, every method raises an error.

    Args:
        bus: the bus of the service.
        name: the name of the storage service.
    """

    def __init__(self, bus: Bus, *, name: str = NAME) -> None:
        self._bus = bus
        self._name = name
        self._state = bus.state(name, fenced=True)

    def store(self, key: str, value: Json) -> bool:
        """Store a value under a new key; an existing key keeps its value.

        Returns:
            True if the value was stored, False if the key exists already.

        Raises:
            StorageKilledError: the service was killed.
            StorageError: the service is not registered.
            notify.FencedError: the running job was stopped or cancelled, or another run has it.
        """
        with self._translating_fence():
            if self._state.add(key, value):
                return True
        self._report(DuplicateKeyError(f"{key!r} holds a value already"))
        return False

    def retrieve(self, key: str) -> Json | _Missing:
        """Return the value under a key, or `MISSING`. Errors as for `store`."""
        with self._translating_fence():
            self._check_registered()
            try:
                return self._state[key]
            except MissingKeyError:
                pass  # reported below
        self._report(UnknownKeyError(f"nothing is stored under {key!r}"))
        return MISSING

    def modify(self, key: str, change: Callable[[Any], Json]) -> Json | _Missing:
        """Change the value under a key atomically: a concurrent change is never overwritten.

        Args:
            key: the key; a key without a value is not created.
            change: takes the value and returns the new value; may be called more than once. Its exceptions propagate.

        Returns:
            The new value, or `MISSING`. Errors as for `store`.
        """
        is_in_change = False

        def call_change(value: Json) -> Json:
            nonlocal is_in_change
            is_in_change = True
            new = change(value)
            is_in_change = False
            return new

        with self._translating_fence():
            self._check_registered()
            try:
                return self._state.modify(key, call_change)
            except MissingKeyError:
                if is_in_change:
                    raise  # an error of ``change`` itself, not about this key
        self._report(UnknownKeyError(f"nothing is stored under {key!r}"))
        return MISSING

    @contextmanager
    def _translating_fence(self) -> Iterator[None]:
        """If Redis refuses a write because the service is gone, raise a `StorageError` that says whether the service was killed."""
        try:
            yield
        except FencedError as exc:
            if exc.key != self._bus.keys.service(self._name):
                raise
            end = self._bus.directory.last_end(self._name)
            if end is not None and end.reason == "killed":
                raise StorageKilledError(f"{self._name} killed" + (f": {end.why}" if end.why else "")).about(self._name) from exc
            raise StorageError(
                f"the service {self._name!r} is not registered at {self._bus.redis.address}: start it (notify serve storage)"
            ).about(self._name) from exc

    def _check_registered(self) -> None:
        """Raise `FencedError` unless the service is registered. Redis fences writes only, so a read is checked here."""
        if self._name not in self._bus.directory:
            raise FencedError(f"{self._name!r} is not registered", key=self._bus.keys.service(self._name)).about(self._name)

    def _report(self, error: StorageError) -> None:
        self._bus.publish(self._bus.keys.status_topic(self._name), Failure.of(error))


class StorageService:
    """The running storage service. Use it as a context manager.

    Args:
        bus: the bus to serve on.
        ttl_s: seconds of silence after which the service is withdrawn; by default that of the settings.

    Raises:
        ServiceNameTakenError: (on entering) another storage service is registered.
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
        """Withdraw the service with one fatal event, ``StorageKilledError: storage killed``. A second kill has no effect.

        Args:
            why: the reason, part of the event.
            purge: also delete the stored values; by default they are kept.
        """
        self.service.kill(why, purge=purge)

    def open(self) -> None:
        """Register the service, and report that it is ready.

        Raises:
            ServiceNameTakenError: another storage service is registered.
        """
        self.service.open()
        self.service.report("ready")

    def close(self) -> None:
        """Withdraw the service; the stored values are kept."""
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
"""The operations of the job `modify`, by name. A job takes the name, because JSON cannot hold a function."""


class StorageDesk:
    """A `Store` whose arguments and results are JSON, for jobs and for calls (``notify call storage ...``)."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def store(self, key: str, value: Json) -> bool:
        """Store a value under a new key. Return whether it was stored."""
        return self._store.store(key, value)

    def retrieve(self, key: str) -> dict[str, Json]:
        """Return ``{"found": true, "value": ...}`` or ``{"found": false}``."""
        return _found(self._store.retrieve(key))

    def modify(self, key: str, operation: str, operand: Json) -> dict[str, Json]:
        """Change a value by one of `OPERATIONS`. Returns as `retrieve` does.

        Raises:
            JobDefinitionError: no operation has that name.
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
    _operation(operation)  # raises for an unknown operation before anything is sent to Redis
    return StorageDesk(Store(current_bus())).modify(key, operation, operand)
