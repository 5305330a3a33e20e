"""What a service offers, and what is asked of it, for operators."""

from typing import Any

import msgspec

from notify.directory import ENTRY_FIELDS, check_name, read_entry
from notify.keys import due_member
from notify.server import Client

__all__ = ["Offered", "offered_by"]


class Offered(msgspec.Struct, frozen=True):
    """The methods that a service exports, and how many requests wait for it."""

    methods: list[str]
    waiting: int


def offered_by(client: Client, service: str) -> Offered:
    """Return what a service offers; nothing if it is not registered.

    Raises:
        InvalidServiceError: ``service`` is not the name of a service.
        ServerError: Redis did not answer, or refused.
    """
    keys = client.own_keys
    with client.translating(f"reading what {service!r} offers"):
        values: Any = client.hmget(keys.service(check_name(service)), ENTRY_FIELDS)
        entry = read_entry(values)
        waiting: Any = client.xlen(keys.requests(due_member(service, entry.incarnation))) if entry.incarnation is not None else 0
    return Offered(sorted(entry.exports or ()), int(waiting))
