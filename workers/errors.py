"""Every error that ``workers`` raises, under one base which is a `notify.NotifyError`.

::

    WorkersError
    ├── JobError
    │   ├── JobDefinitionError      a function, policy, need or option that no job can have
    │   ├── JobArgumentsError       arguments that JSON cannot hold
    │   ├── JobTooLargeError        a call above the payload limit (also a notify.PayloadTooLargeError)
    │   ├── DuplicateJobError       a job that was to be the only one of its id
    │   ├── JobRefusedError         a worker was asked to run what it was not told to load
    │   ├── JobNotFoundError
    │   └── QueueNotFoundError
    ├── HorseError                  a worker cannot get a process for its jobs
    ├── ModuleLoadError             a module with jobs cannot be imported
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
    "JobArgumentsError",
    "JobDefinitionError",
    "JobError",
    "JobNotFoundError",
    "JobRefusedError",
    "JobTooLargeError",
    "ModuleLoadError",
    "QueueNotFoundError",
    "StorageError",
    "StorageKilledError",
    "UnknownKeyError",
    "WorkersError",
]


class WorkersError(NotifyError):
    """The base of every error of the workers."""


class JobError(WorkersError):
    """A job cannot be made, found or run as asked."""


class JobDefinitionError(JobError, ValueError):
    """No job can be made of that."""


class JobArgumentsError(JobError, TypeError):
    """The arguments of a job hold something that JSON cannot."""


class JobTooLargeError(JobError, PayloadTooLargeError):
    """The encoded call of a job is above the payload limit."""


class DuplicateJobError(JobError):
    """There is a job of that id already."""


class JobRefusedError(JobError):
    """The function is none that this worker was told to run."""


class JobNotFoundError(JobError, LookupError):
    """There is no job of that id; its time to live may be over."""


class QueueNotFoundError(JobError, LookupError):
    """No job was ever put on a queue of that name."""


class HorseError(WorkersError):
    """A worker cannot get a process for its jobs."""


class ModuleLoadError(WorkersError):
    """A module with jobs cannot be imported."""


class StorageError(WorkersError):
    """The storage service cannot do that."""


class DuplicateKeyError(StorageError):
    """The key holds a value already."""


class UnknownKeyError(StorageError, LookupError):
    """Nothing is stored under the key."""


class StorageKilledError(StorageError, ServiceKilledError):
    """The storage service was killed."""
