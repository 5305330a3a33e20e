"""The atomic steps of a state hash: one typed method per Lua script. A step is refused when one of its fences has fallen."""

from collections.abc import Sequence
from typing import Any

from notify.server import Client, ScriptRunner
from notify.state.fence import Fence

__all__ = ["StateScripts"]


class StateScripts(ScriptRunner):
    """The atomic steps of one state hash.

    A step that is refused returns -1 if the first of its fences has fallen, -2 if the second, and so on.

    Args:
        client: the connection to run the scripts on.
        service: the service that owns the state.
    """

    def __init__(self, client: Client, service: str) -> None:
        super().__init__(client, "notify.state")
        self._service = service
        self._key = self.keys.state(service)

    def set(self, fields: dict[str, bytes], *, fences: Sequence[Fence]) -> int:
        """Write fields. Returns 1."""
        values = [part for field in fields.items() for part in field]
        return int(self._step("set", fences, values, action=f"writing the state of {self._service!r}"))

    def swap(self, field: str, old: bytes | None, new: bytes, *, fences: Sequence[Fence]) -> int:
        """Replace ``old`` (``None``: the field is missing) by ``new``. Returns 1, or 0 if the field does not hold ``old``."""
        return int(self._step("swap", fences, [field, "0" if old is None else "1", old or b"", new], action=self._changing))

    def delete(self, fields: Sequence[str], *, fences: Sequence[Fence]) -> int:
        """Remove fields, or, if none is given, the whole hash. Returns how many were removed."""
        return int(self._step("delete", fences, fields, action=f"deleting from the state of {self._service!r}"))

    def increment(self, field: str, by: int, *, fences: Sequence[Fence]) -> tuple[int, bytes]:
        """Add to an integer. Returns 1 and the new value; or 0 and the present value if it is no integer, or the sum is too large."""
        done, value = self._step("increment", fences, [field, str(by)], action=self._changing)
        return int(done), bytes(value)

    def append(self, field: str, value: bytes, *, fences: Sequence[Fence]) -> tuple[int, bytes]:
        """Append to a list. Returns 1 and an empty value; or 0 and the present value if it is no list."""
        done, found = self._step("append", fences, [field, value], action=self._changing)
        return int(done), bytes(found)

    def _step(self, name: str, fences: Sequence[Fence], args: Sequence[str | bytes], *, action: str) -> Any:
        keys = [self._key, *(fence.key for fence in fences)]
        fence_args = [part for fence in fences for part in (fence.field, fence.value, fence.service)]
        return self.run(name, keys, [*fence_args, *args], action=action)

    @property
    def _changing(self) -> str:
        return f"changing the state of {self._service!r}"
