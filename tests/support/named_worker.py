"""A worker with a fixed name, in a process of its own, as if on another host if that has a name.

``python -m tests.support.named_worker <url> <name> <lease in seconds> <host>`` says why it does not start.
"""

import sys

import notify
from notify.process import identity
from workers import Worker, WorkerNameTakenError

TAKEN = 3
"""The exit status if the name is taken."""


def main(url: str, name: str, lease_s: str, host: str = "") -> int:
    if host:
        identity.socket.gethostname = lambda: host
    with notify.connect(url) as bus:
        worker = Worker(["work"], name, connection=bus.redis, modules=["tests.support.sample_jobs"], lease_s=float(lease_s))
        try:
            worker.work(logging_level="ERROR")
        except WorkerNameTakenError as exc:
            sys.stdout.write(str(exc))
            worker._client.close()
            return TAKEN
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
