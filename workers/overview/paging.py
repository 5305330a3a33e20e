"""Paging: reads the ids of many jobs a page at a time, so that no command occupies Redis for long. Also the names of the queues."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeAlias

from notify.server import Client
from workers import rq_keys

__all__ = ["chunked", "ids_needing", "queue_names", "read_backward", "read_forward", "running_ids", "take_turns"]

ReadRange: TypeAlias = Callable[[int, int], Any]
"""LRANGE or ZRANGE of one key: takes the first and the last index, both included, and returns the members."""


def queue_names(client: Client) -> list[str]:
    """Return the names of all queues that jobs were put on, sorted."""
    keys: Any = client.smembers(rq_keys.QUEUES)
    return sorted(rq_keys.queue_name(key.decode(errors="backslashreplace")) for key in keys)


def read_forward(read: ReadRange, *, size: int) -> Iterator[str]:
    """Yield the members from the first to the last. A page is read when the iteration reaches it."""
    start = 0
    while page := read(start, start + size - 1):
        yield from (member.decode(errors="backslashreplace") for member in page)
        start += size


def read_backward(read: ReadRange, *, size: int) -> list[str]:
    """Return all members in their order, each once, read from the last to the first.

    The pages are counted from the end, so that a worker that takes members from the front meanwhile does not shift them.
    """
    found: list[str] = []
    while page := read(-len(found) - size, -len(found) - 1):
        found += [member.decode(errors="backslashreplace") for member in reversed(page)]
        if len(page) < size:
            break
    return list(dict.fromkeys(reversed(found)))


def take_turns(sources: Sequence[Callable[[int, int], list[str]]], *, size: int, most: int) -> list[str]:
    """Return up to ``most`` members of several keys: a page of each in turn, so that none is left out because another one is long.

    Args:
        sources: one function per key. It takes a start and a number, and returns that many members or fewer at the end.
        size: members of a page.
        most: members in all.
    """
    found: list[str] = []
    open_sources, start = list(sources), 0
    while open_sources and len(found) < most:
        left = []
        for source in open_sources:
            page = source(start, min(size, most - len(found)))
            found += page
            if len(page) == size:
                left.append(source)
            if len(found) == most:
                break
        open_sources, start = left, start + size
    return found


def ids_needing(client: Client, need: str, *, size: int) -> Iterator[str]:
    """Yield the ids of the waiting jobs that have a need, in any order. An id may come twice."""
    for job_id, _ in client.zscan_iter(client.own_keys.needs(need), count=size):
        yield job_id.decode(errors="backslashreplace")


def running_ids(client: Client) -> Iterator[str]:
    """Yield the ids of the running jobs, queue by queue. They are not paged: a worker runs one job at a time."""
    for name in queue_names(client):
        members: Any = client.zrange(rq_keys.started(name), 0, -1)
        yield from (member.decode(errors="backslashreplace").partition(":")[0] for member in members)


def chunked(ids: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield the ids in lists of at most ``size``."""
    rest = iter(ids)
    while chunk := list(islice(rest, size)):
        yield chunk
