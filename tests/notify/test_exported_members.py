"""The exported names: they exist, are sorted, and include every class that a user needs to name."""

import importlib
import pkgutil

import pytest

import notify

pytestmark = pytest.mark.any_server


MODULES = [f"notify.{module.name}" for module in pkgutil.iter_modules(notify.__path__)]


@pytest.mark.parametrize("name", ["notify", *MODULES])
def test_all_is_sorted_and_everything_in_it_is_there(name):
    module = importlib.import_module(name)
    constants = [member for member in module.__all__ if member.isupper()]
    classes = [member for member in module.__all__ if member[0].isupper() and not member.isupper()]
    functions = [member for member in module.__all__ if member[0].islower()]
    assert module.__all__ == [*sorted(constants), *sorted(classes), *sorted(functions)]
    assert all(hasattr(module, member) for member in module.__all__)


def test_everything_the_public_face_returns_can_be_imported_from_it():
    public = {notify.Bus, notify.Event, notify.Gap, notify.Subscriber, notify.Service, notify.ServiceInfo, notify.State, notify.Watch}
    assert all(getattr(notify, kind.__name__) is kind for kind in public)
