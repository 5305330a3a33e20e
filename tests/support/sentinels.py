"""A master, its replicas and Sentinels on loopback ports, which tests kill and freeze."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Self

import redis

from notify.server.binary import find_server_binary
from notify.testing import wait_until
from tests.support.proxy import Proxy

MASTER = "lab"
REPLICAS, SENTINELS, QUORUM = 2, 3, 2
START_S = 20.0


class _Servers:
    """Servers on loopback ports, which end with the block. A subclass starts them in `_start`."""

    def __init__(self) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="notify-", dir="/tmp"))
        self._binary = str(find_server_binary(os.environ))
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def signal(self, port: int, number: signal.Signals) -> None:
        self._processes[port].send_signal(number)

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()
        shutil.rmtree(self._home, ignore_errors=True)

    def _start(self) -> None:
        raise NotImplementedError

    def _run(self, port: int, *lines: str, sentinel: bool = False) -> None:
        folder = self._home / str(port)
        folder.mkdir()
        config = folder / "server.conf"
        config.write_text("\n".join([f"port {port}", "bind 127.0.0.1", f"dir {folder}", f"logfile {folder}/log", *lines]) + "\n")
        self._processes[port] = subprocess.Popen([self._binary, str(config), *(["--sentinel"] if sentinel else [])])

    def _run_data(self, port: int, *, replica_of: int | None = None) -> None:
        lines = ["save ''", "appendonly no", "repl-diskless-sync-delay 0", "repl-timeout 5"]
        self._run(port, *lines, *([] if replica_of is None else [f"replicaof 127.0.0.1 {replica_of}"]))


class Pair(_Servers):
    """A master and one replica. Clients and the replica reach the master through proxies, which can be held or led elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self._master, self._replica = _free_ports(2)
        self._front, self._replication = Proxy(self._master), Proxy(self._master)

    @property
    def url(self) -> str:
        return self._front.url

    def wait_for_replica(self) -> None:
        """Wait until the replica has caught up with the master."""
        with redis.Redis(port=self._master) as master, redis.Redis(port=self._replica) as replica:
            wait_until(lambda: _offset(replica) == _offset(master), what="the same offset")

    def let_replica_lag(self) -> None:
        """Stop the replication: from now on the replica lags."""
        self._replication.hold()

    def fail_over(self) -> None:
        """Kill the master, and promote the replica."""
        self.signal(self._master, signal.SIGKILL)
        with redis.Redis(port=self._replica) as replica:
            replica.replicaof("NO", "ONE")
        self._front.lead_to(self._replica)

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        for proxy in (self._front, self._replication):
            proxy.__exit__()

    def _start(self) -> None:
        for proxy in (self._front, self._replication):
            proxy.__enter__()
        self._run_data(self._master)
        self._run_data(self._replica, replica_of=self._replication.port)
        with redis.Redis(port=self._master) as master:
            wait_until(lambda: _answers(self._master) and _online(master) == 1, timeout_s=START_S, what="the replication")


class Replicated(_Servers):
    """One master, two replicas and three Sentinels. Use it as a context manager."""

    def __init__(self) -> None:
        super().__init__()
        *self._servers, a, b, c = _free_ports(1 + REPLICAS + SENTINELS)
        self._sentinels = [a, b, c]

    @property
    def url(self) -> str:
        return f"redis+sentinel://{','.join(f'127.0.0.1:{port}' for port in self._sentinels)}/{MASTER}/0"

    @property
    def sentinels(self) -> list[tuple[str, int]]:
        """The addresses of the Sentinels, as redis-py takes them."""
        return [("127.0.0.1", port) for port in self._sentinels]

    @property
    def master(self) -> int:
        """The port of the master, as the Sentinels see it."""
        with redis.Redis(port=self._sentinels[0], decode_responses=True) as sentinel:
            return int(sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)[1])

    def _start(self) -> None:
        first = self._servers[0]
        for port in self._servers:
            self._run_data(port, replica_of=None if port == first else first)
        with redis.Redis(port=first) as master:
            wait_until(lambda: _answers(first) and _online(master) == REPLICAS, timeout_s=START_S, what="the replication")
        for port in self._sentinels:
            watched = [f"sentinel monitor {MASTER} 127.0.0.1 {first} {QUORUM}"]
            watched += [f"sentinel down-after-milliseconds {MASTER} 500", f"sentinel failover-timeout {MASTER} 2000"]
            self._run(port, *watched, sentinel=True)
        wait_until(lambda: all(map(self._knows_all, self._sentinels)), timeout_s=START_S, what="the Sentinels' view")

    def _knows_all(self, port: int) -> bool:
        if not _answers(port):
            return False
        with redis.Redis(port=port, decode_responses=True) as sentinel:
            seen = sentinel.execute_command("SENTINEL", "MASTER", MASTER)
            seen = seen if isinstance(seen, dict) else dict(zip(seen[::2], seen[1::2], strict=True))
            return (int(seen["num-slaves"]), int(seen["num-other-sentinels"])) == (REPLICAS, SENTINELS - 1)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _answers(port: int) -> bool:
    with redis.Redis(port=port) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


def _online(master: redis.Redis) -> int:
    info = master.info("replication")
    return sum(1 for key, value in info.items() if key.startswith("slave") and isinstance(value, dict) and value.get("state") == "online")


def _offset(server: redis.Redis) -> int:
    return int(server.info("replication")["master_repl_offset"])
