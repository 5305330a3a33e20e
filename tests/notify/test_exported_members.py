"""The exported names include every class that a user needs to name. `tests/test_house.py` checks that they exist and are sorted."""

import pytest

import notify

pytestmark = pytest.mark.any_server


def test_everything_the_public_face_returns_can_be_imported_from_it():
    public = {notify.Bus, notify.Event, notify.Gap, notify.Subscriber, notify.Service, notify.ServiceInfo, notify.State, notify.Watch}
    assert all(getattr(notify, kind.__name__) is kind for kind in public)
