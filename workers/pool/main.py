"""Main function of a worker process."""

import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import closing

from notify import NotifyError
from notify.process import printable, set_title
from notify.server import Client, open_client, process_name
from workers.horse import Horse
from workers.pool.notice import Notice, NoticeWriter
from workers.pool.options import WorkerOptions
from workers.pool.shared_process import SharedProcess, check_end
from workers.worker import Worker
from workers.worker.logs import configure_logging
from workers.worker.start import when_admitted

__all__ = ["run_worker"]


def run_worker(options: WorkerOptions, *, notices: NoticeWriter | None = None) -> int:
    """Run a worker, or several in threads, until SIGTERM or, with the option ``burst``, until the queues are empty.

    Args:
        options: the options.
        notices: the pipe to the pool; without it an error is written to stderr.

    Returns:
        The exit code: 0 after an orderly end, 1 after an error.
    """
    sys.path += [folder for folder in options.path if folder not in sys.path]
    set_title(f"{len(options.names) or 1} worker{'s' if len(options.names) > 1 else ''} of {', '.join(options.queues)}")
    configure_logging(options.log_level, form=options.log_format, job_logs=options.job_logs)
    try:
        cut_count = _work(options, notices)
    except SystemExit:  # told to end before it had begun
        end = Notice("ended")
    except NotifyError as exc:
        end = Notice("failed", str(exc))
    except Exception as exc:  # the pool reports it once, and not each time that the worker is started again
        end = Notice("failed", f"{type(exc).__name__}: {exc}", traceback.format_exc())
    else:
        end = Notice("ended", cut_count=cut_count)
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)  # or a signal that comes once more would kill the interpreter while it ends
    if notices is not None:
        notices.write(end)
    elif end.kind == "failed":
        lines = [f"worker: {end.reason}", *end.detail.splitlines()]
        sys.stderr.write("".join(f"{printable(line)}\n" for line in lines))
    return int(end.kind == "failed")


def _work(options: WorkerOptions, notices: NoticeWriter | None) -> int:
    """Connect, and run the workers. Returns how many ended a job because they were told to end at once."""
    with closing(open_client(options.settings, name=process_name())) as client:
        workers = [_make(options, name, client, notices) for name in options.names or (options.name,)]
        if len(workers) == 1:
            workers[0].procline("forks the processes of the jobs")
        # Before the first connection: what is touched from here on is copied for the worker, and not for its fork server.
        Horse.open_together([worker._horse for worker in workers])
        try:
            when_admitted(client.connect, name="the worker")
            client.hang_up()  # the workers have connections of their own
            _run(workers, options, notices)
        finally:
            for worker in workers:
                worker._horse.close()  # if the worker has not: a fork server that is left behind takes it for killed
        return sum(worker._signals.has_cut for worker in workers)


def _run(workers: Sequence[Worker], options: WorkerOptions, notices: NoticeWriter | None) -> None:
    """Run the workers, several of them in threads."""
    if len(workers) > 1:
        SharedProcess(workers, left=lambda worker: _tell(notices, Notice("left", worker=worker.name))).run(burst=options.burst)
    else:
        workers[0].work(burst=options.burst, with_scheduler=True)
        check_end(workers[0], burst=options.burst)


def _make(options: WorkerOptions, name: str, client: Client, notices: NoticeWriter | None) -> Worker:
    return Worker(
        options.queues,
        name or None,
        connection=client,
        modules=options.modules,
        retire=options.retire,
        lease_s=options.lease_s,
        skip_foreign=options.skip_foreign,
        window=options.window,
        history=options.history,
        told=None if notices is None else lambda is_busy: notices.write(Notice("busy" if is_busy else "idle", worker=name)),
    )


def _tell(notices: NoticeWriter | None, notice: Notice) -> None:
    if notices is not None:
        notices.write(notice)
