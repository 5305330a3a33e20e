"""One typed method per atomic step of a state hash; each is refused when its fence has fallen."""

from collections.abc import Sequence
from typing import Final

from notify.connection import Client
from notify.scripts import ScriptRunner

__all__ = ["FALLEN", "StateScripts"]

FALLEN: Final = -1
"""What a step returns instead of what it did, if the fence has fallen."""


class StateScripts(ScriptRunner):
    """The atomic steps of one state hash.

    Args:
        client: whose server to use.
        service: whose state it is.
        fenced_by: the service whose registration is the fence.
    """

    def __init__(self, client: Client, service: str, *, fenced_by: str) -> None:
        super().__init__(client, "notify")
        self._service = service
        self._keys = [self.keys.state(service), self.keys.service(fenced_by)]

    def write(self, fields: dict[str, bytes], *, fence: str) -> int:
        """Write fields. Returns 1, or `FALLEN`."""
        args: list[str | bytes | int] = [fence, *(part for field in fields.items() for part in field)]
        return int(self.run("state_set", self._keys, args, action=f"writing the state of {self._service!r}"))

    def swap(self, field: str, old: bytes | None, new: bytes, *, fence: str) -> int:
        """Replace ``old`` (``None``: nothing there) by ``new``. Returns 1, 0 if it was not ``old``, or `FALLEN`."""
        args: list[str | bytes | int] = [fence, field, "0" if old is None else "1", old or b"", new]
        return int(self.run("state_swap", self._keys, args, action=self._changing))

    def delete(self, fields: Sequence[str], *, fence: str) -> int:
        """Remove fields, or with none given the whole hash. Returns how many, or `FALLEN`."""
        return int(self.run("state_delete", self._keys, [fence, *fields], action=f"deleting from the state of {self._service!r}"))

    def increment(self, field: str, by: int, *, fence: str) -> tuple[int, bytes]:
        """Add to an integer. Returns 1 and the new value; 0 and what is there, if that cannot be; or `FALLEN`."""
        done, value = self.run("state_increment", self._keys, [fence, field, str(by)], action=self._changing)
        return int(done), bytes(value)

    def append(self, field: str, value: bytes, *, fence: str) -> tuple[int, bytes]:
        """Append to a list. Returns 1 and nothing; 0 and what is there, if that is none; or `FALLEN`."""
        done, found = self.run("state_append", self._keys, [fence, field, value], action=self._changing)
        return int(done), bytes(found)

    @property
    def _changing(self) -> str:
        return f"changing the state of {self._service!r}"
