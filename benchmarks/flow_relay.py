"""The two machines of the flow benchmarks: lines come in by TCP and are published; lines that are published go out by TCP.

``python -m benchmarks.flow_relay SIDE URL`` prints its port, and runs until its standard input ends. The sides ``in`` and ``out`` are
flows; of ``waiting-in`` and ``waiting-out`` the first waits for the second, so that no event is lost between them. ``plain-in`` and
``plain-out`` are plain asyncio with redis-py's pub/sub, which keeps no log, repairs nothing and waits for every client.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import redis.asyncio

import notify
from notify.flows import TCPServer, pipeline, publish_to, subscribe_to

TOPIC = "flow"
CHANNEL = "flow-peer"


def say(what: object) -> None:
    print(what, flush=True)


def until_told(server: TCPServer) -> None:
    """Tell the resident memory, the clients, and the frames that were sent and dropped, at each line of standard input."""
    say(server.port)
    for _ in sys.stdin:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        counts = server.counts()
        say(f"{pages * os.sysconf('SC_PAGE_SIZE') // 1024} {counts.clients} {counts.sent} {counts.dropped}")


def flow_in(url: str, position: str | None = None) -> None:
    server = TCPServer(0)
    with notify.connect(url) as bus, pipeline(server, publish_to(bus, TOPIC, waits_for=position)):
        until_told(server)


def flow_out(url: str, position: str | None = None) -> None:
    server = TCPServer(0)
    with notify.connect(url) as bus, pipeline(subscribe_to(bus, TOPIC, position=position), server):
        until_told(server)


async def plain_in(url: str) -> None:
    client = redis.asyncio.Redis.from_url(url)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for line in reader:
            await client.publish(CHANNEL, line)
        writer.close()

    await _listen(serve)
    await client.aclose()


async def plain_out(url: str) -> None:
    client = redis.asyncio.Redis.from_url(url)
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    await pubsub.subscribe(CHANNEL)
    writers: set[asyncio.StreamWriter] = set()

    async def relay() -> None:
        async for message in pubsub.listen():
            for writer in writers:
                writer.write(message["data"])
                await writer.drain()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        await reader.read()
        writers.discard(writer)
        writer.close()

    task = asyncio.create_task(relay())
    await _listen(serve)
    task.cancel()
    await pubsub.aclose()  # type: ignore[no-untyped-call]  # redis-py has no annotation there
    await client.aclose()


async def _listen(serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    say(server.sockets[0].getsockname()[1])
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    side, url = sys.argv[1:]
    if side.startswith("plain"):
        asyncio.run(plain_in(url) if side == "plain-in" else plain_out(url))
    else:
        (flow_in if side.endswith("in") else flow_out)(url, "relay" if side.startswith("waiting") else None)
