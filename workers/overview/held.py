"""The held jobs in numbers: which services they wait for."""

from contextlib import suppress
from typing import Any, Final

import msgspec
import redis

from notify.server import Client

__all__ = ["HeldCount", "held_counts"]

_pair: Final = msgspec.json.Decoder(tuple[str, str])


class HeldCount(msgspec.Struct, frozen=True):
    """The jobs of a queue that are held for the same need: the name of a service, or ``any <capability>``."""

    queue: str
    need: str
    jobs: int


def held_counts(connection: redis.Redis) -> list[HeldCount]:
    """Count the held jobs by queue and need.

    Raises:
        ServerError: Redis did not answer, or refused.
    """
    client = Client.of(connection)
    keys = client.own_keys
    with client.translating("counting held jobs"):
        members: Any = client.smembers(keys.held_pairs)
        pairs = []
        for member in members:
            with suppress(msgspec.DecodeError, UnicodeDecodeError):  # another program wrote it
                pairs.append(_pair.decode(member))
        with client.pipeline(transaction=False) as pipe:
            for pair in pairs:
                pipe.zcard(keys.held(*pair))
            sizes = pipe.execute(raise_on_error=False)
    found = (HeldCount(*pair, size) for pair, size in zip(pairs, sizes, strict=True) if isinstance(size, int) and size)
    return sorted(found, key=lambda count: (count.queue, count.need))
