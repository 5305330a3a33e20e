"""Every error that ``workers`` raises, under one base which is a `notify.NotifyError`.

::

    WorkersError
    ├── JobError
    │   ├── JobDefinitionError      an invalid function, policy, need or option of a job
    │   ├── JobArgumentsError       arguments that the function or its annotations do not accept, or that JSON cannot hold
    │   ├── JobResultError          a result that JSON cannot hold
    │   ├── JobTooLargeError        a call above the payload limit (also a notify.PayloadTooLargeError)
    │   ├── DuplicateJobError       a unique job whose id is taken
    │   ├── JobAbandonedError       the process or the worker of a run was killed: what on_failure gets (also rq's AbandonedJobError)
    │   ├── JobRefusedError         a function that the worker has not loaded, or a job that cannot be enqueued again
    │   ├── JobNotFoundError
    │   └── QueueNotFoundError
    ├── HorseError                  a worker cannot start a process for its jobs
    ├── ModuleLoadError             a module cannot be imported, or defines no job
    ├── RqVersionError              the version of RQ that is installed is not supported (also an ImportError)
    ├── WorkerNotFoundError
    ├── WorkerNameTakenError        another worker that lives has the name (also a ValueError, as RQ raises it)
    ├── WorkerReplacedError         a worker was frozen for longer than its lease, and another one has its name
    ├── WorkersFailedError          the workers of a pool die again and again
    └── StorageError
        ├── DuplicateKeyError
        ├── UnknownKeyError
        └── StorageKilledError      (also a notify.ServiceKilledError)
"""

from notify import NotifyError, PayloadTooLargeError, ServiceKilledError

__all__ = [
    "DuplicateJobError",
    "DuplicateKeyError",
    "HorseError",
    "JobAbandonedError",
    "JobArgumentsError",
    "JobDefinitionError",
    "JobError",
    "JobNotFoundError",
    "JobRefusedError",
    "JobResultError",
    "JobTooLargeError",
    "ModuleLoadError",
    "QueueNotFoundError",
    "RqVersionError",
    "StorageError",
    "StorageKilledError",
    "UnknownKeyError",
    "WorkerNameTakenError",
    "WorkerNotFoundError",
    "WorkerReplacedError",
    "WorkersError",
    "WorkersFailedError",
]


class WorkersError(NotifyError):
    """The base class of every error of this package."""


class JobError(WorkersError):
    """A job cannot be created, found or run as requested."""


class JobDefinitionError(JobError, ValueError):
    """A function, a policy, a need or an option of a job is invalid."""


class JobArgumentsError(JobError, TypeError):
    """The function of a job or its annotations do not accept its arguments, or JSON cannot hold them."""


class JobResultError(JobError, TypeError):
    """The function of a job returned what JSON cannot hold: the job has failed. Or the result that Redis holds cannot be read."""


class JobTooLargeError(JobError, PayloadTooLargeError):
    """The encoded call of a job is above the payload limit."""


class DuplicateJobError(JobError):
    """A job with this id exists already."""


class JobAbandonedError(JobError):
    """The process or the worker that ran a job was killed. It is passed to the ``on_failure`` of the job."""


class JobRefusedError(JobError):
    """The worker has not loaded the function of a job, or the job cannot be enqueued again."""


class JobNotFoundError(JobError, LookupError):
    """There is no job with this id, because its time to live may be over; or no job runs here."""


class QueueNotFoundError(JobError, LookupError):
    """No job was ever put on a queue with this name."""


class HorseError(WorkersError):
    """A worker cannot start a process for its jobs."""


class ModuleLoadError(WorkersError):
    """A module cannot be imported, or defines no job."""


class RqVersionError(WorkersError, ImportError):
    """The version of RQ that is installed is not supported."""


class WorkerNameTakenError(WorkersError, ValueError):
    """A worker cannot start because another one that lives has its name."""


class WorkerNotFoundError(WorkersError, LookupError):
    """No worker has that name."""


class WorkerReplacedError(WorkersError):
    """A worker was frozen or cut off for longer than its lease, and another one has taken its name: it ends."""


class WorkersFailedError(WorkersError):
    """A worker of a pool ended, although it was not told to, more often than it may be started again."""


class StorageError(WorkersError):
    """The storage service is not available, or refuses an operation."""


class DuplicateKeyError(StorageError):
    """The key already holds a value."""


class UnknownKeyError(StorageError, LookupError):
    """Nothing is stored under the key."""


class StorageKilledError(StorageError, ServiceKilledError):
    """The storage service was killed."""
