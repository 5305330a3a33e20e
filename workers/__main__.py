"""A worker process of a `workers.worker.pool.Pool`. It reads the process id of the pool, and then its options, from standard input."""

import logging
import signal
import sys

import msgspec

from notify import NotifyError
from notify.connection import connect
from notify.process import set_title
from workers.horse import die_with_parent, open_standard_files
from workers.worker import Worker, WorkerOptions


def main() -> int:
    """Run a worker until SIGTERM or, with the option ``burst``, until its queues are empty.

    Returns:
        The exit code: 0 after an orderly end, 1 after an error, which is written to stderr.
    """
    open_standard_files()
    die_with_parent(signal.SIGTERM, parent=int(sys.stdin.buffer.readline()))
    options = msgspec.json.decode(sys.stdin.buffer.read(), type=WorkerOptions)
    set_title(f"worker of {', '.join(options.queues)}")
    logging.basicConfig(level=options.log_level, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
    try:
        with connect(settings=options.settings, environ={}) as bus:
            worker = Worker(
                options.queues,
                options.name or None,
                connection=bus.redis,
                modules=options.modules,
                retire=options.retire,
                lease_s=options.lease_s,
                skip_foreign=options.skip_foreign,
            )
            worker.work(burst=options.burst, logging_level=options.log_level, with_scheduler=True)
    except NotifyError as exc:
        sys.stderr.write(f"worker: {exc}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
