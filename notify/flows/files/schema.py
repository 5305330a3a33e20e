"""The schema of flow files: as JSON Schema, and as a list of the kinds of nodes with their keys."""

from functools import reduce
from operator import or_
from typing import Any, Final

import msgspec

from notify.flows.files.kind import Kind, Name
from notify.flows.files.kinds import KINDS

__all__ = ["Document", "KindInfo", "ServiceTable", "json_schema", "list_kinds"]

COMMON: Final = frozenset(field.name for field in msgspec.structs.fields(Kind))


class ServiceTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The service as which the flow is registered."""

    name: Name | None = None
    provides: list[Name] = []
    needs: list[Name] = []
    address: str = ""
    ttl_s: float | None = None


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A flow file: the nodes by name, and the links between them."""

    nodes: dict[str, Any]
    links: dict[str, Any]
    name: Name | None = None
    service: ServiceTable | None = None


class KindInfo(msgspec.Struct, frozen=True):
    """A kind of node for people: its name, its keys (those that have to be given first), and what it is."""

    kind: str
    keys: list[str]
    what: str


def list_kinds() -> list[KindInfo]:
    """Return the kinds of nodes, in the order of a flow. ``on_error``, ``max_items`` and ``gaps`` are keys of each."""
    return [
        KindInfo(
            name,
            [
                field.name if field.required else f"{field.name}={_shown(field)}"
                for field in msgspec.structs.fields(kind)
                if field.name not in COMMON
            ],
            (kind.__doc__ or "").strip(),
        )
        for name, kind in KINDS.items()
    ]


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a flow file."""
    place: Any = Name | list[Name]
    node: Any = reduce(or_, KINDS.values())
    whole = msgspec.defstruct(
        "FlowFile",
        [
            ("nodes", dict[Name, node]),
            ("links", dict[Name, place | dict[Name, place]]),
            ("name", Name | None, None),
            ("service", ServiceTable | None, None),
        ],
        forbid_unknown_fields=True,
    )
    found: dict[str, Any] = msgspec.json.schema(whole)
    return found


def _shown(field: msgspec.structs.FieldInfo) -> str:
    default = {} if field.default is msgspec.NODEFAULT else field.default
    return msgspec.json.encode(default).decode()
