"""A worker with a fixed name, in a process of its own, as if on another host if that has a name.

``python -m tests.support.named_worker <url> <name> <lease in seconds> <host>`` says why it does not start, or ends by itself. With the
host ``careless`` it does not look whether another worker has taken its name.
"""

import sys

import notify
from notify.process import identity
from workers import Worker, WorkerNameTakenError, WorkerReplacedError
from workers.fleet import NameHold
from workers.fleet import name as registration

TAKEN, REPLACED = 3, 4
"""The exit status if the name is taken, and if another worker has taken it meanwhile."""
CARELESS = "careless"


def be_careless() -> None:
    """Renew leases, and deregister, as if nobody else could have the name."""
    NameHold.begin = lambda *_: None  # type: ignore[method-assign]  # it stays without a birth, which switches the checks off
    NameHold.is_fresh = lambda _: True  # type: ignore[method-assign]  # as above
    registration._is_taken = lambda *_: False


def main(url: str, name: str, lease_s: str, host: str = "") -> int:
    if host == CARELESS:
        be_careless()
    elif host:
        identity.socket.gethostname = lambda: host
    with notify.connect(url) as bus:
        worker = Worker(["work"], name, connection=bus.redis, modules=["tests.support.sample_jobs"], lease_s=float(lease_s))
        try:
            worker.work(logging_level="ERROR")
        except (WorkerNameTakenError, WorkerReplacedError) as exc:
            sys.stdout.write(str(exc))
            worker._client.close()
            return TAKEN if isinstance(exc, WorkerNameTakenError) else REPLACED
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
