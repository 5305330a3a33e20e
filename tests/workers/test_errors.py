"""The tree of error classes."""

import inspect

import pytest

import notify
import workers
from workers import errors

pytestmark = pytest.mark.any_server


CLASSES = [value for value in vars(errors).values() if inspect.isclass(value) and value.__module__ == errors.__name__]


def test_every_error_is_a_workers_error_and_so_a_notify_error() -> None:
    assert all(issubclass(error, errors.WorkersError) for error in CLASSES)
    assert issubclass(errors.WorkersError, notify.NotifyError)


def test_every_error_is_exported() -> None:
    names = {error.__name__ for error in CLASSES}
    assert names == set(errors.__all__)
    assert names <= set(workers.__all__)


def test_the_tree_in_the_docstring_shows_every_error() -> None:
    assert [error.__name__ for error in CLASSES if error.__name__ not in (errors.__doc__ or "")] == []


def test_every_error_has_a_docstring() -> None:
    assert [error.__name__ for error in CLASSES if not inspect.getdoc(error)] == []


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (workers.JobDefinitionError, ValueError),
        (workers.JobArgumentsError, TypeError),
        (workers.JobNotFoundError, LookupError),
        (workers.UnknownKeyError, LookupError),
        (workers.StorageKilledError, notify.ServiceKilledError),
        (workers.JobTooLargeError, notify.PayloadTooLargeError),
    ],
)
def test_our_errors_can_be_caught_by_the_general_error(ours: type[Exception], theirs: type[Exception]) -> None:
    assert issubclass(ours, theirs)
