"""The base of the kinds of nodes that read or write bytes, by a framing."""

from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from notify.flows.files.kind import Kind
from notify.flows.framing import Framing, JsonFraming, LengthFraming, LineFraming

__all__ = ["Count", "Framed", "FramingName", "framing_named"]

FramingName: TypeAlias = Literal["lines", "json", "length"]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]


class Framed(Kind, frozen=True, kw_only=True):
    """What all of them have in common."""

    framing: FramingName = "lines"
    max_bytes: Count | None = None
    non_utf8: Literal["replace", "refuse", "base64"] | None = None

    def framing_made(self, **options: Any) -> Framing:
        """Return the framing; ``options`` are those of lines."""
        return framing_named(self.framing, max_bytes=self.max_bytes, non_utf8=self.non_utf8, **options)


def framing_named(name: FramingName, *, max_bytes: int | None = None, non_utf8: str | None = None, **of_lines: Any) -> Framing:
    """Return a framing with options, those that are given and that it has."""
    options: dict[str, Any] = {} if max_bytes is None else {"max_bytes": max_bytes}
    if name == "json":
        return JsonFraming(**options)
    if non_utf8 is not None:
        options["non_utf8"] = non_utf8
    return LengthFraming(**options) if name == "length" else LineFraming(**options, **of_lines)
