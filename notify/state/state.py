"""The state of a service as a mapping: a Redis hash of JSON values, with atomic changes of a field and fenced writes."""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

from notify.errors import ContendedError, ContentsError, FencedError, FieldValueError, MissingKeyError
from notify.server import Client
from notify.state.fence import Fence, Fences
from notify.state.scripts import StateScripts
from notify.values import Encodable, Json, encode_json

__all__ = ["State"]

T = TypeVar("T")
R = TypeVar("R", int, tuple[int, bytes])
"""The result of a script: a number that is negative if a fence has fallen, alone or with a value."""

MODIFY_TIMEOUT_S: Final = 10.0
"""`State.modify` tries for this many seconds."""
LEAST_INTEGER: Final = -(2**63)
GREATEST_INTEGER: Final = 2**63 - 1
SHOWN: Final = 100
"""An error message shows at most this many characters of a value."""


class State(MutableMapping[str, Json]):
    """The state of a service, the hash ``ns:state:<service>``. Each field holds one value as JSON, and is read as the JSON form of
    it: text for a datetime. Processes may share a state.

    Every write raises `FencedError`, and changes nothing, if a fence has fallen. Reading is never fenced. Every method raises
    `ServerError` when the server does not answer or refuses.

    Args:
        client: the client of the server that holds the state.
        service: the name of the service, or a function that returns it: the state of a standby goes with its name.
        fences: returns the conditions of a write; called before every write.
        on_refused: called before `FencedError` is raised; must not raise.
        has_moved: called when a fence has fallen; returns whether the service has another name by now, so that the write is repeated.
    """

    def __init__(
        self,
        client: Client,
        service: str | Callable[[], str],
        *,
        fences: Fences = lambda: (),
        on_refused: Callable[[], object] = lambda: None,
        has_moved: Callable[[], bool] = lambda: False,
    ) -> None:
        self._client = client
        self._name = service
        self._fences = fences
        self._on_refused = on_refused
        self._has_moved = has_moved

    @property
    def _service(self) -> str:
        return self._name if isinstance(self._name, str) else self._name()

    @property
    def _key(self) -> str:
        return self._client.own_keys.state(self._service)

    def __getitem__(self, field: str) -> Json:
        raw = self._raw(field)
        if raw is None:
            raise MissingKeyError(f"the state of {self._service!r} has no field {field!r}")
        return _decode(raw)

    def __setitem__(self, field: str, value: Encodable) -> None:
        self._write({field: value})

    def __delitem__(self, field: str) -> None:
        if not self._step(lambda scripts, fences: scripts.delete([_field(field)], fences=fences)):
            raise MissingKeyError(f"the state of {self._service!r} has no field {field!r}")

    def __iter__(self) -> Iterator[str]:
        with self._client.translating(f"reading the state of {self._service!r}"):
            fields: Any = self._client.hkeys(self._key)
        return iter([name for field in fields if (name := _name_of(field)) is not None])

    def __len__(self) -> int:
        with self._client.translating(f"reading the state of {self._service!r}"):
            size: Any = self._client.hlen(self._key)
        return int(size)

    def __contains__(self, field: object) -> bool:
        try:
            return self._raw(_field(field)) is not None
        except ContentsError:
            return False

    def snapshot(self) -> dict[str, Json]:
        """Return all fields as they are at one instant. A name that is no UTF-8, which another program wrote, is escaped."""
        with self._client.translating(f"reading the state of {self._service!r}"):
            rows: Any = self._client.hgetall(self._key)
        return {field.decode(errors="backslashreplace"): _decode(raw) for field, raw in rows.items()}

    def update(  # type: ignore[override]  # MutableMapping.update takes keys of any type
        self, other: Mapping[str, Encodable] | Iterable[tuple[str, Encodable]] = (), /, **fields: Encodable
    ) -> None:
        """Write several fields in one step: a reader sees all of the new values or none.

        Args:
            other: a mapping, or pairs of field and value.
            fields: further fields.

        Raises:
            ContentsError: JSON cannot hold a value; nothing was written.
            FencedError: a fence has fallen; nothing was written.
        """
        values = dict(other, **fields)
        if values:
            self._write(values)

    def clear(self) -> None:
        """Delete the whole hash."""
        self._step(lambda scripts, fences: scripts.delete([], fences=fences))

    def add(self, field: str, value: Encodable) -> bool:
        """Write a field only if it does not exist. Returns whether the field was written.

        Raises:
            ContentsError: JSON cannot hold the value.
            FencedError: a fence has fallen; nothing was written.
        """
        return bool(self._swap(field, None, self._encode(field, value)))

    def increment(self, field: str, by: int = 1) -> int:
        """Add to an integer in one atomic step; a field that does not exist counts as 0.

        Args:
            field: the field.
            by: the signed integer to add, at most 64 bits.

        Returns:
            The new value.

        Raises:
            FieldValueError: the field does not hold an integer, or the sum has more than 64 bits; nothing was changed.
            ContentsError: ``by`` is not an integer of at most 64 bits.
            FencedError: a fence has fallen; nothing was changed.
        """
        amount = self._amount(field, by)
        done, value = self._step(lambda scripts, fences: scripts.increment(_field(field), amount, fences=fences))
        if not done:
            raise self._wrong_value(field, value, needs=f"adding {amount} needs an integer, and a sum of at most 64 bits")
        return int(value)

    def decrement(self, field: str, by: int = 1) -> int:
        """Subtract from an integer in one atomic step. Arguments, result and errors are those of `increment`."""
        return self.increment(field, -self._amount(field, by))

    def append(self, field: str, value: Encodable) -> None:
        """Append to a list in one atomic step; a field that does not exist counts as an empty list.

        Args:
            field: the field.
            value: the new element.

        Raises:
            FieldValueError: the field does not hold a list; nothing was changed.
            ContentsError: JSON cannot hold the value.
            FencedError: a fence has fallen; nothing was changed.
        """
        encoded = self._encode(field, value)
        done, found = self._step(lambda scripts, fences: scripts.append(_field(field), encoded, fences=fences))
        if not done:
            raise self._wrong_value(field, found, needs="appending needs a list")

    def modify(self, field: str, change: Callable[[Any], T]) -> T:
        """Replace the value of a field by ``change(value)``, atomically.

        If another process changed the field meanwhile, ``change`` is called again with the new value: it should have no side effects.

        Args:
            field: the field.
            change: takes the present value of the field and returns the new value.

        Returns:
            The new value.

        Raises:
            MissingKeyError: the field does not exist, and was not created.
            ContentsError: JSON cannot hold the new value; nothing was changed.
            FencedError: a fence has fallen; nothing was changed.
            ContendedError: other processes changed the field at every attempt, for ten seconds.
        """
        deadline = time.monotonic() + MODIFY_TIMEOUT_S
        while True:
            old = self._raw(field)
            if old is None:
                raise MissingKeyError(f"the state of {self._service!r} has no field {field!r}")
            value = change(_decode(old))
            if self._swap(field, old, self._encode(field, value)):
                return value
            if time.monotonic() > deadline:
                raise ContendedError(f"{field!r} in the state of {self._service!r} was changed by others at every attempt: try again later")
            time.sleep(random.uniform(0, 0.005))

    def __repr__(self) -> str:
        return f"<State {self._key}>"

    def _raw(self, field: str) -> bytes | None:
        """Return the JSON in a field; ``None`` if the field does not exist."""
        with self._client.translating(f"reading the state of {self._service!r}"):
            raw: Any = self._client.hget(self._key, _field(field))
        return bytes(raw) if raw is not None else None

    def _write(self, values: dict[str, Encodable]) -> None:
        encoded = {_field(field): self._encode(field, value) for field, value in values.items()}
        self._step(lambda scripts, fences: scripts.set(encoded, fences=fences))

    def _swap(self, field: str, old: bytes | None, new: bytes) -> int:
        """Write a field if it still holds ``old`` (``None``: if it does not exist). Returns 1, or 0 if the field was changed."""
        return self._step(lambda scripts, fences: scripts.swap(_field(field), old, new, fences=fences))

    def _wrong_value(self, field: str, value: bytes, *, needs: str) -> FieldValueError:
        found = value.decode(errors="replace")
        shown = found[:SHOWN] + "…" * (len(found) > SHOWN)
        return FieldValueError(f"{field!r} in the state of {self._service!r} holds {shown}: {needs}")

    def _amount(self, field: str, by: object) -> int:
        if isinstance(by, bool) or not isinstance(by, int) or not LEAST_INTEGER <= by <= GREATEST_INTEGER:
            raise ContentsError(f"{field!r} in the state of {self._service!r} cannot change by {by!r}: give an integer of at most 64 bits")
        return int(by)

    def _encode(self, field: str, value: object) -> bytes:
        return encode_json(value, what=f"{field!r} in the state of {self._service!r}")

    def _step(self, run: Callable[[StateScripts, Sequence[Fence]], R]) -> R:
        """Run a script, and return its result. Raises `FencedError` if that is negative: -1 if the first fence has fallen, and so on."""
        while True:
            service, fences = self._service, self._fences()
            if service != self._service:
                continue  # the fences may be those of the other name
            result = run(StateScripts(self._client, service), fences)
            number = result if isinstance(result, int) else result[0]
            if number >= 0:
                return result
            if not self._has_moved() and service == self._service:
                fence = fences[-number - 1]
                self._on_refused()
                incarnation = int(fence.value) if fence.service and fence.value.isdecimal() else None
                error = FencedError(f"a write to the state of {service!r} was refused: {fence.refusal}", key=fence.key)
                raise error.about(fence.service, incarnation=incarnation)


def _field(field: object) -> str:
    if not isinstance(field, str) or any("\ud800" <= character <= "\udfff" for character in field):
        raise ContentsError(f"the name of a field of a state must be text, not {field!r}")
    return field


def _name_of(field: bytes) -> str | None:
    """Return the name of a field; ``None`` if it is no UTF-8: nobody could ask for its value."""
    try:
        return field.decode()
    except UnicodeDecodeError:
        return None


def _decode(raw: bytes) -> Json:
    try:
        value: Json = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return raw.decode(errors="replace")  # not JSON: the value was written by hand, with redis-cli
    return value
