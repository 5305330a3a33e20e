"""The scripts about the runs that RQ lists as started: heartbeats, and which of them are kept."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from workers import rq_keys
from workers.scripts.run import Run
from workers.scripts.runner import JobScriptRunner, rq_time

__all__ = ["RunScripts"]

KEEP_S: Final = 90
"""Seconds for which the entry of a run is kept whose worker has its lease: as after a heartbeat."""


class RunScripts(JobScriptRunner):
    """Scripts about runs. All times that they write for a decision are those of the server."""

    def heartbeat(self, worker: str, queue: str, run: Run, *, working_s: float, ttl_s: int, worker_ttl_s: int) -> bool:
        """Record that a run goes on.

        Args:
            worker: the name of the worker that has the run.
            queue: the queue of the job.
            run: the run.
            working_s: for how many seconds it has been going on.
            ttl_s: seconds within which the run sends its next heartbeat.
            worker_ttl_s: seconds within which the worker sends its next heartbeat.

        Returns:
            Whether it still has the job, and its end is not recorded.
        """
        execution = rq_keys.execution(f"{run.job_id}:{run.fence}")
        keys = [rq_keys.worker(worker), rq_keys.job(run.job_id), execution, rq_keys.executions(run.job_id), rq_keys.started(queue)]
        args: list[str | bytes | int] = [worker, run.job_id, run.fence, rq_time(datetime.now(UTC)), f"{working_s:.6f}", ttl_s, worker_ttl_s]
        return bool(self.run("heartbeat", keys, args, action=f"sending the heartbeat of job {run.job_id}"))

    def announce_run(self, worker: str, run: Run, *, ttl_s: int) -> bool:
        """Write what RQ holds of a run beside its place among the started jobs, and publish its start, unless that is done.

        Args:
            worker, run, ttl_s: as for `heartbeat`.

        Returns:
            Whether the run still has the job, and its end is not recorded.
        """
        args: list[str | bytes | int] = [worker, run.job_id, run.fence, ttl_s]
        return bool(self.run_with_common_args("announce_run", [], args, action=f"announcing the run of job {run.job_id}"))

    def report_progress(self, run: Run, contents: Mapping[str, Any]) -> bool:
        """Record and publish what a run reports about its progress; before the first report, announce the run as `announce_run` does.

        Args:
            run: the run.
            contents: ``done``, ``total`` and ``message``.

        Returns:
            Whether the run has the job, and its end is not recorded.
        """
        args: list[str | bytes | int] = [run.job_id, run.fence, KEEP_S, msgspec.json.encode(contents)[1:-1]]
        return bool(self.run_with_common_args("report_progress", [], args, action=f"reporting the progress of job {run.job_id}"))

    def keep_runs(self, queue: str) -> int:
        """Keep the entries of the runs of a queue whose worker has its lease. Returns the clock of the server, in seconds."""
        keys = [rq_keys.started(queue), self.keys.leases]
        return int(self.run("keep_runs", keys, [KEEP_S], action=f"looking for abandoned runs of {queue!r}"))
