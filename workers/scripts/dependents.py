"""The atomic steps of jobs that depend on other jobs, and are cancelled when one of these ends without success."""

from typing import NamedTuple

from workers.scripts.runner import JobScriptRunner

__all__ = ["CheckedDependents", "DependentScripts"]


class CheckedDependents(NamedTuple):
    """How many waiting jobs were looked at, how many jobs were cancelled, and how many of those looked at keep waiting."""

    looked_at: int
    cancelled: int
    waiting: int


class DependentScripts(JobScriptRunner):
    """The jobs with ``on_dependency_failure="cancel"``."""

    def await_success(self, job_id: str) -> None:
        """Have a job cancelled when a job on which it depends ends without success. Call this before the job is enqueued."""
        self.run("await_success", [self.keys.dependents], [job_id], action=f"enqueueing job {job_id}")

    def check_new(self, job_id: str) -> CheckedDependents:
        """Cancel a job that was just enqueued, if a job on which it depends has ended without success."""
        return self._run("", job_id, 0, 0)

    def check_dependents_of(self, job_id: str) -> CheckedDependents:
        """Cancel the jobs that depend on a job which has ended, if it ended without success."""
        return self._run(job_id, "", 0, 0)

    def check_all(self, *, passed: int, count: int) -> CheckedDependents:
        """Look at up to ``count`` of all these jobs, after the first ``passed``, and cancel those that will never start."""
        return self._run("", "", passed, count)

    def _run(self, parent: str, new: str, first: int, count: int) -> CheckedDependents:
        args: list[str | bytes | int] = [parent, new, first, count]
        action = "cancelling jobs whose dependencies ended without success"
        return CheckedDependents(*map(int, self.run_with_common_args("cancel_dependents", [self.keys.dependents], args, action=action)))
